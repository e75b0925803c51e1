/** Runs the own tests of what images are built from, in a container of the stage that it is built in, which the engine still has. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { buffer, text } from 'node:stream/consumers';
import tar, { type Pack } from 'tar-stream';
import { BUNDLED_RUNTIMES } from '../../src/config.ts';
import type { Engine } from '../../src/engine/engine.ts';

export interface StageTest {
  /** Folder below `runtimes/`, with the Dockerfile. */
  folder: string;
  /** The stage with the compiler. */
  stage: string;
  buildargs: Record<string, string>;
  /** Of `make`, in a container where `/src` has the whole folder. */
  args: string[];
  /** Changes a source on its way into the container. */
  alter?: (path: string, source: Buffer) => Buffer;
  /** A file of the container that is wanted when `make` succeeded. */
  wanted?: string;
}

/** @returns what `make` printed, its exit code, and the file that was wanted */
export async function makeInStage(
  engine: Engine,
  { folder, stage, buildargs, args, alter, wanted }: StageTest,
): Promise<{ printed: string; exitCode: number; file: Buffer | undefined }> {
  const container = await engine.docker.createContainer({
    Image: await buildStage(engine, folder, stage, buildargs),
    Entrypoint: ['make'],
    Cmd: args,
    User: '10001:10001', // the tests need no rights
    Tty: true, // so that the output is not in frames
    HostConfig: { NetworkMode: 'none' },
  });
  try {
    const sources = (await pack(await filesBelow(folder), alter)) as unknown as NodeJS.ReadableStream;
    await container.putArchive(sources, { path: '/src' });
    const output = text(await container.attach({ stream: true, stdout: true, stderr: true }));
    // By itself it would not wait for one that has not been started.
    const ended = container.wait({ condition: 'next-exit' });
    await container.start();
    const { StatusCode: exitCode } = (await ended) as { StatusCode: number };
    const file =
      wanted !== undefined && exitCode === 0 ? await only(await container.getArchive({ path: wanted })) : undefined;
    return { printed: await output, exitCode, file };
  } finally {
    await container.remove({ force: true, v: true });
  }
}

/** Paths below `runtimes/`, sorted; nothing of what a build leaves behind. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(join(BUNDLED_RUNTIMES, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(BUNDLED_RUNTIMES, join(entry.parentPath, entry.name)))
    .filter((path) => !/\/build\//.test(path))
    .sort();
}

async function pack(paths: string[], alter = (_path: string, source: Buffer) => source): Promise<Pack> {
  const archive = tar.pack();
  for (const path of paths)
    archive.entry({ name: path, mode: 0o644 }, alter(path, await readFile(join(BUNDLED_RUNTIMES, path))));
  archive.finalize();
  return archive;
}

/** The one file of an archive. */
async function only(archive: NodeJS.ReadableStream): Promise<Buffer | undefined> {
  for await (const entry of archive.pipe(tar.extract())) return await buffer(entry);
}

/** The stage by its id. The context is that of the image, so that all steps are in the engine's cache. */
async function buildStage(
  { docker }: Engine,
  folder: string,
  target: string,
  buildargs: Record<string, string>,
): Promise<string> {
  const files = (await filesBelow(folder)).filter((path) => !/^[^/]+\/((examples|test|fuzz)\/|README)/.test(path));
  const stream = await docker.buildImage((await pack(files)) as unknown as NodeJS.ReadableStream, {
    dockerfile: `${folder}/Dockerfile`,
    target,
    buildargs,
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
