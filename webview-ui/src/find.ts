/** The search over the terminal, with the keys of the editor's own. */
import { el, iconButton } from './dom.ts';
import { remember, remembered } from './host.ts';
import { number, t } from './l10n.ts';
import type { Screen } from './screen.ts';

/** What the buttons in the field switch, and the letter that does so with Alt. */
const SWITCHES = [
  { name: 'caseSensitive', icon: 'case-sensitive', label: 'Match Case', letter: 'c' },
  { name: 'wholeWord', icon: 'whole-word', label: 'Match Whole Word', letter: 'w' },
  { name: 'regex', icon: 'regex', label: 'Use Regular Expression', letter: 'r' },
] as const;

export class Find {
  readonly element: HTMLElement;
  readonly #input = el('input', { type: 'text', 'aria-label': t('Find'), placeholder: t('Find'), spellcheck: 'false' });
  readonly #count = el('span', { class: 'count', role: 'status' });
  readonly #field: HTMLElement;
  readonly #switches = { caseSensitive: false, wholeWord: false, regex: false };
  readonly #screen: () => Screen | undefined;

  /** @param screen the one that is searched: that of the active tab */
  constructor(screen: () => Screen | undefined) {
    this.#screen = screen;
    const switches = SWITCHES.map(({ name, icon, label, letter }) => {
      const button = iconButton(icon, t('{0} (Alt+{1})', t(label), letter.toUpperCase()), () => {
        this.#switches[name] = !this.#switches[name];
        button.setAttribute('aria-pressed', String(this.#switches[name]));
        this.#begin();
      });
      button.classList.add('small');
      button.setAttribute('aria-pressed', 'false');
      return button;
    });
    this.#field = el('div', { class: 'field' }, this.#input, ...switches);
    this.element = el(
      'div',
      { class: 'find', role: 'search', hidden: true },
      this.#field,
      this.#count,
      iconButton('arrow-up', t('Previous Match (Shift+Enter)'), () => this.previous()),
      iconButton('arrow-down', t('Next Match (Enter)'), () => this.next()),
      iconButton('close', t('Close (Escape)'), () => this.close()),
    );
    this.#input.addEventListener('input', () => {
      remember({ find: this.#input.value });
      this.#search('next', true);
    });
    this.element.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.close();
      else if (event.key === 'Enter' && event.target === this.#input)
        this.#search(event.shiftKey ? 'previous' : 'next');
      else if (event.altKey && SWITCHES.some(({ letter }) => letter === event.key.toLowerCase()))
        switches[SWITCHES.findIndex(({ letter }) => letter === event.key.toLowerCase())]?.click();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  open(): void {
    const selected = this.#screen()?.selection ?? '';
    this.#input.value = selected !== '' && !selected.includes('\n') ? selected : this.#input.value || remembered().find;
    this.element.hidden = false;
    this.#input.focus();
    this.#input.select();
    this.#search('next', true);
  }

  close(): void {
    this.element.hidden = true;
    this.#screen()?.endFind();
    this.#screen()?.focus();
  }

  next(): void {
    if (this.isOpen) this.#search('next');
    else this.open();
  }

  previous(): void {
    if (this.isOpen) this.#search('previous');
    else this.open();
  }

  /** The theme was changed. */
  repaint(): void {
    if (this.isOpen) this.#begin();
  }

  /** @param index of the current match, from 0 on; -1 where there are more than are marked */
  found(index: number, count: number): void {
    const none = count === 0 && this.#input.value !== '';
    this.#field.classList.toggle('none', none);
    if (none || this.#input.value === '') this.#count.textContent = t('No results');
    else if (index < 0) this.#count.textContent = t('{0}+ results', number(count));
    else this.#count.textContent = t('{0} of {1}', number(index + 1), number(count));
  }

  /** Anew: the addon compares its options only with themselves, and would keep the marks of before. */
  #begin(): void {
    this.#screen()?.endFind();
    this.#search('next', true);
  }

  #search(direction: 'next' | 'previous', incremental = false): void {
    const { value } = this.#input;
    const broken = this.#switches.regex ? complaint(value) : undefined;
    this.#field.classList.toggle('none', broken !== undefined);
    this.#input.title = broken ?? '';
    if (broken !== undefined) return;
    if (value === '') {
      this.#screen()?.endFind();
      this.found(-1, 0);
    } else {
      this.#screen()?.find(value, direction, { ...this.#switches, incremental });
    }
  }
}

/** @returns what is wrong with a regular expression */
function complaint(expression: string): string | undefined {
  try {
    new RegExp(expression);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
