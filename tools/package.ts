/**
 * Makes the VSIX: `npm run package`, or `node tools/package.ts FOLDER` for another place than the repository's root. It holds
 * the extension, the daemon's bundle, the console's page and the languages' sources, and no node_modules. vsce is fetched for
 * the occasion: a hundred packages that nothing else here needs.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const STAGE = join(ROOT, 'extension/dist/vsix');
const VSCE = '@vscode/vsce@4.1.0';

/** From the repository's root, and where it goes in the package. */
const CONTENTS: [from: string, to: string][] = [
  ['extension/README.md', 'README.md'],
  ['extension/media', 'media'],
  ['extension/walkthrough', 'walkthrough'],
  ['extension/l10n', 'l10n'],
  ['runtimes', 'runtimes'],
  ['LICENSE', 'LICENSE.txt'],
  ['CHANGELOG.md', 'CHANGELOG.md'],
];
/** Parts of a language that go into no image, and so are no part of its name either: `daemon/src/runtimes/images.ts` decides. */
const LEFT_OUT =
  /^runtimes\/(services\/)?[^/]+\/(examples|test|fuzz|README[^/]*)(\/|$)|^runtimes\/.*\/(build|node_modules|__pycache__)(\/|$)/;

rmSync(STAGE, { recursive: true, force: true });
mkdirSync(STAGE, { recursive: true });
for (const [from, to] of CONTENTS)
  cpSync(join(ROOT, from), join(STAGE, to), {
    recursive: true,
    filter: (path) => !LEFT_OUT.test(relative(ROOT, path).split(sep).join('/')),
  });
// Built for the package alone: what is in `dist` besides, such as the parts of earlier builds, is nobody else's business.
run(process.execPath, [join(ROOT, 'esbuild.mjs'), '--release', STAGE]);
renameSync(join(STAGE, 'extension/dist'), join(STAGE, 'dist'));
rmdirSync(join(STAGE, 'extension'));
for (const name of readdirSync(join(ROOT, 'extension')).filter((file) => file.startsWith('package.nls.')))
  cpSync(join(ROOT, 'extension', name), join(STAGE, name));
const manifest = JSON.parse(readFileSync(join(ROOT, 'extension/package.json'), 'utf8'));
const { devDependencies: _, ...published } = manifest;
// All of it is meant to be in the package, which vsce warns of where nothing is left out.
writeFileSync(join(STAGE, '.vscodeignore'), '');
writeFileSync(join(STAGE, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);

const vsix = join(resolve(process.argv[2] ?? ROOT), `coderunner-${manifest.version}.vsix`);
// Left as it is: what is staged is all that is needed, and nothing else.
const asItIs = ['--no-dependencies', '--allow-missing-repository', '--no-rewrite-relative-links'];
run('npm', ['exec', '--yes', `--package=${VSCE}`, '--', 'vsce', 'package', ...asItIs, '--out', vsix], STAGE);
console.log(`${relative(process.cwd(), vsix)} (${(statSync(vsix).size / 2 ** 20).toFixed(1)} MB)`);

/** Runs a program to its end; what it prints goes to stderr. @throws Error when it fails */
function run(program: string, args: string[], cwd = ROOT): void {
  const { status, signal, error } = spawnSync(program, args, { cwd, stdio: ['ignore', 2, 2] });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ${args[0]} ended with ${signal ?? status}.`);
}
