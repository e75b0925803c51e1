/** Produced files on their way back: from the daemon into a folder, and nowhere else. */
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { DaemonApi } from '../client/api.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import type { ProducedFile } from '../protocol/resources.ts';
import { reason } from './output.ts';

/**
 * Writes one file below `out`, whole or not at all. Neither its name nor a link that lies in the way leads out of that folder.
 * @returns where it is
 * @throws CodeRunnerError bad_path
 */
export async function fetchFile(api: DaemonApi, file: ProducedFile, out: string): Promise<string> {
  const target = resolve(out, file.path);
  try {
    await write(api, file, out, target);
  } catch (error) {
    const isOfTheSystem = (error as NodeJS.ErrnoException).syscall !== undefined;
    if (!isOfTheSystem) throw error;
    throw new CodeRunnerError('bad_path', `${target} cannot be written: ${reason(error)}.`, {
      hint: 'Collect into a folder that you may write to, and that has room.',
      cause: error,
    });
  }
  return target;
}

async function write(api: DaemonApi, { path, sha256 }: ProducedFile, out: string, target: string): Promise<void> {
  if (!isBelow(resolve(out), target)) throw leadsOut(path, out);
  await mkdir(dirname(target), { recursive: true });
  if (!isBelow(await realpath(out), join(await realpath(dirname(target)), basename(target)))) throw leadsOut(path, out);
  const aside = `${target}.${randomBytes(6).toString('hex')}`;
  try {
    await pipeline(Readable.fromWeb(await api.blob(sha256)), createWriteStream(aside, { flags: 'wx' }));
    await rename(aside, target);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

function isBelow(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && resolve(folder, way) === path;
}

function leadsOut(path: string, out: string): CodeRunnerError {
  return new CodeRunnerError('bad_path', `The produced file ${path} leads out of ${out}, so it was not written.`, {
    hint: 'Collect into a folder without links to elsewhere.',
  });
}
