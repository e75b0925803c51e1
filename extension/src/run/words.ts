/** Arguments as people write them on one line. */

/** As a shell splits words, without any of its expansions. @returns undefined where a quote is not closed */
export function splitArguments(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quoted = '';
  for (let at = 0; at < line.length; at++) {
    const char = line[at] as string;
    if (quoted === "'" ? char !== "'" : char === '\\' && at + 1 < line.length) {
      word = (word ?? '') + (quoted === "'" ? char : line[++at]);
    } else if (quoted) {
      if (char === quoted) quoted = '';
      else word = (word ?? '') + char;
    } else if (char === '"' || char === "'") {
      quoted = char;
      word ??= '';
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quoted) return undefined;
  if (word !== undefined) words.push(word);
  return words;
}

/** A word as `splitArguments` reads it. */
export function quote(word: string): string {
  return /^[^\s"'\\]+$/.test(word) ? word : `"${word.replace(/["\\]/g, '\\$&')}"`;
}
