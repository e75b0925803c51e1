/** The line above the terminal: how the run is doing, what it took, and what can be done with it. */
import { el, icon, iconButton, roving, textButton } from './dom.ts';
import { duration, exactDuration, lookOf, measuresOf, wordsOf } from './format.ts';
import { post } from './host.ts';
import { t } from './l10n.ts';
import type { TabView } from './tab.ts';

export interface HeaderActions {
  clear(): void;
  copy(): void;
  save(): void;
  find(): void;
  links(): void;
}

/** Tenths of a second are shown, as long as they mean something. */
const TICK_MS = 100;

export class Header {
  readonly element: HTMLElement;
  /** What went wrong on our side, and how to mend it. */
  readonly banner = el('section', { class: 'banner', hidden: true });
  readonly #state = el('span', { class: 'state' });
  readonly #title = el('span', { class: 'title' });
  readonly #words = el('span', { class: 'words' });
  readonly #problem = el('button', { type: 'button', class: 'link', hidden: true });
  readonly #elapsed = el('span', { class: 'measure elapsed' });
  readonly #measures = el('span', { class: 'measures' });
  readonly #stop: HTMLButtonElement;
  readonly #rerun: HTMLButtonElement;
  #tab: TabView | undefined;
  #timer: number | undefined;

  constructor(actions: HeaderActions) {
    const ofTab = (action: (tab: number) => void) => () => this.#tab && action(this.#tab.id);
    this.#stop = iconButton(
      'debug-stop',
      t('Stop'),
      ofTab((tab) => post({ type: 'stop', tab })),
    );
    this.#stop.classList.add('stop');
    this.#rerun = iconButton(
      'debug-rerun',
      t('Run Again'),
      ofTab((tab) => post({ type: 'rerun', tab })),
    );
    this.#rerun.classList.add('rerun');
    const toolbar = el(
      'div',
      { role: 'toolbar', class: 'toolbar', 'aria-label': t('Run') },
      this.#stop,
      this.#rerun,
      el('span', { class: 'separator' }),
      iconButton('search', t('Find'), actions.find),
      iconButton('link', t('Open Link…'), actions.links),
      iconButton('copy', t('Copy Output'), actions.copy),
      iconButton('save', t('Save Output…'), actions.save),
      iconButton('clear-all', t('Clear'), actions.clear),
    );
    roving(toolbar, 'button');
    for (const button of toolbar.querySelectorAll('button')) button.tabIndex = button === this.#rerun ? 0 : -1;
    this.#problem.addEventListener('click', () => {
      if (this.#tab) post({ type: 'openProblem', run: this.#tab.run.id });
    });
    this.element = el(
      'header',
      { class: 'header' },
      el('div', { class: 'verdict' }, this.#state, this.#title, this.#words, this.#problem),
      el('div', { class: 'facts' }, this.#elapsed, this.#measures),
      toolbar,
    );
  }

  /** Shows the run of a tab as it is now. */
  show(tab: TabView | undefined): void {
    this.#tab = tab;
    this.element.hidden = !tab;
    clearInterval(this.#timer);
    this.banner.hidden = true;
    if (!tab) return;
    const { run } = tab;
    const { problem } = run;
    const look = lookOf(run);
    this.#state.replaceChildren(icon(look.icon, `tone-${look.tone}`));
    this.#title.textContent = tab.title;
    this.#title.title = tab.description;
    this.#words.textContent = wordsOf(run);
    this.#words.title = wordsOf(run);
    this.#problem.hidden = !problem;
    if (problem) {
      this.#problem.textContent = t('Problem in line {0}', problem.line);
      this.#problem.title = t('Open {0}, line {1}', problem.path, problem.line);
    }
    this.#measures.replaceChildren(...measuresOf(run).map((text) => el('span', { class: 'measure' }, text)));
    this.#stop.hidden = run.ended;
    this.#tick();
    if (!run.ended && run.elapsedMs !== null) this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#showBanner(tab);
  }

  #tick(): void {
    const { elapsedMs, run } = this.#tab ?? {};
    const text = elapsedMs === undefined ? '' : run?.ended ? exactDuration(elapsedMs) : duration(elapsedMs);
    if (this.#elapsed.textContent !== text) this.#elapsed.textContent = text;
  }

  #showBanner({ run }: TabView): void {
    this.banner.hidden = run.hint === null && run.actions.length === 0;
    this.banner.replaceChildren(
      ...(run.hint === null ? [] : [el('div', { class: 'hint' }, icon('lightbulb'), el('span', {}, run.hint))]),
      ...run.actions.map(({ id, label }, index) =>
        textButton(label, index === 0 ? 'button' : 'button secondary', () => post({ type: 'action', run: run.id, id })),
      ),
    );
  }
}
