import assert from 'node:assert/strict';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import pino from 'pino';
import { loadConfig } from '../../src/config.ts';
import { CompileCache, type CompileInputs } from '../../src/runs/compile-cache.ts';
import { Store } from '../../src/store/store.ts';
import { afterwards, cleanUpAfterEach, sha256, temporaryFolder } from '../support/daemon.ts';

cleanUpAfterEach();

const INPUTS: CompileInputs = {
  image: 'coderunner/c:1',
  packages: null,
  argv: ['gcc', 'main.c'],
  env: { PATH: '/bin', HOME: '/workspace' },
  files: [
    { path: 'main.c', sha256: sha256('main'), executable: false },
    { path: 'a.h', sha256: sha256('a'), executable: false },
  ],
  warm: false,
};
const MADE = {
  files: [{ path: '.coderunner/main', bytes: Buffer.from('machine code'), executable: true }],
  printed: Buffer.from('a warning'),
};

async function open(settings: { compileCacheBytes?: number } = {}) {
  const dataDir = await temporaryFolder();
  const store = new Store(dataDir);
  afterwards(() => store[Symbol.dispose]());
  const config = loadConfig({}, { dataDir, ...settings });
  return { dataDir, store, cache: new CompileCache({ store, config, log: pino({ level: 'silent' }) }) };
}

describe('compiled programs', () => {
  it('are found with all that came with them', async () => {
    const { cache } = await open();
    assert.equal(await cache.find('me', INPUTS), undefined);
    await cache.keep('me', INPUTS, MADE);
    const found = await cache.find('me', INPUTS);
    assert.deepEqual(found?.files, MADE.files);
    assert.deepEqual(Buffer.from(found?.printed ?? ''), MADE.printed);
  });

  it('are their owner’s alone', async () => {
    const { cache } = await open();
    await cache.keep('me', INPUTS, MADE);
    assert.equal(await cache.find('you', INPUTS), undefined);
    const other = { files: [{ ...MADE.files[0], bytes: Buffer.from('poison') }], printed: Buffer.alloc(0) };
    await cache.keep('you', INPUTS, other as typeof MADE);
    assert.deepEqual((await cache.find('me', INPUTS))?.files, MADE.files);
  });

  const others: [string, Partial<CompileInputs>][] = [
    ['another compiler', { image: 'coderunner/c:2' }],
    ['other packages', { packages: 'packages 1' }],
    ['another option', { argv: ['gcc', '-O2', 'main.c'] }],
    ['arguments cut elsewhere', { argv: ['gcc main.c'] }],
    ['another environment', { env: { ...INPUTS.env, CPATH: '/x' } }],
    ['other contents', { files: INPUTS.files.map((file) => ({ ...file, sha256: sha256('b') })) }],
    ['another name', { files: INPUTS.files.map((file) => ({ ...file, path: `x${file.path}` })) }],
    ['a file more', { files: [...INPUTS.files, { path: 'b.h', sha256: sha256('b'), executable: false }] }],
    ['an executable file', { files: INPUTS.files.map((file) => ({ ...file, executable: true })) }],
    ['a compiler that starts cold', { warm: true }],
  ];
  for (const [what, change] of others) {
    it(`are not found for ${what}`, async () => {
      const { cache } = await open();
      await cache.keep('me', INPUTS, MADE);
      assert.equal(await cache.find('me', { ...INPUTS, ...change }), undefined);
    });
  }

  it('are found in whatever order files and variables were given', async () => {
    const { cache } = await open();
    await cache.keep('me', INPUTS, MADE);
    const env = { HOME: '/workspace', PATH: '/bin' };
    assert.ok(await cache.find('me', { ...INPUTS, env, files: INPUTS.files.toReversed() }));
  });

  it('are forgotten where their contents are gone', async () => {
    const { cache, store, dataDir } = await open();
    await cache.keep('me', INPUTS, MADE);
    await rm(join(dataDir, 'compiled'), { recursive: true });
    const fresh = new CompileCache({ store, config: loadConfig({}, { dataDir }), log: pino({ level: 'silent' }) });
    assert.equal(await fresh.find('me', INPUTS), undefined);
    await fresh.keep('me', INPUTS, MADE);
    assert.ok(await fresh.find('me', INPUTS));
  });

  it('stay within their space, contents and index', async () => {
    const { cache, dataDir } = await open({ compileCacheBytes: 64 * 1024 });
    const inputs = (number: number) => ({ ...INPUTS, argv: [`${number}`] });
    for (let number = 0; number < 100; number++) {
      const bytes = Buffer.alloc(4 * 1024, `${number} `);
      await cache.keep('me', inputs(number), {
        files: [{ path: '.coderunner/main', bytes, executable: true }],
        printed: bytes,
      });
    }
    const folder = join(dataDir, 'compiled', 'blobs');
    const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const sizes = await Promise.all(
      files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size),
    );
    assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 64 * 1024);
    const found = await Promise.all(Array.from({ length: 100 }, (_, number) => cache.find('me', inputs(number))));
    const numbers = found.flatMap((one, number) => (one ? [number] : []));
    assert.deepEqual(numbers, [93, 94, 95, 96, 97, 98, 99], 'the latest, by what they take in all');
  });

  it('are not kept where that fails, and nobody is bothered', async () => {
    const { cache } = await open();
    await cache.keep('me', INPUTS, {
      ...MADE,
      files: [...MADE.files, { path: 'x', bytes: null as never, executable: false }],
    });
    assert.equal(await cache.find('me', INPUTS), undefined);
  });
});
