/** Every link in the terminal as a list, for the keyboard: the newest first. */
import { el, icon } from './dom.ts';
import { t } from './l10n.ts';
import { type SourceLink, sourceLinks } from './links.ts';

export interface LinkTargets {
  openSource(link: SourceLink): void;
  openUrl(url: string): void;
  /** The list is closed again. */
  closed(): void;
}

interface Entry {
  text: string;
  icon: string;
  open(targets: LinkTargets): void;
}

const MAX_ENTRIES = 100;
const URL_TEXT = /https?:\/\/[^\s"'<>`]*[^\s"'<>`.,:;!?()[\]]/g;

export class LinkList {
  readonly element = el('div', { class: 'link-list', role: 'listbox', tabindex: '-1', hidden: true });
  readonly #targets: LinkTargets;
  #entries: Entry[] = [];

  constructor(targets: LinkTargets) {
    this.#targets = targets;
    this.element.setAttribute('aria-label', t('Links'));
    this.element.addEventListener('keydown', (event) => this.#onKey(event));
    this.element.addEventListener('focusout', ({ relatedTarget }) => {
      if (!this.element.contains(relatedTarget as Node | null)) this.element.hidden = true;
    });
  }

  /** @param lines what the terminal shows, from the oldest line on */
  open(lines: string[]): void {
    this.#entries = entriesOf(lines);
    this.element.replaceChildren(
      ...this.#entries.map((entry, index) => {
        const option = el('div', { role: 'option', tabindex: '-1' }, icon(entry.icon), el('span', {}, entry.text));
        option.addEventListener('click', () => this.#choose(index));
        return option;
      }),
    );
    if (this.#entries.length === 0)
      this.element.replaceChildren(el('div', { class: 'none' }, t('There are no links.')));
    this.element.hidden = false;
    (this.#options()[0] ?? this.element).focus();
  }

  #options(): HTMLElement[] {
    return [...this.element.querySelectorAll<HTMLElement>('[role=option]')];
  }

  #onKey(event: KeyboardEvent): void {
    const options = this.#options();
    const at = options.indexOf(document.activeElement as HTMLElement);
    const last = options.length - 1;
    const next = { ArrowDown: Math.min(at + 1, last), ArrowUp: Math.max(at - 1, 0), Home: 0, End: last }[event.key];
    if (next !== undefined) options[next]?.focus();
    else if (event.key === 'Enter') this.#choose(at);
    else if (event.key === 'Escape') this.#close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #choose(index: number): void {
    const entry = this.#entries[index];
    this.#close();
    entry?.open(this.#targets);
  }

  #close(): void {
    this.element.hidden = true;
    this.#targets.closed();
  }
}

/** Without those that lead to the same place; the newest counts. */
function entriesOf(lines: string[]): Entry[] {
  const entries = new Map<string, Entry>();
  for (const line of lines.toReversed()) {
    for (const link of sourceLinks(line)) {
      const { path, line: row, column } = link;
      const text = column === undefined ? `${path}:${row}` : `${path}:${row}:${column}`;
      if (!entries.has(text))
        entries.set(text, { text, icon: 'go-to-file', open: (targets) => targets.openSource(link) });
    }
    for (const [url] of line.matchAll(URL_TEXT))
      if (!entries.has(url))
        entries.set(url, { text: url, icon: 'link-external', open: (targets) => targets.openUrl(url) });
    if (entries.size >= MAX_ENTRIES) break;
  }
  return [...entries.values()].slice(0, MAX_ENTRIES);
}
