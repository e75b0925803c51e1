/**
 * `coderunner`: the daemon and its command line. This file says only whether it can run at all; `program.ts` has the
 * commands. Each loads what it needs when it is called, so that `run` is not kept waiting for the server.
 */
const LEAST_NODE = 24;

if (Number.parseInt(process.versions.node, 10) < LEAST_NODE) {
  process.stderr.write(
    `coderunner: This is Node ${process.versions.node}; CodeRunner needs Node ${LEAST_NODE} or newer.\n` +
      '  In a clone `npx coderunner` has it; elsewhere install it from your system’s packages or nodejs.org.\n',
  );
  process.exitCode = 125;
} else {
  const { main } = await import('./program.ts');
  // Input that nobody reads any more must not keep the process.
  process.exit(await main(process.argv.slice(2)));
}
