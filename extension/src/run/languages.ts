/** The editor's languages that can be run: what shows buttons, and what the language server looks at. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RuntimeInfo } from '@coderunner/daemon/protocol';
import { commands, type Disposable, EventEmitter } from 'vscode';

/** Read by the `when` clauses of package.json. */
const CONTEXT = 'coderunner.languages';

export class Languages implements Disposable {
  readonly #changed = new EventEmitter<void>();
  #ids: readonly string[] = [];

  readonly onDidChange = this.#changed.event;

  get ids(): readonly string[] {
    return this.#ids;
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
    this.#changed.dispose();
  }

  #set(ids: readonly string[]): void {
    const sorted = [...new Set(ids)].sort();
    if (sorted.join() === this.#ids.join()) return;
    this.#ids = sorted;
    void commands.executeCommand('setContext', CONTEXT, sorted);
    this.#changed.fire();
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
