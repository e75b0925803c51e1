/** Unchanged sources are not compiled again, for their owner; with a real compiler. */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../src/config.ts';
import type { Run, RunRequest } from '../../src/protocol/index.ts';
import { sha256 } from '../support/daemon.ts';
import { dataFolder, type Followed, TestDaemon } from '../support/live-daemon.ts';
import { TestRuntimes } from '../support/test-runtimes.ts';

const MAIN = `#include <stdio.h>
#include "answer.h"
int main(int argc, char **argv) { int unused; printf("%d %d\\n", ANSWER, argc); return 0; }
`;
const FILES = [
  { path: 'main.c', content: MAIN },
  { path: 'answer.h', content: '#define ANSWER 42\n' },
];

const stagesOf = ({ stages }: Run) => stages.map(({ stage }) => stage);

/** One bit of it is another. */
async function damage(path: string): Promise<void> {
  const bytes = await readFile(path);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  await writeFile(path, bytes);
}

describe('a program that was compiled before', () => {
  let runtimes: TestRuntimes;
  let daemon: TestDaemon;

  before(async function () {
    this.timeout(600_000);
    runtimes = await TestRuntimes.create('cached', 'c');
    daemon = await start();
  });
  after(async () => {
    await daemon?.[Symbol.asyncDispose]();
    await runtimes?.[Symbol.asyncDispose]();
  });

  const start = (settings: Partial<Config> = {}) => TestDaemon.start({ runtimesPath: runtimes.path, ...settings });

  /** Each test has sources of its own, as far as a compiler looks at comments. */
  const request = (more: Partial<RunRequest> = {}, files = FILES): RunRequest => ({
    runtime: 'cached',
    entry: 'main.c',
    files,
    stdin: null,
    ...more,
  });
  const compiles = ({ run, stdout }: Followed, output: string) => {
    assert.equal(stdout, output, JSON.stringify(run));
    assert.equal(run.state, 'succeeded');
    assert.deepEqual([run.compileCached, stagesOf(run)], [false, ['compile', 'run']]);
  };
  const finds = ({ run, stdout }: Followed, output: string) => {
    assert.equal(stdout, output, JSON.stringify(run));
    assert.equal(run.state, 'succeeded');
    assert.deepEqual([run.compileCached, stagesOf(run)], [true, ['run']]);
  };
  const own = (comment: string) => FILES.map((file) => ({ ...file, content: `${file.content}// ${comment}\n` }));

  it('is not compiled again, and what the compiler warned of is said again', async () => {
    const files = own('once');
    const first = await daemon.runToEnd(request({}, files));
    compiles(first, '42 1\n');
    assert.match(first.stderr, /unused/);
    const second = await daemon.runToEnd(request({ args: ['a', 'b'] }, files));
    finds(second, '42 3\n');
    assert.equal(second.stderr, first.stderr);
    assert.ok(!second.run.stages.some(({ wallMs }) => wallMs <= 0));
  });

  it('is found however its files came, and in whatever order', async () => {
    const files = own('hashed');
    compiles(await daemon.runToEnd(request({}, files)), '42 1\n');
    const hashed = [];
    for (const { path, content } of files.toReversed()) {
      const hash = sha256(content);
      assert.equal((await daemon.fetch('PUT', `/v1/blobs/${hash}`, content)).status, 204);
      hashed.push({ path, sha256: hash });
    }
    finds(await daemon.runToEnd({ ...request(), files: hashed }), '42 1\n');
  });

  it('is compiled again when anything that goes in has changed', async () => {
    const files = own('changed');
    compiles(await daemon.runToEnd(request({}, files)), '42 1\n');
    const header = files.map((file) => (file.path === 'answer.h' ? { ...file, content: '#define ANSWER 43\n' } : file));
    compiles(await daemon.runToEnd(request({}, header)), '43 1\n');
    compiles(await daemon.runToEnd(request({}, [...files, { path: 'notes.txt', content: '' }])), '42 1\n');
    compiles(await daemon.runToEnd(request({ env: { CPATH: '/tmp' } }, files)), '42 1\n');
    compiles(await daemon.runToEnd(request({ options: { std: 'c11' } }, files)), '42 1\n');
    finds(await daemon.runToEnd(request({ options: { std: 'c17' } }, files)), '42 1\n');
  });

  it('that does not compile is compiled each time', async () => {
    const files = [{ path: 'main.c', content: 'int main( { return 0; }\n' }];
    for (let time = 0; time < 2; time++) {
      const { run, stderr } = await daemon.runToEnd(request({}, files));
      assert.deepEqual([run.state, run.compileCached, stagesOf(run)], ['compile_failed', false, ['compile']]);
      assert.match(stderr, /main\.c:1:/);
    }
  });

  it('cannot change what the next run gets', async () => {
    const content = `#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) {
  system("find .coderunner -type f -exec sh -c 'rm -f {}; printf \\"#!/bin/sh\\necho poisoned\\" > {}; chmod 755 {}' \\\\;");
  puts(access(".coderunner", F_OK) == 0 ? "mine" : "none");
  return 0;
}
`;
    const files = [{ path: 'main.c', content }];
    compiles(await daemon.runToEnd(request({}, files)), 'mine\n');
    finds(await daemon.runToEnd(request({}, files)), 'mine\n');
    finds(await daemon.runToEnd(request({}, files)), 'mine\n');
  });

  it('is compiled again where its compiler hid what it made behind a link', async () => {
    const files = [...own('link'), { path: 'hide', content: '' }];
    for (let time = 0; time < 2; time++) compiles(await daemon.runToEnd(request({}, files)), '42 1\n');
  });

  it('shows nothing of ours among the files that it produced', async () => {
    const content = '#include <stdio.h>\nint main(void) { fclose(fopen("out.txt", "w")); return 0; }\n';
    const files = [{ path: 'main.c', content }];
    for (const cached of [false, true]) {
      const { run } = await daemon.runToEnd(request({ collect: ['**'] }, files));
      assert.equal(run.compileCached, cached);
      assert.deepEqual(
        run.files.map(({ path }) => path),
        ['out.txt'],
      );
    }
  });

  it('may not bring what compilers leave', async () => {
    const files = [...FILES, { path: '.coderunner/main', content: '#!/bin/sh\n', executable: true }];
    const { code, message } = await daemon.refusal('POST', '/v1/runs', request({}, files));
    assert.equal(code, 'bad_path');
    assert.match(message, /\.coderunner\/main/);
  });

  it('is compiled again where what was kept is gone or damaged', async () => {
    const dataDir = await dataFolder();
    const kept = join(dataDir, 'compiled', 'blobs');
    const once = async (check: typeof compiles) => {
      await using fresh = await start({ dataDir });
      check(await fresh.runToEnd(request()), '42 1\n');
    };
    try {
      await once(compiles);
      await once(finds);
      for (const spoil of [damage, (path: string) => rm(path)]) {
        const contents = (await readdir(kept, { recursive: true, withFileTypes: true })).filter((at) => at.isFile());
        assert.ok(contents.length > 0);
        for (const { parentPath, name } of contents) await spoil(join(parentPath, name));
        await once(compiles);
        await once(finds);
      }
    } finally {
      await rm(dataDir, { recursive: true });
    }
  }).timeout(60_000);

  it('is kept within the space there is, those that nobody has used for longest go first', async () => {
    await using small = await start({ compileCacheBytes: 2 ** 20 });
    const large = (name: string) => [
      {
        path: 'main.c',
        content: `#include <stdio.h>\nchar data[300000] = "${name}";\nint main(void) { puts(data); return 0; }\n`,
      },
    ];
    for (const name of ['a', 'b', 'c']) compiles(await small.runToEnd(request({}, large(name))), `${name}\n`);
    finds(await small.runToEnd(request({}, large('a'))), 'a\n');
    compiles(await small.runToEnd(request({}, large('d'))), 'd\n');
    finds(await small.runToEnd(request({}, large('a'))), 'a\n');
    compiles(await small.runToEnd(request({}, large('b'))), 'b\n');
  });

  it('is not kept at all where no space is given', async () => {
    await using without = await start({ compileCacheBytes: 0 });
    for (let time = 0; time < 2; time++) compiles(await without.runToEnd(request()), '42 1\n');
    assert.ok(!(await readdir(without.dataDir)).includes('compiled'));
  });
});
