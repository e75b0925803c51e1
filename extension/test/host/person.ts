/**
 * The person at the editor: what VS Code asks is answered as a test says, because nothing inside the extension host can type into a box or
 * press a button. Everything that is said to them is kept.
 */
import { CancellationTokenSource, type Progress, window } from 'vscode';

const ASKING = [
  'showInputBox',
  'showQuickPick',
  'showInformationMessage',
  'showWarningMessage',
  'showErrorMessage',
  'withProgress',
] as const;

export class Person implements Disposable {
  /** Questions and messages, in their order. */
  readonly heard: string[] = [];
  readonly #answers: [question: RegExp, answer: string][];
  readonly #usual: Record<string, unknown>;
  #waiting: (() => void)[] = [];

  /**
   * @param answers what to type, to press or to pick where that is asked, each once; for a progress `Cancel` presses that. Anything else
   *   is dismissed.
   */
  constructor(answers: [question: RegExp, answer: string][] = []) {
    this.#answers = [...answers];
    const api = window as unknown as Record<string, unknown>;
    this.#usual = Object.fromEntries(ASKING.map((name) => [name, api[name]]));
    const said = async (message: string, ...more: unknown[]) => {
      const answer = this.#hear(message);
      return more.find((item) => item === answer || (item as { title?: string } | null)?.title === answer);
    };
    Object.assign(window, {
      showInputBox: async ({ title = '', prompt = '' } = {}) => this.#hear(title || prompt),
      showQuickPick: async (
        items: readonly (string | { label: string })[],
        { title = '', canPickMany = false } = {},
      ) => {
        const answer = this.#hear(title);
        const labelOf = (item: string | { label: string }) => (typeof item === 'string' ? item : item.label);
        const picked = items.filter((item) => answer !== undefined && labelOf(item).includes(answer));
        return canPickMany ? (answer === undefined ? undefined : picked) : picked[0];
      },
      showInformationMessage: said,
      showWarningMessage: said,
      showErrorMessage: said,
      withProgress: async (
        { title = '' },
        task: (progress: Progress<{ message?: string }>, token: CancellationTokenSource['token']) => Thenable<unknown>,
      ) => {
        const cancel = new CancellationTokenSource();
        const isCancelled = this.#hear(title) === 'Cancel';
        const report = ({ message = '' }) => {
          this.#hear(message);
          if (isCancelled) cancel.cancel();
        };
        return task({ report }, cancel.token);
      },
    });
  }

  /** Resolves once something was said; the test's own timeout ends the waiting. */
  async hears(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = this.heard.find((text) => pattern.test(text));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  [Symbol.dispose](): void {
    Object.assign(window, this.#usual);
  }

  #hear(text: string): string | undefined {
    this.heard.push(text);
    for (const resolve of this.#waiting.splice(0)) resolve();
    const at = this.#answers.findIndex(([question]) => question.test(text));
    return at < 0 ? undefined : this.#answers.splice(at, 1)[0]?.[1];
  }
}
