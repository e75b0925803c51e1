/** Who a key in the terminal is for: the program, the page, or VS Code around it. */

export interface KeyContext {
  mac: boolean;
  selection: boolean;
  /** What is typed reaches a program. */
  input: boolean;
  tty: boolean;
  /** A program that fills the screen has it: its own keys matter more than ours. */
  fullScreen: boolean;
}

export type KeyUse =
  /** Goes to the program, through xterm.js. */
  | 'program'
  /** Does what the browser, or VS Code, does with it: paste, move the focus, a command of the editor. */
  | 'outside'
  | 'copy'
  | 'find'
  | 'findNext'
  | 'findPrevious'
  /** The list of links, with the key that it has in VS Code's own terminal. */
  | 'links'
  | 'selectAll'
  /** Scroll, for a program that takes no keys. */
  | 'lineUp'
  | 'lineDown'
  | 'pageUp'
  | 'pageDown'
  | 'top'
  | 'bottom';

export type Key = Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'shiftKey' | 'altKey'>;

const SCROLL: Record<string, KeyUse> = {
  ArrowUp: 'lineUp',
  ArrowDown: 'lineDown',
  PageUp: 'pageUp',
  PageDown: 'pageDown',
  Home: 'top',
  End: 'bottom',
};
/** Keys with Ctrl that stay VS Code's though a program runs: files, panel, side bar, its own terminal, editors by number. */
const EDITORS = /^[pjb`,=\-+0-9]$|^(?:Tab|PageUp|PageDown|F\d+)$/;

export function useOf(event: Key, context: KeyContext): KeyUse {
  const { key, ctrlKey, metaKey, shiftKey, altKey } = event;
  const { mac, input, tty, fullScreen } = context;
  const letter = key.toLowerCase();
  const command = mac ? metaKey && !ctrlKey : ctrlKey && !metaKey;

  if (command && !altKey && letter === 'f' && (mac || !shiftKey)) return 'find';
  if (command && shiftKey && !altKey && letter === 'o') return 'links';
  if (key === 'F3' && !fullScreen) return shiftKey ? 'findPrevious' : 'findNext';
  if (mac && command && letter === 'g') return shiftKey ? 'findPrevious' : 'findNext';
  // With something selected Ctrl-C copies, as in the terminals of Windows; else it interrupts.
  if (command && !altKey && letter === 'c' && context.selection) return 'copy';
  if (command && !altKey && letter === 'a' && (mac || shiftKey || !input)) return 'selectAll';
  if (command && !altKey && letter === 'v') return 'outside';
  if (metaKey) return 'outside';
  // With Alt as well it is AltGr, which types.
  if (ctrlKey && shiftKey && !altKey) return 'outside';
  if (ctrlKey && !altKey && EDITORS.test(key)) return 'outside';
  // Tab goes to a program that may complete something; Shift-Tab always leads out, so that the keyboard is never trapped.
  if (key === 'Tab' && !fullScreen) return input && tty && !shiftKey ? 'program' : 'outside';
  if (/^F\d+$/.test(key) && (!fullScreen || key === 'F1' || key === 'F6')) return 'outside';
  if (input) return 'program';
  return (!ctrlKey && !altKey && SCROLL[key]) || 'outside';
}
