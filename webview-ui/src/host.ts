/** The page's only way out: messages to and from the extension, and what the page remembers while it is not there. */
import type { FromPage, ToPage } from '../../extension/src/console/messages.ts';

/** What the extension cannot give back after the page was hidden or reloaded. */
export interface Remembered {
  filesOpen: boolean;
  resultsOpen: boolean;
  find: string;
  /** How many rows the tabs are scrolled up, by their descriptions. */
  scrolled: Record<string, number>;
}

declare function acquireVsCodeApi<State>(): {
  postMessage(message: unknown): void;
  getState(): State | undefined;
  setState(state: State): void;
};

const REMEMBERED: Remembered = { filesOpen: true, resultsOpen: true, find: '', scrolled: {} };
const api = acquireVsCodeApi<Remembered>();

export function post(message: FromPage): void {
  api.postMessage(message);
}

export function onMessage(listener: (message: ToPage) => void): void {
  window.addEventListener('message', ({ data }: MessageEvent<ToPage>) => listener(data));
}

export function remembered(): Remembered {
  return { ...REMEMBERED, ...api.getState() };
}

export function remember(change: Partial<Remembered>): void {
  api.setState({ ...remembered(), ...change });
}
