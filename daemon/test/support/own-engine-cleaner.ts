/**
 * Removes an engine of a test's own, with all that it started, when the test ends, however it does: it waits for the end of its stdin,
 * which comes when the test closes it or is killed.
 *
 *   node own-engine-cleaner.ts FOLDER
 *
 * Its processes are those that name FOLDER in their command line or environment, and those in a cgroup of FOLDER's name.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const CLEANER = basename(import.meta.filename);
const CGROUPS = '/sys/fs/cgroup';
const GONE_WITHIN_MS = 180_000;
const folder = process.argv[2] as string;

// Whoever ends the test by its process group or terminal must not end this before it has begun.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
for await (const _ of process.stdin);

const giveUpAt = performance.now() + GONE_WITHIN_MS;
// What one of them starts meanwhile is found the next time.
await until(async () => {
  const found = await processes();
  for (const pid of found) kill(pid);
  return found.length === 0;
}, 'its processes end');
for (const mount of await mounts()) await promisify(execFile)('umount', ['--lazy', mount]);
await rm(folder, { recursive: true, force: true });
for (const cgroup of await cgroups()) {
  await until(
    () =>
      rmdir(cgroup).then(
        () => true,
        () => !existsSync(cgroup), // the kernel lets go of it a little after its last process
      ),
    `${cgroup} can be removed`,
  );
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error(`${folder}: ${what}, and that takes too long.`);
    await sleep(10);
  }
}

async function processes(): Promise<number[]> {
  const found: number[] = [];
  for (const name of (await readdir('/proc')).filter((each) => /^\d+$/.test(each))) {
    const of = (file: string) => readFile(`/proc/${name}/${file}`, 'utf8').catch(() => ''); // it has ended
    const files = ['stat', 'cmdline', 'environ', 'cgroup'];
    const [stat = '', command = '', environment = '', cgroup = ''] = await Promise.all(files.map(of));
    const isOurs = command.includes(folder) || environment.includes(folder) || cgroup.includes(`/${basename(folder)}/`);
    const hasEnded = /^.*\) Z/.test(stat); // its parent has not asked yet
    if (isOurs && !hasEnded && !command.includes(CLEANER)) found.push(Number(name));
  }
  return found;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** What is mounted below the folder, the innermost first. */
async function mounts(): Promise<string[]> {
  const lines = (await readFile('/proc/self/mounts', 'utf8')).split('\n');
  const places = lines.map((line) => line.split(' ')[1] ?? '');
  return places.filter((place) => place.startsWith(`${folder}/`)).reverse();
}

/** Of the engine and its containers, in every hierarchy, the innermost first. */
async function cgroups(): Promise<string[]> {
  const roots = [CGROUPS, ...(await readdir(CGROUPS)).map((name) => join(CGROUPS, name))];
  const tops = roots.map((root) => join(root, basename(folder))).filter((top) => existsSync(top));
  const all = await Promise.all(
    tops.map(async (top) => {
      const below = await readdir(top, { recursive: true, withFileTypes: true });
      return [
        top,
        ...below.filter((entry) => entry.isDirectory()).map(({ parentPath, name }) => join(parentPath, name)),
      ];
    }),
  );
  return all.flat().sort().reverse();
}
