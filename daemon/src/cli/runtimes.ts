/** `coderunner runtimes`: the languages, and the building of their images. */
import type { RuntimeInfo } from '../protocol/resources.ts';
import { connect } from './connect.ts';
import { accentOut, print, printJson, table } from './output.ts';

export async function listRuntimes(options: { json: boolean }): Promise<number> {
  await using connected = connect({ quiet: options.json });
  const { runtimes } = await connected.client.api.runtimes();
  if (options.json) {
    await printJson(runtimes);
    return 0;
  }
  const rows = runtimes.map((runtime) => [
    runtime.id,
    `${runtime.name} ${runtime.version}`.trim() + ORIGINS[runtime.origin],
    runtime.extensions.join(' '),
    runtime.aliases.join(' '),
    stateOf(runtime),
  ]);
  await print(table(['RUNTIME', 'LANGUAGE', 'FILES', 'ALSO CALLED', 'STATE'], rows));
  return 0;
}

/** Of most there is nothing to say. */
const ORIGINS = { bundled: '', own: ' (your own)', replacement: ' (your own, in the place of ours)' };

function stateOf({ state, problem }: RuntimeInfo): string {
  switch (state) {
    case 'ready':
      return accentOut('green', 'ready');
    case 'not_built':
      return accentOut('yellow', 'not built: `coderunner runtimes build`');
    case 'broken':
      return accentOut('red', `broken: ${problem}`);
  }
}
