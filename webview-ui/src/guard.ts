/**
 * What a program's escape sequences may do: draw, and nothing else.
 *
 * xterm.js does not act on most of what terminals have been abused for: it has no clipboard (OSC 52), no images, no
 * notifications and no file transfer without an addon that we don't load; it moves or names no window unless told to; and
 * hyperlinks (OSC 8) go through the screen's own handler, which follows http and https only. What is left is refused here:
 *
 * - Changing the palette (OSC 4, 10–12, 104, 110–112). It would outlast the run, and could make the text of the next invisible.
 * - Questions. A terminal answers them by typing to the program. In a run with a terminal those are answered whose answer is a
 *   number or a colour (attributes, status, cursor, modes, colours): full-screen programs cannot do without. No answer holds text
 *   of the program's own choice or a line's end. Without a terminal none is answered, nor in output that is shown a second time
 *   (its program has its answer, or is gone), nor the rest: settings as text (DECRQSS), the terminal's name (XTVERSION).
 */
import type { Terminal } from '@xterm/xterm';

const PALETTE = [4, 10, 11, 12];
const PALETTE_RESET = [104, 110, 111, 112];

/** @param answers whether a question that is met now may be answered */
export function guard({ parser }: Terminal, answers: () => boolean): void {
  const refuse = () => true;
  const refuseUnlessAnswering = () => !answers();
  for (const id of PALETTE)
    parser.registerOscHandler(id, (data) => !(answers() && (id === 4 ? /^\d{1,3};\?$/ : /^\?$/).test(data)));
  for (const id of PALETTE_RESET) parser.registerOscHandler(id, refuse);
  for (const id of [
    { final: 'c' },
    { prefix: '>', final: 'c' },
    { final: 'n' },
    { prefix: '?', final: 'n' },
    { intermediates: '$', final: 'p' },
    { prefix: '?', intermediates: '$', final: 'p' },
  ])
    parser.registerCsiHandler(id, refuseUnlessAnswering);
  parser.registerCsiHandler({ prefix: '>', final: 'q' }, refuse);
  parser.registerCsiHandler({ final: 't' }, refuse);
  parser.registerDcsHandler({ intermediates: '$', final: 'q' }, refuse);
}

/** Modes of full-screen programs: mouse, focus, brackets around pastes, drawing all at once. */
const MODES = [1000, 1002, 1003, 1004, 1006, 2004, 2026];

/** Puts a terminal back in order after a program, whatever state it died in. */
export function restore({ buffer }: Terminal): string {
  const screen = buffer.active.type === 'alternate' ? '\x1b[?1049l' : '';
  const modes = MODES.map((mode) => `\x1b[?${mode}l`).join('');
  // First what ends a sequence that was cut off; last its link, its margins and character sets, its cursor, its colours.
  return `\x18${screen}${modes}\x1b]8;;\x1b\\\x1b[!p\x1b[0 q\x1b[?7h\x1b[0m`;
}

/** Whether a program has left a terminal in a state that is of use to itself only. */
export function isAstray({ buffer, modes }: Terminal): boolean {
  return buffer.active.type === 'alternate' || modes.mouseTrackingMode !== 'none' || modes.bracketedPasteMode;
}

/** Text of ours for the terminal: no character of it may begin a sequence. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '');
}
