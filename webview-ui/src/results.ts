/** The tables that a run has given: one of them as a grid, and the choice between them. */
import type { Result, ToPage } from '../../extension/src/console/messages.ts';
import { csv } from './csv.ts';
import { el, icon, iconButton, textButton } from './dom.ts';
import { Grid, rowsInWords } from './grid.ts';
import { post, remember, remembered } from './host.ts';
import { number, t } from './l10n.ts';
import type { TabView } from './tab.ts';

/** Of a statement, in the list of results. */
const NAME_CHARS = 60;

export class Results {
  readonly element = el('section', { class: 'results', hidden: true, 'aria-label': t('Results') });
  readonly #heading = textButton('', 'pane-header', () => this.#open(Boolean(this.#body.hidden)));
  readonly #choice = el('select', { 'aria-label': t('Result') });
  readonly #measure = el('span', { class: 'measure' });
  readonly #copy = iconButton('copy', t('Copy as CSV'), () => this.#copyCsv());
  readonly #table = el('div', { class: 'results-table' });
  readonly #body: HTMLElement;
  /** The run whose results are shown, or are on their way. */
  #run: number | undefined;
  #results: Result[] = [];
  /** Which of a run's results was looked at, for when its tab is shown again. */
  readonly #chosen = new Map<number, number>();

  constructor() {
    this.#choice.addEventListener('change', () => this.#show(this.#choice.selectedIndex));
    this.#body = el(
      'div',
      { class: 'results-body', id: 'results-body' },
      el('div', { class: 'results-bar' }, this.#choice, this.#measure, this.#copy),
      this.#table,
    );
    this.#heading.setAttribute('aria-controls', 'results-body');
    this.#body.hidden = !remembered().resultsOpen;
    this.element.append(this.#heading, this.#body);
  }

  show(tab: TabView | undefined): void {
    const run = tab?.run.hasResults ? tab.run.id : undefined;
    if (run === this.#run) return;
    this.#run = run;
    this.#set([]);
    if (run !== undefined) post({ type: 'results', run });
  }

  received({ run, data }: Extract<ToPage, { type: 'results' }>): void {
    if (run === this.#run) this.#set(parse(data));
  }

  #set(results: Result[]): void {
    this.#results = results;
    this.element.hidden = results.length === 0;
    this.#choice.replaceChildren(
      ...results.map((result, index) => el('option', {}, `${number(index + 1)}: ${nameOf(result)}`)),
    );
    this.#choice.disabled = results.length < 2;
    this.#label();
    const chosen = this.#run === undefined ? undefined : this.#chosen.get(this.#run);
    this.#show(Math.min(chosen ?? results.length - 1, results.length - 1));
  }

  #show(index: number): void {
    const result = this.#results[index];
    this.#table.replaceChildren();
    if (!result || this.#run === undefined) return;
    this.#chosen.set(this.#run, index);
    this.#choice.selectedIndex = index;
    this.#measure.textContent = rowsInWords(result, number);
    if (!this.#body.hidden) this.#table.append(new Grid(result, nameOf(result)).element);
  }

  #copyCsv(): void {
    const result = this.#results[this.#choice.selectedIndex];
    if (result)
      post({
        type: 'copy',
        text: csv(
          result.columns.map(({ name }) => name),
          result.rows,
        ),
      });
  }

  #open(open: boolean): void {
    this.#body.hidden = !open;
    remember({ resultsOpen: open });
    this.#label();
    this.#show(this.#choice.selectedIndex);
  }

  #label(): void {
    const { length } = this.#results;
    const open = !this.#body.hidden;
    this.#heading.setAttribute('aria-expanded', String(open));
    this.#heading.replaceChildren(
      icon(open ? 'chevron-down' : 'chevron-right'),
      length === 1 ? t('1 result') : t('{0} results', number(length)),
    );
  }
}

/** Those that have columns. A program writes the file in the end: what is no result in it is left out. */
function parse(data: Uint8Array): Result[] {
  const lines = new TextDecoder().decode(data).split('\n');
  return lines.flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      return isTable(value) ? [value] : [];
    } catch {
      return []; // a line that was cut where the program was stopped
    }
  });
}

function isTable(value: unknown): value is Result {
  const { statement, line, file, columns, rows } = (value ?? {}) as Partial<Result>;
  if (typeof statement !== 'string' || typeof file !== 'string' || typeof line !== 'number') return false;
  if (!Array.isArray(columns) || columns.length === 0 || !Array.isArray(rows)) return false;
  const isText = (cell: unknown) => cell === null || typeof cell === 'string';
  return (
    columns.every((column) => typeof column?.name === 'string' && typeof column.type === 'string') &&
    rows.every((row) => Array.isArray(row) && row.length === columns.length && row.every(isText))
  );
}

function nameOf({ statement, file, line }: Result): string {
  const text = statement.replaceAll(/\s+/g, ' ').trim();
  const short = text.length > NAME_CHARS ? `${text.slice(0, NAME_CHARS)}…` : text;
  return `${short} (${file}:${line})`;
}
