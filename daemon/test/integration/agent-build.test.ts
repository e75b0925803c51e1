/**
 * The agent's own unit tests and fuzz targets, built with the compiler that builds the agent: in a container of the stage that its
 * image is built in, which the engine still has from building that.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { Container } from 'dockerode';
import tar, { type Pack } from 'tar-stream';
import { BUNDLED_RUNTIMES, loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { buildImages } from '../helpers/images.ts';

const BUILD_WITHIN_MS = 600_000;

/** Packs files below `runtimes/`. */
async function pack(paths: string[]): Promise<Pack> {
  const archive = tar.pack();
  for (const path of paths) archive.entry({ name: path, mode: 0o644 }, await readFile(join(BUNDLED_RUNTIMES, path)));
  archive.finalize();
  return archive;
}

async function filesIn(folder: string, recursive = false): Promise<string[]> {
  const entries = await readdir(join(BUNDLED_RUNTIMES, folder), { recursive, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(BUNDLED_RUNTIMES, join(entry.parentPath, entry.name)))
    .sort();
}

/** The build stage with the compiler, by its id. The context is that of the agent's image, so that all steps are in the engine's cache. */
async function buildStage({ docker }: Engine, base: string): Promise<string> {
  const files = (await filesIn('agent')).filter((path) => !/\/README/.test(path));
  const stream = await docker.buildImage((await pack(files)) as unknown as NodeJS.ReadableStream, {
    dockerfile: 'agent/Dockerfile',
    target: 'agent',
    buildargs: { BASE: base },
    forcerm: true,
  });
  let id: string | undefined;
  for await (const line of createInterface({ input: stream })) {
    const event = JSON.parse(line) as { error?: string; aux?: { ID?: string } };
    assert.equal(event.error, undefined);
    id = event.aux?.ID ?? id;
  }
  assert.ok(id, 'the engine named no image');
  return id;
}

describe('the agent’s own tests, on the Debian that it is built on', () => {
  let container: Container;
  let printed: string;
  let exitCode: number;

  before(async function () {
    this.timeout(BUILD_WITHIN_MS);
    const config = loadConfig();
    await using engine = await Engine.connect(config);
    const { images } = await buildImages(config, engine, ['python']); // any: the agent comes with it
    container = await engine.docker.createContainer({
      Image: await buildStage(engine, images.tag({ id: 'base' })),
      Entrypoint: ['make'],
      Cmd: [
        '--keep-going',
        '--jobs=2',
        '-C',
        '/src/agent',
        'BUILD=/tmp/build',
        'test',
        'replay',
        'REPLAY_MUTATIONS=3000',
      ],
      User: '10001:10001', // the tests need no rights
      Tty: true, // so that the output is not in frames
      HostConfig: { NetworkMode: 'none' },
    });
    const tests = [
      ...(await filesIn('agent')),
      ...(await filesIn('agent/test')),
      ...(await filesIn('agent/fuzz', true)),
    ];
    await container.putArchive((await pack(tests)) as unknown as NodeJS.ReadableStream, { path: '/src' });
    const output = text(await container.attach({ stream: true, stdout: true, stderr: true }));
    const ended = container.wait();
    await container.start();
    printed = await output;
    exitCode = ((await ended) as { StatusCode: number }).StatusCode;
  });

  after(async () => {
    await container?.remove({ force: true, v: true });
  });

  it('pass under the sanitizers, with every warning an error', () => {
    const [, passed, failed] = /^(\d+) passed, (\d+) failed\r$/m.exec(printed) ?? assert.fail(printed);
    assert.equal(failed, '0', printed);
    assert.ok(Number(passed) > 80, printed);
    assert.equal(exitCode, 0, printed);
  });

  it('replay every fuzz target’s corpus and what is made from it', async () => {
    const targets = (await filesIn('agent/fuzz')).flatMap((path) => /(\w+)_target\.c$/.exec(path)?.[1] ?? []);
    assert.ok(targets.length > 0);
    for (const target of targets) {
      const corpus = await filesIn(`agent/fuzz/corpus/${target}`);
      assert.ok(corpus.length > 0, target);
      const line = `replay-${target}: ${corpus.length} inputs of the corpus and 3000 made from them`;
      assert.ok(printed.includes(line), `${line}\n${printed}`);
    }
  });
});
