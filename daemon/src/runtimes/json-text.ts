/** A file of JSON whose values know where they stand. */
import { findNodeAtLocation, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { type Flaw, placeOf } from './flaw.ts';

/** Names of fields and numbers of items, from the outside in. */
export type JsonPath = readonly (string | number)[];

/** By the parser's names for what it found, or missed. */
const SYNTAX: Partial<Record<ReturnType<typeof printParseErrorCode>, string>> = {
  InvalidSymbol:
    'This is no value: text stands in double quotes, and beside it there are numbers, true, false and null.',
  InvalidNumberFormat: 'This is no number.',
  PropertyNameExpected: 'A field’s name in double quotes is missing here; the last field has no comma behind it.',
  ValueExpected: 'A value is missing here; the last item has no comma behind it.',
  ColonExpected: 'A colon is missing here.',
  CommaExpected: 'A comma is missing here.',
  CloseBraceExpected: 'A closing brace is missing here.',
  CloseBracketExpected: 'A closing bracket is missing here.',
  EndOfFileExpected: 'Nothing may follow here.',
  InvalidCommentToken: 'JSON has no comments.',
  UnexpectedEndOfComment: 'JSON has no comments.',
  UnexpectedEndOfString: 'The text that begins here does not end in its line.',
  UnexpectedEndOfNumber: 'This number is not finished.',
  InvalidUnicode: 'This text has a \\u without four hexadecimal digits.',
  InvalidEscapeCharacter: 'This text has a backslash before a character that needs none; a backslash itself is \\\\.',
  InvalidCharacter: 'This text has a control character, such as a tab; that is \\t.',
};

export class JsonText {
  readonly file: string;
  readonly value: unknown;
  readonly #source: string;
  readonly #root: Node;

  private constructor(file: string, source: string, root: Node) {
    this.file = file;
    this.value = JSON.parse(source);
    this.#source = source;
    this.#root = root;
  }

  /** @returns the first mistake where it is no JSON (what follows from it is not told), or every name that stands twice */
  static parse(file: string, source: string): JsonText | Flaw[] {
    const errors: ParseError[] = [];
    const root = parseTree(source, errors, { disallowComments: true, allowTrailingComma: false });
    const [error] = errors;
    if (error || !root) {
      const message = (error && SYNTAX[printParseErrorCode(error.error)]) ?? 'This is no JSON.';
      return [{ file, ...placeOf(source, error?.offset ?? 0), message }];
    }
    const twice = repeated(root).map((name) => ({
      file,
      ...placeOf(source, name.offset),
      message: `"${name.value}" stands here twice.`,
    }));
    return twice.length > 0 ? twice : new JsonText(file, source, root);
  }

  /** A mistake in the value of a path, or where it lacks, in what is around it. */
  flaw(path: JsonPath, message: string): Flaw {
    const node = this.#node(path);
    if (!node && path.length > 0) return this.flaw(path.slice(0, -1), message);
    return { file: this.file, ...placeOf(this.#source, (node ?? this.#root).offset), message };
  }

  /** A mistake in the name of a field. */
  nameFlaw(path: JsonPath, message: string): Flaw {
    const name = this.#node(path)?.parent?.children?.[0];
    return name ? { file: this.file, ...placeOf(this.#source, name.offset), message } : this.flaw(path, message);
  }

  #node(path: JsonPath): Node | undefined {
    let value = this.value;
    const typed = path.map((part) => {
      const key = Array.isArray(value) ? Number(part) : part;
      value = Object(value)[part];
      return key;
    });
    return findNodeAtLocation(this.#root, typed);
  }
}

/** The names of fields that an object has already. */
function repeated({ type, children = [] }: Node): Node[] {
  const seen = new Set<string>();
  return children.flatMap((child) => {
    const [name] = child.children ?? [];
    const isAgain = type === 'object' && name !== undefined && seen.has(name.value);
    if (type === 'object' && name) seen.add(name.value);
    return [...(isAgain ? [name] : []), ...repeated(child)];
  });
}
