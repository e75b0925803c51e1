/**
 * Sentences that come to the extension in English, from the daemon and from what does not know VS Code. They are taken apart here, so that
 * they can be said in the language of the window. One that is not in the list stays as it came.
 */

/** Each with `{0}`, `{1}`… where its values are. Translated under this text, like all others. */
export const SENTENCES = [
  // How a run ended
  ...['', ' while it was compiled', ' while it was prepared'].flatMap((when) => [
    `Stopped: ran longer than {0}${when}.`,
    `Stopped: used more than {0} of CPU time${when}.`,
    `Stopped: printed more than {0}${when}.`,
    `Stopped: used more than {0} of memory${when}.`,
  ]),
  'Ended by {0}: it used memory that is not its own.',
  'Ended by {0}: an arithmetic error, such as a division by zero.',
  'Ended by {0}: it gave up by itself (abort).',
  'Ended by {0}: an instruction the processor does not know.',
  'Ended by {0}: it used memory that does not exist.',
  'Ended by {0}: it wrote a file beyond the size limit.',
  'Ended by {0}: it asked the kernel for what the sandbox refuses.',
  'Ended by {0}.',
  'It does not compile.',
  'The packages could not be installed.',
  'Cancelled: the daemon was stopped.',
  'Cancelled: nobody followed it for {0}.',
  'Lost: the daemon ended while the program ran.',
  'Lost: the sandbox or the container engine went away while the program ran.',
  // The files of a run
  '{0} has {1} of files; at most {2} go along with a run. Most is in {3}.',
  '{0} has more than {1} files, the most that go along with a run. Most are in {2}.',
  '{0} is a folder.',
  '{0} is no regular file.',
  '{0} is a binary file, not a program’s text.',
  'There is no file {0} any more.',
  '{0} cannot be read: {1}.',
  'Leave out what the program does not need, or run the file alone.',
  'Open the file that is to be run.',
  'Save it, then run it again.',
  'Look at its permissions.',
  // Languages
  '{0} is in no language that runs here. There are: {1}.',
  'Choose the language that it is in.',
  '{0} does not work here: {1}',
  'No language works here. {0}',
  'The daemon at {0} has not prepared {1} yet.',
  'Ask its operator to run `coderunner runtimes build`.',
  // The daemon
  'The address of the daemon, {0}, is none.',
  'Choose the daemon again.',
  'There is no token yet for the daemon at {0}.',
  'Enter the token that its operator gave you.',
  'The daemon does not stop.',
  'End its process {0}, then try again.',
  'The daemon at {0} does not answer: {1}.',
  'The daemon {0} is older than this program ({1}), and they do not understand each other.',
  'The daemon {0} is newer than this program ({1}), and they do not understand each other.',
  'Something that is no CodeRunner daemon answered with status {0}.',
  'Look at the address of the daemon, and at proxies on the way to it.',
  'Another daemon has the data folder {0}, but does not serve.',
  'The run is no longer followed.',
  'The connection to the daemon broke while input was under way; it is unknown how much of it arrived.',
  'Run it again.',
];

const PATTERNS = SENTENCES.map((text) => ({
  text,
  pattern: new RegExp(`^${RegExp.escape(text).replace(/\\\{\d\\\}/g, '(.+?)')}$`, 's'),
}));

/** @returns the text of the list that a sentence has, and its values; undefined where it has none */
export function takeApart(sentence: string): { text: string; values: string[] } | undefined {
  for (const { text, pattern } of PATTERNS) {
    const [whole, ...values] = pattern.exec(sentence) ?? [];
    if (whole !== undefined) return { text, values };
  }
  return undefined;
}
