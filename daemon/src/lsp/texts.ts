/** What the server says to people. A client may bring translations, by the English texts. */

export const TEXTS = {
  noNetwork: 'No network in the sandbox: `{0}` reaches nothing outside it.',
  notInstalled: '`{0}` does not come with {1}, and the sandbox installs nothing.',
  notListed: '`{0}` is not in {1}: the sandbox will not have it.',
  noManifest: 'There is no {0} that names `{1}`: the sandbox will not have it.',
  add: 'Add {0} to {1}',
  lastRun: 'Last run in the sandbox: {0}',
  cpu: 'CPU {0}',
  memory: 'memory {0}',
  failedHere: 'The program failed here.',
  notSaved: 'Only a document that is saved in a file can be run from here.',
} as const;

/** One of the texts, with values where it has `{0}`, `{1}`… */
export type Say = (text: keyof typeof TEXTS, ...values: string[]) => string;

/** @param strings translations, by the English texts; what has none is said in English */
export function speaker(strings: Readonly<Record<string, string>> = {}): Say {
  return (name, ...values) => {
    const english = TEXTS[name];
    const text = Object.hasOwn(strings, english) ? (strings[english] as string) : english;
    return text.replace(/\{(\d)\}/g, (whole, index) => values[Number(index)] ?? whole);
  };
}
