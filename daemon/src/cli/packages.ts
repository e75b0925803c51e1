/** `coderunner packages`: what was installed for projects, and how to be rid of it. */
import { formatBytes } from '../protocol/units.ts';
import { connect } from './connect.ts';
import { ago, print, printJson, say, table } from './output.ts';

export async function listPackages(options: { json: boolean }): Promise<number> {
  await using connected = connect({ quiet: options.json });
  const { packages } = await connected.client.api.packages();
  if (options.json) {
    await printJson(packages);
    return 0;
  }
  if (packages.length === 0) {
    await say('No packages are installed; a run whose project names some installs them.');
    return 0;
  }
  const rows = packages.map(({ id, runtime, manifest, sizeBytes, usedAt }) => [
    id,
    runtime,
    manifest,
    formatBytes(sizeBytes),
    ago(usedAt),
  ]);
  await print(table(['PACKAGES', 'RUNTIME', 'FILE', 'SIZE', 'USED'], rows));
  return 0;
}

export async function removePackages(ids: readonly string[]): Promise<number> {
  await using connected = connect();
  for (const id of ids) {
    await connected.client.api.removePackages(id);
    await print(id);
  }
  return 0;
}

export async function prunePackages(): Promise<number> {
  await using connected = connect();
  const { removed, sizeBytes } = await connected.client.api.prunePackages();
  await print(`Removed ${removed} (${formatBytes(sizeBytes)}).`);
  return 0;
}
