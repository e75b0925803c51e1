/** Which packages a run asks for, told from files that anybody may have written. */
import assert from 'node:assert/strict';
import { findManifest, type ProjectFile } from '../../src/packages/manifest.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';

const file = (path: string, text: string): ProjectFile => ({ path, read: async () => Buffer.from(text) });

describe('a manifest', () => {
  const real: [string, string, string, boolean][] = [
    ['go', 'go.mod', 'module a\n\ngo 1.21\n', false],
    ['go', 'go.mod', 'module a\n\nrequire (\n\texample.com/tea v1.2.0\n)\n', true],
    ['rust', 'Cargo.toml', '[package]\nname = "a"\n', false],
    ['rust', 'Cargo.toml', '[package]\nname = "a"\n\n[target.\'cfg(unix)\'.dev-dependencies]\ntea = "1"\n', true],
    ['python', 'pyproject.toml', '[project]\nname = "a"\ndependencies = []\n', false],
    ['python', 'pyproject.toml', '[project]\nname = "a"\ndependencies = [\n  # of the kitchen\n  "tea",\n]\n', true],
  ];
  for (const [runtime, path, text, names] of real) {
    it(`${names ? 'names packages' : 'names none'}: ${JSON.stringify(text)}`, async () => {
      const { runtimes } = await loadRuntimes();
      const installation = runtimes.find(({ id }) => id === runtime)?.install;
      assert.ok(installation);
      assert.equal((await findManifest('main', [file(path, text)], installation)) !== undefined, names);
    });
  }

  // Each took the daemon, and with it everybody's runs, minutes here, and hours for the largest that a run may bring.
  const made = ['\n', ' \n', '[\n', '[dependencies', 'dev=[\n', '"dependencies":{', ' ', '\t'];
  for (const piece of made) {
    it(`of 256 KiB of ${JSON.stringify(piece)} does not hold up the daemon, whatever language it is for`, async () => {
      const { runtimes } = await loadRuntimes();
      const text = piece.repeat(2 ** 18 / piece.length);
      for (const { install } of runtimes) {
        for (const { file: path } of install?.detect ?? []) {
          if (install) await findManifest('main', [file(path, text)], install);
        }
      }
    });
  }
});
