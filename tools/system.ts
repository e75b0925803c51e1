/** Changes to the machine that set-up makes, never behind a person's back. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline/promises';

/** Ends set-up with sentences for the person: what is wrong, and a way out. */
export class Refusal extends Error {}

/** Writes a line for the person; stdout belongs to the program that is run afterwards. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Whether a program is there. The folders of system programs count too, which are not on everybody's PATH. */
export function onPath(program: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The commands that install packages of Debian or one of its descendants. */
export function aptInstall(...packages: string[]): string[][] {
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages];
  return [
    ['apt-get', 'update'],
    ['env', 'DEBIAN_FRONTEND=noninteractive', ...install],
  ];
}

/**
 * Runs commands as root, one after the other, after it has said why and which. At a terminal it asks first; elsewhere (CI, a
 * script) nobody could answer, so it goes ahead unless CODERUNNER_NO_INSTALL is set.
 * @throws Refusal when it may not, the person does not want it, or a command fails; the signal's reason when aborted
 */
export async function change(why: string, commands: string[][], signal: AbortSignal): Promise<void> {
  const isRoot = process.getuid?.() === 0;
  const interactive = Boolean(process.stdin.isTTY && process.stderr.isTTY);
  // Without a terminal sudo could not ask for a password; it fails then, instead of waiting for one.
  const prefix = isRoot ? [] : interactive ? ['sudo'] : ['sudo', '-n'];
  const lines = commands.map((command) => `    ${[...prefix, ...command].map(quote).join(' ')}`).join('\n');
  const byHand = `To do it yourself:\n${lines}\nThen start again.`;
  if (process.env.CODERUNNER_NO_INSTALL) {
    throw new Refusal(`${why} CODERUNNER_NO_INSTALL is set, so nothing is changed here. ${byHand}`);
  }
  if (!isRoot && !onPath('sudo')) throw new Refusal(`${why} That needs root, and sudo is not there. ${byHand}`);
  say(`${why} ${interactive ? 'This would be run' : 'Running'}:\n${lines}`);
  if (interactive && !(await confirm(signal))) throw new Refusal(`Nothing was changed. ${byHand}`);
  for (const command of commands) {
    const full = [...prefix, ...command];
    const failure = await run(full, signal);
    if (failure)
      throw new Refusal(`\`${full.map(quote).join(' ')}\` failed (${failure}). Mend that, then start again.`);
  }
}

/** The terminal stays in its ordinary mode, so that Ctrl-C is a signal, here as everywhere. The end of input is a no. */
async function confirm(signal: AbortSignal): Promise<boolean> {
  using terminal = createInterface({ input: process.stdin, output: process.stderr, terminal: false });
  const closed = once(terminal, 'close').then(() => '');
  const answer = await Promise.race([terminal.question('Go ahead? [y/N] ', { signal }), closed]);
  return /^y(es)?$/i.test(answer.trim());
}

/**
 * Runs a program to its end; all that it prints goes to stderr. At a terminal Ctrl-C reaches it by itself.
 * @returns how it failed, or undefined. @throws the signal's reason when it was aborted meanwhile
 */
export async function run([program = '', ...args]: string[], signal: AbortSignal): Promise<string | undefined> {
  signal.throwIfAborted();
  const child = spawn(program, args, { stdio: ['inherit', 2, 2] });
  const stop = () => child.kill();
  signal.addEventListener('abort', stop);
  const failure = await new Promise<string | undefined>((resolve) => {
    child.on('error', ({ message }) => resolve(message));
    child.on('exit', (code, by) => resolve(code === 0 ? undefined : `${by ?? `exit code ${code}`}`));
  });
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  return failure;
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
