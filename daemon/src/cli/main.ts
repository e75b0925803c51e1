/**
 * `coderunner`: the daemon and its command line. This file says only whether it can run at all; `program.ts` has the
 * commands. Each loads what it needs when it is called, so that `run` is not kept waiting for the server.
 */
import { setFlagsFromString } from 'node:v8';
import { NO_BACKGROUND_COMPILERS } from '../client/node-flags.ts';

const LEAST_NODE = 24;

if (Number.parseInt(process.versions.node, 10) < LEAST_NODE) {
  process.stderr.write(
    `coderunner: This is Node ${process.versions.node}; CodeRunner needs Node ${LEAST_NODE} or newer.\n` +
      '  In a clone `npx coderunner` has it; elsewhere install it from your system’s packages or nodejs.org.\n',
  );
  process.exitCode = 125;
} else {
  // A compiler in the background that waits for a collection when the process ends keeps it for ever (nodejs/node#54918: one of
  // twenty commands that had printed 80 MB on a busy machine).
  for (const flag of NO_BACKGROUND_COMPILERS) setFlagsFromString(flag);
  const { main } = await import('./program.ts');
  // Input that nobody reads any more must not keep the process.
  process.exit(await main(process.argv.slice(2)));
}
