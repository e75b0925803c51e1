/** Which manifest a run has, and what of its files goes where packages are installed. */
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config.ts';
import { digestOf, findManifest } from '../../src/packages/manifest.ts';
import { CodeRunnerError } from '../../src/protocol/index.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';

describe('a manifest', () => {
  let runtimes: Runtime[];
  before(async () => {
    ({ runtimes } = await loadRuntimes());
  });

  const find = (id: string, entry: string, files: Record<string, string>) => {
    const { install } = runtimes.find((runtime) => runtime.id === id) as Runtime;
    assert.ok(install, `${id} installs nothing`);
    const list = Object.entries(files).map(([path, text]) => ({ path, read: async () => Buffer.from(text) }));
    return findManifest(entry, list, install);
  };

  const TEA = '{"dependencies": {"tea": "1"}}';
  const found: [string, string, string, Record<string, string>, string | undefined][] = [
    ['beside the entry', 'javascript', 'main.js', { 'package.json': TEA }, 'package.json'],
    ['of development', 'javascript', 'main.js', { 'package.json': '{"devDependencies":{"tea":"1"}}' }, 'package.json'],
    ['above the entry', 'javascript', 'src/app/main.js', { 'package.json': TEA }, 'package.json'],
    [
      'nearest to the entry',
      'javascript',
      'app/main.js',
      { 'package.json': TEA, 'app/package.json': TEA },
      'app/package.json',
    ],
    [
      'above one that names nothing',
      'javascript',
      'app/main.js',
      { 'package.json': TEA, 'app/package.json': '{"type": "module"}' },
      'package.json',
    ],
    ['in a neighbour’s folder', 'javascript', 'app/main.js', { 'web/package.json': TEA }, undefined],
    ['that names nothing', 'javascript', 'main.js', { 'package.json': '{"dependencies": {}}' }, undefined],
    ['of another language', 'python', 'main.py', { 'package.json': TEA }, undefined],
    [
      'of two kinds',
      'python',
      'main.py',
      { 'pyproject.toml': 'dependencies = ["tea"]', 'requirements.txt': 'tea' },
      'requirements.txt',
    ],
    ['of remarks only', 'python', 'main.py', { 'requirements.txt': '# tea\n\n  # coffee\n' }, undefined],
    ['that refers to another', 'python', 'main.py', { 'requirements.txt': '-r more.txt\n' }, 'requirements.txt'],
    [
      'with a list over lines',
      'python',
      'main.py',
      { 'pyproject.toml': '[project]\ndependencies = [\n  "tea",\n]\n' },
      'pyproject.toml',
    ],
    ['with an empty list', 'python', 'main.py', { 'pyproject.toml': '[project]\ndependencies = []\n' }, undefined],
    ['of a module that needs none', 'go', 'main.go', { 'go.mod': 'module x\n\ngo 1.24\n' }, undefined],
    ['of a module that needs some', 'go', 'main.go', { 'go.mod': 'module x\nrequire (\n\ta v1.0.0\n)\n' }, 'go.mod'],
    ['of a crate that needs none', 'rust', 'src/main.rs', { 'Cargo.toml': '[package]\nname = "x"\n' }, undefined],
    [
      'of a crate for one platform',
      'rust',
      'src/main.rs',
      { 'Cargo.toml': '[target."cfg(unix)".dependencies]\ntea = "1"\n' },
      'Cargo.toml',
    ],
    ['of a Java project without any', 'java', 'Main.java', { 'pom.xml': '<project></project>' }, undefined],
  ];
  for (const [what, id, entry, files, expected] of found) {
    it(`${what} is ${expected ? 'found' : 'none'}`, async () => {
      const manifest = await find(id, entry, files);
      assert.equal(manifest && [manifest.folder, manifest.name].filter(Boolean).join('/'), expected);
    });
  }

  it('takes its lock file and the packages of its project along, and nothing else', async () => {
    const manifest = await find('javascript', 'app/main.js', {
      'app/main.js': '',
      'app/.npmrc': '//registry/:_authToken=secret',
      'app/.env': 'KEY=secret',
      'app/package.json': TEA,
      'app/package-lock.json': '{}',
      'app/parts/leaf/package.json': '{}',
      'app/node_modules/tea/package.json': '{}',
      'package.json': TEA,
    });
    assert.deepEqual(
      manifest?.files.map(({ path }) => path),
      ['app/package-lock.json', 'app/package.json', 'app/parts/leaf/package.json'],
    );
  });

  it('has another digest when its text, its lock file or its folder is another, and not for other files', async () => {
    const digest = async (files: Record<string, string>, entry = 'main.js') =>
      digestOf((await find('javascript', entry, files)) as NonNullable<Awaited<ReturnType<typeof find>>>);
    const usual = await digest({ 'package.json': TEA });
    assert.equal(await digest({ 'main.js': 'changed', 'package.json': TEA }), usual);
    const others = [
      await digest({ 'package.json': `${TEA} ` }),
      await digest({ 'package.json': TEA, 'package-lock.json': '{}' }),
      await digest({ 'app/package.json': TEA }, 'app/main.js'),
    ];
    assert.equal(new Set([usual, ...others]).size, 4);
  });
});

describe('registries', () => {
  const load = (value: string) => loadConfig({ CODERUNNER_REGISTRIES: value });
  const refused: [string, string][] = [
    ['no address', 'npm'],
    ['no tool', 'https://npm.example.com/'],
    ['a password, which an install script could read', 'npm=https://me:secret@npm.example.com/'],
    ['another kind of address', 'npm=file:///etc/passwd'],
    ['a query', 'pip=https://pypi.example.com/simple?token=secret'],
    ['a line break', 'npm=https://npm.example.com/\nFilterDefaultDeny No'],
    ['a quote', 'npm=https://npm.example.com/"'],
  ];
  for (const [what, value] of refused) {
    it(`are refused with ${what}`, () => {
      assert.throws(
        () => load(value),
        (error) => error instanceof CodeRunnerError && error.code === 'bad_setting',
      );
    });
  }
});
