/**
 * Makes the VSIX: `npm run package`, or `node tools/package.ts FOLDER` for another place than the repository's root. It holds
 * the extension, the daemon's bundle, the console's page and the languages' sources, and no node_modules. vsce is fetched for
 * the occasion: a hundred packages that nothing else here needs.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const STAGE = join(ROOT, 'extension/dist/vsix');
const VSCE = '@vscode/vsce@4.1.0';

/** From the repository's root, and where it goes in the package. */
const CONTENTS: [from: string, to: string][] = [
  ['extension/package.nls.json', 'package.nls.json'],
  ['extension/README.md', 'README.md'],
  ['extension/media', 'media'],
  ['extension/walkthrough', 'walkthrough'],
  ['extension/l10n', 'l10n'],
  ['extension/dist/extension.cjs', 'dist/extension.cjs'],
  ['extension/dist/extension.cjs.LEGAL.txt', 'dist/extension.cjs.LEGAL.txt'],
  ['extension/dist/language.cjs', 'dist/language.cjs'],
  ['daemon/dist', 'daemon/dist'],
  ['webview-ui/dist', 'webview-ui/dist'],
  ['runtimes', 'runtimes'],
  ['LICENSE', 'LICENSE.txt'],
  ['CHANGELOG.md', 'CHANGELOG.md'],
];
/** What only development needs. Everything of a language is part of its image's name, so nothing of one is left out. */
const LEFT_OUT = [/\.map$/, /^webview-ui\/dist\/screenshots/, /^runtimes\/agent\/(build|test|fuzz)(\/|$)/];

rmSync(STAGE, { recursive: true, force: true });
mkdirSync(STAGE, { recursive: true });
for (const [from, to] of CONTENTS) {
  const source = join(ROOT, from);
  if (!existsSync(source) && /LEGAL/.test(from)) continue;
  cpSync(source, join(STAGE, to), {
    recursive: true,
    filter: (path) => !LEFT_OUT.some((pattern) => pattern.test(relative(ROOT, path).split(sep).join('/'))),
  });
}
const manifest = JSON.parse(readFileSync(join(ROOT, 'extension/package.json'), 'utf8'));
const { devDependencies: _, ...published } = manifest;
writeFileSync(join(STAGE, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);

const vsix = join(resolve(process.argv[2] ?? ROOT), `coderunner-${manifest.version}.vsix`);
const { status, error } = spawnSync(
  'npm',
  // Left as it is: what is staged is all that is needed, and nothing else.
  [
    'exec',
    '--yes',
    `--package=${VSCE}`,
    '--',
    'vsce',
    'package',
    '--no-dependencies',
    '--allow-missing-repository',
    '--no-rewrite-relative-links',
    '--out',
    vsix,
  ],
  { cwd: STAGE, stdio: ['ignore', 2, 2] },
);
if (error) throw error;
if (status !== 0) process.exitCode = 1;
else console.log(`${relative(process.cwd(), vsix)} (${(statSync(vsix).size / 2 ** 20).toFixed(1)} MB)`);
