/** Places in source files that programs and compilers print: `file:line`. */

export interface SourceLink {
  path: string;
  /** From 1 on. */
  line: number;
  /** From 1 on; undefined where none was printed. */
  column: number | undefined;
  /** Where the link stands in the text, as UTF-16 offsets. */
  start: number;
  end: number;
}

/** Longer lines are data, not messages; and a link that is searched for at every movement of the mouse must be found at once. */
const MAX_LINE = 2_000;
/** A path with an extension. Without one, `12:30:45` and `localhost:8080` would be links. */
const PATH = String.raw`(?:file:\/\/)?(?:\/|\.{1,2}\/)?(?:[\w.@+~-]+\/)*[\w@+~-][\w.@+~-]*\.[A-Za-z]\w{0,9}`;
const PLACES = [
  // Python: File "main.py", line 3, in f
  /File "(?<path>[^"<>]{1,500})", line (?<line>\d{1,7})/g,
  // The shells: main.sh: line 3: nope: command not found
  new RegExp(String.raw`(?<![\w/.:@-])(?<path>${PATH}): line (?<line>\d{1,7})(?=:)`, 'g'),
  // GCC, Go, Rust, Node, Java: main.c:3:5: error
  new RegExp(String.raw`(?<![\w/.:@-])(?<path>${PATH}):(?<line>\d{1,7})(?::(?<column>\d{1,7}))?(?![\w:]*\w)`, 'g'),
  // TypeScript: main.ts(3,5): error
  new RegExp(String.raw`(?<![\w/.:@-])(?<path>${PATH})\((?<line>\d{1,7}),(?<column>\d{1,7})\)`, 'g'),
];
/** `example.com:80` is a server. */
const SERVER = /^[\w.-]+\.(?:com|org|net|io|dev|local|localhost|internal)$/i;

/** The links of a line, from left to right; none overlaps another. */
export function sourceLinks(text: string): SourceLink[] {
  const links: SourceLink[] = [];
  for (const pattern of PLACES)
    for (const match of text.slice(0, MAX_LINE).matchAll(pattern)) {
      const { path = '', line, column } = match.groups ?? {};
      const [start, end] = [match.index, match.index + match[0].length];
      if (SERVER.test(path) || Number(line) < 1 || links.some((other) => start < other.end && other.start < end))
        continue;
      links.push({
        path: path.replace(/^file:\/\//, ''),
        line: Number(line),
        column: Number(column) || undefined,
        start,
        end,
      });
    }
  return links.sort((a, b) => a.start - b.start);
}
