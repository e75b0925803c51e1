/** `coderunner run` in a language whose image nobody has built yet. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findEngine } from '../../src/engine/discovery.ts';
import { Cli } from '../support/cli.ts';

describe('the first run in a language', () => {
  let runtimesPath: string;

  before(async () => {
    runtimesPath = await mkdtemp(join(tmpdir(), 'coderunner-runtimes-'));
    const folder = join(runtimesPath, 'reverse');
    await mkdir(folder);
    // The hash of an image is that of its Dockerfile: the folder's name makes it one that nobody has.
    await writeFile(
      join(folder, 'Dockerfile'),
      `ARG BASE\nARG AGENT\nFROM \${AGENT} AS agent\nFROM \${BASE}\nCOPY --from=agent / /\n# ${runtimesPath}\n`,
    );
    const runtime = { id: 'reverse', name: 'Reverse', version: '1', extensions: ['.rev'], entry: 'main.rev' };
    await writeFile(
      join(folder, 'runtime.json'),
      JSON.stringify({ ...runtime, run: { argv: ['/usr/bin/tac', '${entry}'] } }),
    );
  });

  after(async () => {
    const { docker } = await findEngine('');
    for (const { Id } of await docker.listImages({ filters: { label: ['coderunner.image=reverse'] } }))
      await docker.getImage(Id).remove({ force: true });
    await rm(runtimesPath, { recursive: true });
  });

  it('builds its image and goes on', async function () {
    this.timeout(600_000);
    await using cli = await Cli.create({ CODERUNNER_RUNTIMES_PATH: runtimesPath });
    await cli.file('main.rev', 'one\ntwo\n');
    const first = await cli.run(['run', 'main.rev']);
    assert.equal(first.code, 0, first.stderr);
    assert.equal(first.stdout.toString(), 'two\none\n');
    assert.match(first.stderr, /preparing reverse for its first run/);
    const second = await cli.run(['run', 'main.rev']);
    assert.deepEqual([second.code, second.stdout.toString(), second.stderr], [0, 'two\none\n', '']);
  });
});
