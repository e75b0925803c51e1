/** The editor's languages that can be run: what shows buttons, and where CodeLenses are. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RuntimeInfo } from '@coderunner/daemon/protocol';
import { commands, type Disposable, languages } from 'vscode';
import type { EntryLens } from '../views/lens.ts';

/** Read by the `when` clauses of package.json. */
const CONTEXT = 'coderunner.languages';

export class Languages implements Disposable {
  readonly #lens: EntryLens;
  #ids: readonly string[] = [];
  #registered: Disposable | undefined;

  constructor(lens: EntryLens) {
    this.#lens = lens;
  }

  /** Those that come with the extension: known without a daemon. @param folder one folder a language in it */
  async readBundled(folder: string): Promise<void> {
    const entries = await readdir(folder, { withFileTypes: true });
    const ids = await Promise.all(
      entries.filter((entry) => entry.isDirectory()).map(({ name }) => languageIds(join(folder, name, 'runtime.json'))),
    );
    this.#set(ids.flat());
  }

  /** Those that the daemon has, which may be others. */
  tell(runtimes: readonly RuntimeInfo[]): void {
    this.#set(runtimes.filter(({ state }) => state !== 'broken').flatMap(({ languageIds: ids }) => ids));
  }

  dispose(): void {
    this.#registered?.dispose();
  }

  #set(ids: readonly string[]): void {
    const sorted = [...new Set(ids)].sort();
    if (sorted.join() === this.#ids.join()) return;
    this.#ids = sorted;
    void commands.executeCommand('setContext', CONTEXT, sorted);
    this.#registered?.dispose();
    this.#registered = languages.registerCodeLensProvider(
      sorted.map((language) => ({ language })),
      this.#lens,
    );
  }
}

/** Folders that are no language (the agent, the base) have no such file. */
async function languageIds(path: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return (JSON.parse(text) as { languageIds?: string[] }).languageIds ?? [];
}
