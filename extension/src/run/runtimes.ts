/** Which language a program is in. */
import { CodeRunnerError, type RuntimeInfo } from '@coderunner/daemon/protocol';
import type { Program } from './program.ts';

/**
 * By what the person chose, else the entry's ending, else the editor's language, else its `#!` line.
 * @throws CodeRunnerError unknown_runtime, naming the languages that there are
 */
export function chooseRuntime(
  { runtime, entry, languageId }: Pick<Program, 'runtime' | 'entry' | 'languageId'>,
  runtimes: readonly RuntimeInfo[],
  firstLine: string,
): RuntimeInfo {
  const lower = entry.toLowerCase();
  const interpreter = /^#!.*?(?:env\s+)?([a-z]+)[\d.]*\s*$/.exec(firstLine)?.[1];
  const chosen =
    (runtime === undefined ? undefined : runtimes.find(({ id }) => id === runtime)) ??
    runtimes.find(({ extensions }) => extensions.some((extension) => lower.endsWith(extension))) ??
    runtimes.find(({ languageIds }) => languageId !== undefined && languageIds.includes(languageId)) ??
    runtimes.find(
      ({ id, aliases }) => interpreter !== undefined && (id === interpreter || aliases.includes(interpreter)),
    );
  if (chosen) return chosen;
  const there = runtimes.map(({ name }) => name).join(', ');
  throw new CodeRunnerError('unknown_runtime', `${entry} is in no language that runs here. There are: ${there}.`, {
    hint: 'Choose the language that it is in.',
  });
}
