/**
 * A table of any length: only the rows that can be seen are elements. To a screen reader it is a grid with all its rows; the
 * keyboard moves from cell to cell (WAI-ARIA: grid).
 */
import type { Result } from '../../extension/src/console/messages.ts';
import { el } from './dom.ts';
import { post } from './host.ts';
import { t } from './l10n.ts';

const ROW_PX = 22;
/** Rows above and below what can be seen, so that scrolling shows no holes. */
const SPARE_ROWS = 10;
/** Widths of columns, in characters; the first rows decide. */
const WIDEST = 60;
const NARROWEST = 4;
const MEASURED_ROWS = 200;
/** More of a value is not shown in its cell. */
const SHOWN_CHARS = 500;
const NUMBERS = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'decimal', 'float', 'double', 'year']);

type Row = Result['rows'][number];

export class Grid {
  readonly element: HTMLElement;
  readonly #result: Result;
  readonly #rows = el('div', { class: 'grid-rows', role: 'rowgroup' });
  readonly #widths: number[];
  /** The cell that the keyboard is at; row -1 is the header. */
  #at = { row: -1, column: 0 };
  /** The rows that are elements. */
  #from = 0;
  #to = 0;

  /** @param label names it to screen readers */
  constructor(result: Result, label: string) {
    this.#result = result;
    this.#widths = result.columns.map(({ name }, column) => {
      const values = result.rows.slice(0, MEASURED_ROWS).map((row) => row[column]?.length ?? 4);
      return Math.min(WIDEST, Math.max(NARROWEST, name.length, ...values)) + 2;
    });
    this.element = el('div', {
      class: 'grid',
      role: 'grid',
      'aria-label': label,
      'aria-rowcount': `${result.rows.length + 1}`,
      'aria-colcount': `${result.columns.length}`,
      'aria-readonly': 'true',
    });
    this.#rows.style.height = `${result.rows.length * ROW_PX}px`;
    this.element.append(this.#header(), this.#rows);
    this.element.addEventListener('scroll', () => this.#draw());
    this.element.addEventListener('keydown', (event) => this.#onKey(event));
    this.element.addEventListener('mousedown', ({ target }) => this.#pointed(target));
    new ResizeObserver(() => this.#draw()).observe(this.element);
    this.#draw();
  }

  #header(): HTMLElement {
    const cells = this.#result.columns.map(({ name, type }, column) => {
      const cell = this.#cell('columnheader', name, -1, column);
      cell.title = `${name}: ${type}`;
      return cell;
    });
    const row = el('div', { class: 'grid-row', role: 'row', 'aria-rowindex': '1' }, ...cells);
    return el('div', { class: 'grid-head', role: 'rowgroup' }, row);
  }

  #row(values: Row, index: number): HTMLElement {
    const cells = values.map((value, column) => {
      const cell = this.#cell('gridcell', value === null ? 'NULL' : shown(value), index, column);
      if (value === null) cell.classList.add('null');
      return cell;
    });
    const row = el('div', { class: 'grid-row', role: 'row', 'aria-rowindex': `${index + 2}` }, ...cells);
    row.style.top = `${index * ROW_PX}px`;
    return row;
  }

  #cell(role: string, text: string, row: number, column: number): HTMLElement {
    const isHere = this.#at.row === row && this.#at.column === column;
    const attributes = { class: 'grid-cell', role, tabindex: isHere ? '0' : '-1', 'aria-colindex': `${column + 1}` };
    const cell = el('div', attributes, text);
    cell.style.width = `${this.#widths[column]}ch`;
    cell.dataset.row = `${row}`;
    cell.dataset.column = `${column}`;
    if (NUMBERS.has(this.#result.columns[column]?.type ?? '')) cell.classList.add('number');
    return cell;
  }

  /** Makes the rows that can be seen, and takes away those that cannot; the one with the keyboard stays. */
  #draw(): void {
    const { scrollTop, clientHeight } = this.element;
    const from = Math.max(0, Math.floor(scrollTop / ROW_PX) - SPARE_ROWS);
    const to = Math.min(this.#result.rows.length, Math.ceil((scrollTop + clientHeight) / ROW_PX) + SPARE_ROWS);
    if (from === this.#from && to === this.#to) return;
    [this.#from, this.#to] = [from, to];
    const hadFocus = this.#rows.contains(document.activeElement);
    const indices = new Set(Array.from({ length: to - from }, (_, offset) => from + offset));
    if (this.#at.row >= 0) indices.add(this.#at.row);
    this.#rows.replaceChildren(
      ...[...indices].sort((a, b) => a - b).map((index) => this.#row(this.#result.rows[index] as Row, index)),
    );
    if (hadFocus) this.#here?.focus({ preventScroll: true });
  }

  get #here(): HTMLElement | null {
    return this.element.querySelector(`[data-row="${this.#at.row}"][data-column="${this.#at.column}"]`);
  }

  #pointed(target: EventTarget | null): void {
    const cell = target instanceof Element ? target.closest<HTMLElement>('.grid-cell') : null;
    if (cell) this.#move(Number(cell.dataset.row), Number(cell.dataset.column));
  }

  #onKey(event: KeyboardEvent): void {
    const { row, column } = this.#at;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === 'c') {
      if (String(getSelection()) !== '') return;
      const value = row < 0 ? this.#result.columns[column]?.name : this.#result.rows[row]?.[column];
      post({ type: 'copy', text: value ?? '' });
      event.preventDefault();
      return;
    }
    const last = { row: this.#result.rows.length - 1, column: this.#result.columns.length - 1 };
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW_PX) - 2);
    const moves: Record<string, [number, number]> = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      PageUp: [row - page, column],
      PageDown: [row + page, column],
      Home: [command ? -1 : row, 0],
      End: [command ? last.row : row, last.column],
    };
    const to = moves[event.key];
    if (!to || event.altKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.#move(Math.max(-1, Math.min(last.row, to[0])), Math.max(0, Math.min(last.column, to[1])));
  }

  #move(row: number, column: number): void {
    this.#here?.setAttribute('tabindex', '-1');
    this.#at = { row, column };
    if (row >= 0) {
      const { scrollTop, clientHeight } = this.element;
      const [top, head] = [row * ROW_PX, ROW_PX];
      if (top < scrollTop) this.element.scrollTop = top;
      else if (top + ROW_PX > scrollTop + clientHeight - head)
        this.element.scrollTop = top + ROW_PX - clientHeight + head;
    }
    if (!this.#here) this.#from = -1;
    this.#draw();
    const here = this.#here;
    here?.setAttribute('tabindex', '0');
    here?.focus({ preventScroll: true });
    here?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }
}

/** A value on one line: what is cut ends with …, line ends are visible. */
function shown(value: string): string {
  const line = value
    .slice(0, SHOWN_CHARS)
    .replaceAll(/\r\n|\r|\n/g, '⏎')
    .replaceAll('\t', '⇥');
  return value.length > SHOWN_CHARS ? `${line}…` : line;
}

/** How many rows a result has, and what is missing of them. */
export function rowsInWords({ rows, rowCount = 0, truncated }: Result, number: (value: number) => string): string {
  if (rows.length < rowCount) return t('the first {0} of {1} rows', number(rows.length), number(rowCount));
  const words = rowCount === 1 ? t('1 row') : t('{0} rows', number(rowCount));
  return truncated ? t('{0}, long values cut', words) : words;
}
