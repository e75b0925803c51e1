/** Which language a program is in. */
import { CodeRunnerError, type RuntimeInfo } from '@coderunner/daemon/protocol';
import type { Program } from './program.ts';

/**
 * By what the person chose, else the entry's ending, else the editor's language, else its `#!` line.
 * @throws CodeRunnerError unknown_runtime, naming the languages that there are; bad_runtime where none works
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
  const broken = runtimes.filter(({ state }) => state === 'broken');
  const usable = runtimes.filter(({ state }) => state !== 'broken');
  // It may well be one of those; nothing is known about them but their names.
  if (broken.length > 0 && usable.length === 0)
    throw new CodeRunnerError('bad_runtime', `No language works here. ${broken[0]?.problem ?? ''}`.trim());
  const there = usable.map(({ name }) => name).join(', ');
  throw new CodeRunnerError('unknown_runtime', `${entry} is in no language that runs here. There are: ${there}.`, {
    hint: 'Choose the language that it is in.',
  });
}
