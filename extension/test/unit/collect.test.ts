import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { CodeRunnerError } from '@coderunner/daemon/protocol';
import { type CollectOptions, collect, collectAlone, HashCache, TooMuch } from '../../src/run/collect.ts';

/** As somebody who may not read everything: root, as which tests may run, may. */
async function collectAsNobody(root: string): Promise<{ files: string[]; unreadable: string[] }> {
  const module = JSON.stringify(new URL('../../src/run/collect.ts', import.meta.url).href);
  const options = { root, entry: 'main.py', exclude: [], maxFiles: 100, maxBytes: 2 ** 20 };
  const source = `
    const { collect, HashCache } = await import(${module});
    if (process.getuid() === 0) process.setuid(65534);
    const options = { ...${JSON.stringify(options)}, unsaved: new Map(), signal: new AbortController().signal };
    const { files, unreadable } = await collect(options, new HashCache());
    console.log(JSON.stringify({ files: files.map(({ path }) => path), unreadable }));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', source]);
  return JSON.parse(stdout);
}

describe('Collecting the files of a run', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'coderunner-collect-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const write = async (files: Record<string, string>) => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
  };
  const options = (more: Partial<CollectOptions> = {}): CollectOptions => ({
    root,
    entry: 'main.py',
    unsaved: new Map(),
    exclude: [],
    maxFiles: 100,
    maxBytes: 2 ** 20,
    signal: new AbortController().signal,
    ...more,
  });
  const paths = async (more: Partial<CollectOptions> = {}) =>
    (await collect(options(more), new HashCache())).files.map(({ path }) => path);

  it('takes the folder’s files, the entry first', async () => {
    await write({ 'main.py': '', 'a.py': '', 'lib/b.py': '' });
    assert.deepEqual(await paths(), ['main.py', 'a.py', 'lib/b.py']);
  });

  it('leaves out what is hidden, ignored or excluded', async () => {
    await write({
      'main.py': '',
      '.env': '',
      '.git/config': '',
      '.gitignore': '*.log\nbuild/\n',
      'a.log': '',
      'build/x.py': '',
      'lib/.gitignore': '!keep.log\n/secret.py\n',
      'lib/keep.log': '',
      'lib/secret.py': '',
      'lib/deep/secret.py': '',
      'node_modules/x/index.js': '',
      'data/one.csv': '',
      'data/two.tsv': '',
      'data/three.txt': '',
    });
    assert.deepEqual(await paths({ exclude: ['**/node_modules', 'data/*.{csv,tsv}'] }), [
      'main.py',
      'data/three.txt',
      'lib/deep/secret.py',
      'lib/keep.log',
    ]);
  });

  it('takes the entry whatever the rules say', async () => {
    await write({ 'main.py': 'print()', '.gitignore': '*' });
    assert.deepEqual(await paths(), ['main.py']);
  });

  it('takes what is unsaved instead of what is saved', async () => {
    await write({ 'main.py': 'old', 'b.py': 'old' });
    const unsaved = new Map([['b.py', Buffer.from('new')]]);
    const { files } = await collect(options({ unsaved }), new HashCache());
    assert.equal(files.find(({ path }) => path === 'b.py')?.content.toString(), 'new');
    assert.equal(files.length, 2);
  });

  it('goes through no link, so that circles end', async () => {
    await write({ 'main.py': '', 'lib/a.py': '' });
    await symlink('..', join(root, 'lib/up'));
    await symlink('/etc/passwd', join(root, 'passwd'));
    assert.deepEqual(await paths(), ['main.py', 'lib/a.py']);
  });

  it('names the folders that hold too many files', async () => {
    await write({ 'main.py': '', ...Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`data/${n}.txt`, ''])) });
    await assert.rejects(collect(options({ maxFiles: 20 }), new HashCache()), (error) => {
      assert.ok(error instanceof TooMuch && error.code === 'too_many_files');
      assert.equal(error.offenders[0], 'data');
      assert.match(error.message, /more than 20 files.*data/);
      return true;
    });
  });

  it('names what weighs too much', async () => {
    await write({ 'main.py': '', 'model.bin': 'x'.repeat(4_096), 'small.txt': 'x' });
    await assert.rejects(collect(options({ maxBytes: 1_024 }), new HashCache()), (error) => {
      assert.ok(error instanceof TooMuch && error.code === 'too_large');
      assert.equal(error.offenders[0], 'model.bin');
      return true;
    });
  });

  it('sends a large folder by hashes, and reads a file again only when it has changed', async () => {
    await write({ 'main.py': 'print()', 'big.txt': 'x'.repeat(100_000) });
    const long = new Date(Date.now() - 60_000);
    await utimes(join(root, 'big.txt'), long, long);
    const hashes = new HashCache();
    const hashOf = async () =>
      (await collect(options(), hashes)).files.find(({ path }) => path === 'big.txt')?.sha256 as string;
    const first = await hashOf();
    assert.match(first, /^[0-9a-f]{64}$/);
    // Other contents of the same size and time: only a cache can answer the same.
    await writeFile(join(root, 'big.txt'), 'y'.repeat(100_000));
    await utimes(join(root, 'big.txt'), long, long);
    assert.equal(await hashOf(), first);
    await utimes(join(root, 'big.txt'), long, new Date(Date.now() - 30_000));
    assert.notEqual(await hashOf(), first);
  });

  it('refuses gigabytes without reading them, naming where they are', async () => {
    await write({ 'main.py': '', 'data/a.bin': '', 'data/deep/b.bin': '', 'other.bin': '' });
    for (const [name, gibibytes] of [
      ['data/a.bin', 1],
      ['data/deep/b.bin', 1],
      ['other.bin', 0.5],
    ] as const)
      await truncate(join(root, name), gibibytes * 2 ** 30);
    const hashes = new HashCache();
    await assert.rejects(collect(options({ maxBytes: 64 * 2 ** 20 }), hashes), (error) => {
      assert.ok(error instanceof TooMuch);
      assert.match(error.message, /has 2\.5 GiB of files; at most 64 MiB .* Most is in data and other\.bin\./);
      return true;
    });
    assert.equal(hashes.filesRead, 0);
  });

  it('leaves out what cannot be read, and names it', async () => {
    await write({ 'main.py': '', 'private.key': 'x', 'closed/a.py': '' });
    await chmod(join(root, 'private.key'), 0);
    await chmod(join(root, 'closed'), 0);
    await chmod(root, 0o755);
    const { files, unreadable } = await collectAsNobody(root);
    assert.deepEqual(files, ['main.py']);
    assert.deepEqual(unreadable.sort(), ['closed/', 'private.key']);
    await chmod(join(root, 'closed'), 0o755);
  });

  it('says of an entry that cannot be read that this is why', async () => {
    await write({ 'main.py': '' });
    await chmod(join(root, 'main.py'), 0);
    await chmod(root, 0o755);
    await assert.rejects(collectAsNobody(root), /main\.py cannot be read: .*permission denied/);
  });

  it('refuses a binary file as entry', async () => {
    await write({ 'main.py': 'ELF\0\0\0' });
    await assert.rejects(paths(), (error) => error instanceof CodeRunnerError && /binary/.test(error.message));
    await assert.rejects(collectAlone(join(root, 'main.py'), 'main.py'), /binary/);
  });

  it('says that an entry is gone, or is a folder', async () => {
    await assert.rejects(paths(), /no file main\.py any more/);
    await mkdir(join(root, 'main.py'));
    await assert.rejects(paths(), /is a folder/);
  });

  it('tells which programs can be executed', async () => {
    await write({ 'main.py': '', 'tool.sh': '' });
    await chmod(join(root, 'tool.sh'), 0o755);
    const { files } = await collect(options(), new HashCache());
    assert.deepEqual(
      files.map(({ path, executable }) => [path, executable]),
      [
        ['main.py', false],
        ['tool.sh', true],
      ],
    );
  });
});
