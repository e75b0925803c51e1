/** Builds a language's image on this machine, with a notification that shows the build's own steps and can be cancelled. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { CodeRunnerError, ERRORS, type ErrorCode, type RuntimeInfo } from '@coderunner/daemon/protocol';
import { l10n, ProgressLocation, window } from 'vscode';
import type { LocalDaemon } from './local.ts';

/** `image of python 3/12: RUN apt-get install …`, as `coderunner runtimes build` prints it. */
const STEP = /^(.+?) (\d+)\/(\d+): (.*)$/;
const LAST_LINES = 20;

/**
 * @param image what to build, as the command line calls it, and its name for people
 * @param onLine told everything that the build prints
 * @param signal cancels it, as the notification's button does
 * @throws CodeRunnerError build_failed; an AbortError when it was cancelled
 */
export async function buildImage(
  local: LocalDaemon,
  image: Pick<RuntimeInfo, 'id' | 'name'>,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const title = l10n.t('Preparing {0} for its first run', image.name);
  await window.withProgress(
    { location: ProgressLocation.Notification, title, cancellable: true },
    async (progress, token) => {
      const cancelled = new AbortController();
      token.onCancellationRequested(() => cancelled.abort());
      const stop = AbortSignal.any([signal, cancelled.signal]);
      stop.throwIfAborted();
      const child = local.spawn(['runtimes', 'build', image.id]);
      const end = () => child.kill('SIGINT');
      stop.addEventListener('abort', end);
      try {
        const exited = once(child, 'exit') as Promise<[number | null]>;
        const last: string[] = [];
        let done = 0;
        const reading = (async () => {
          if (!child.stderr) return;
          for await (const line of createInterface({ input: child.stderr })) {
            onLine(line);
            last.push(line);
            if (last.length > LAST_LINES) last.shift();
            const [, part, step, steps, what] = STEP.exec(line) ?? [];
            if (!step) continue;
            const percent = (Number(step) / Number(steps)) * 100;
            progress.report({
              message: `${part} ${step}/${steps}: ${what?.slice(0, 80)}`,
              increment: Math.max(0, percent - done),
            });
            done = Math.max(done, percent);
          }
        })();
        const [[code]] = await Promise.all([exited, reading, child.stdout && text(child.stdout)]);
        stop.throwIfAborted();
        if (code !== 0) throw failureOf(image.name, last);
      } finally {
        stop.removeEventListener('abort', end);
      }
    },
  );
}

/** The command line ends with `coderunner: CODE: MESSAGE` and, further in, the way out. */
function failureOf(name: string, lines: readonly string[]): CodeRunnerError {
  const at = lines.findLastIndex((line) => /^coderunner: [a-z_]+: /.test(line));
  const [, code, message] = /^coderunner: ([a-z_]+): (.*)$/.exec(lines[at] ?? '') ?? [];
  const known = code !== undefined && code in ERRORS ? (code as ErrorCode) : 'build_failed';
  return new CodeRunnerError(
    known,
    known === 'build_failed'
      ? l10n.t('{0} could not be prepared: {1}', name, message ?? lines.at(-1) ?? '')
      : (message ?? ''),
    {
      hint:
        known === 'build_failed'
          ? l10n.t('What the build printed is in the console.')
          : lines
              .slice(at + 1)
              .map((line) => line.trim())
              .join(' ') || ERRORS[known].hint,
      details: lines,
    },
  );
}
