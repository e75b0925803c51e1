/** The examples of every language, as a person runs them at the console. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { ROOT } from '../harness/environment.ts';
import type { Window } from '../harness/window.ts';

const RUNTIMES = join(ROOT, 'runtimes');
/** What the examples print is said where the languages themselves are tested. */
const PROMISES = join(ROOT, 'daemon/test/fixtures/programs');

interface Promised {
  /** From the language's examples on; what is in `project/` is a folder of its own. */
  entry: string;
  args?: string[];
  stdin?: string;
  stdout?: string;
  files?: Record<string, string>;
}

export interface Example {
  entry: string;
  /** What is typed, a line at a time, before the input ends; undefined where the program asks for nothing. */
  typed: string[] | undefined;
  /** How often Ctrl-D is pressed then: what fills a buffer before it looks at it reads on after the first. */
  ends: number;
  /** On the screen in the end. */
  shows: string;
  /** Names of the files that it leaves. */
  leaves: string[];
}

/** Every language with examples, by its id; one that is added takes part by itself. */
export function examples(): Map<string, Example[]> {
  const languages = readdirSync(RUNTIMES).filter((id) => existsSync(join(RUNTIMES, id, 'examples')));
  return new Map(languages.map((id) => [id, examplesOf(id)]));
}

/** Where the examples of a language are. */
export function folderOf(id: string): string {
  return join(RUNTIMES, id, 'examples');
}

function examplesOf(id: string): Example[] {
  const promised: Promised[] = JSON.parse(readFileSync(join(PROMISES, id, 'examples.json'), 'utf8'));
  return promised
    .filter(({ args }) => args === undefined)
    .map(({ entry, stdin, stdout = '', files = {} }) => ({
      entry,
      typed: stdin?.trimEnd().split('\n'),
      ends: id === 'sql' ? 2 : 1,
      shows:
        stripVTControlCharacters(stdout)
          .trimEnd()
          .split(/[\r\n]/)
          .at(-1) ?? '',
      leaves: Object.keys(files),
    }));
}

/** How those are played that answer what is typed, by their names without the ending. */
export const CONVERSATIONS: Record<string, (window: Window) => Promise<void>> = {
  async guess(window) {
    let [least, most] = [1, 20];
    for (let tries = 1; ; tries++) {
      const guess = Math.floor((least + most) / 2);
      await window.shows(new RegExp(`(Your guess: .*){${tries}}`));
      await window.type(`${guess}\n`);
      const answer = new RegExp(`Your guess: ${guess}\\s*(Higher!|Lower!|Right, after ${tries} tr)`);
      await window.shows(answer);
      const [, said] = answer.exec(await window.screen.innerText()) ?? [];
      if (said?.startsWith('Right')) return;
      if (said === 'Higher!') least = guess + 1;
      else most = guess - 1;
    }
  },
  async interactive(window) {
    await window.shows('What is your name?');
    await window.type('Ada\n');
    await window.shows('When were you born?');
    await window.type('2000\n');
    await window.shows(/Ada turns \d+ this year\./);
  },
};
