/** The tabs above the header, when there is more than one. */
import { el, icon, iconButton, roving } from './dom.ts';
import { lookOf, wordsOf } from './format.ts';
import { post } from './host.ts';
import { t } from './l10n.ts';
import type { TabView } from './tab.ts';

export class TabList {
  readonly element = el('div', { role: 'tablist', class: 'tabs', 'aria-label': t('Runs') });
  readonly #select: (tab: number) => void;

  constructor(select: (tab: number) => void) {
    this.#select = select;
    roving(this.element, '[role=tab]');
  }

  show(tabs: TabView[], active: TabView | undefined): void {
    this.element.hidden = tabs.length < 2;
    if (this.element.hidden) return;
    const focused = this.element.contains(document.activeElement);
    this.element.replaceChildren(...tabs.map((tab) => this.#tab(tab, tab === active)));
    // They are drawn anew whenever one changes; the keyboard stays where it was.
    if (focused) this.element.querySelector<HTMLElement>('[aria-selected=true]')?.focus();
  }

  #tab(tab: TabView, active: boolean): HTMLElement {
    const { icon: name, tone } = lookOf(tab.run);
    const close = iconButton('close', t('Close {0}', tab.title), () => post({ type: 'close', tab: tab.id }));
    close.classList.add('small', 'of-row');
    close.tabIndex = -1;
    const element = el(
      'div',
      {
        role: 'tab',
        class: 'tab',
        id: `tab-${tab.id}`,
        'aria-selected': String(active),
        'aria-controls': 'terminal',
        'aria-label': `${tab.title}, ${wordsOf(tab.run)}`,
        tabindex: active ? '0' : '-1',
        title: tab.description,
      },
      icon(name, `tone-${tone}`),
      el('span', {}, tab.title),
      close,
    );
    element.addEventListener('click', ({ target }) => {
      if (!close.contains(target as Node)) this.#select(tab.id);
    });
    element.addEventListener('auxclick', ({ button }) => {
      if (button === 1) post({ type: 'close', tab: tab.id });
    });
    element.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' || event.key === ' ') this.#select(tab.id);
      else if (event.key === 'Delete') post({ type: 'close', tab: tab.id });
      else return;
      event.preventDefault();
    });
    return element;
  }
}
