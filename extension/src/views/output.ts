/** The output channel: the same text as the console's, as plain text that stays after the run. */
import { StringDecoder } from 'node:string_decoder';
import { formatBytes, formatDuration } from '@coderunner/daemon/protocol';
import { type Disposable, l10n, type OutputChannel, window } from 'vscode';
import { setting } from '../configuration.ts';
import { Later } from '../later.ts';
import type { Tab, Tabs } from '../run/tabs.ts';
import { verdictOf } from '../run/verdict.ts';
import { PlainText } from './plain-text.ts';

/** An output channel keeps all of its text in an editor: a flood belongs into the console. */
const MOST_BYTES = 4 * 1024 * 1024;

export class Output implements Disposable {
  readonly #watching: Disposable;
  #channel: OutputChannel | undefined;
  /** What is not in the channel yet, whose text before it goes first where `#empties`. */
  #text = '';
  #empties = false;
  readonly #flushLater = new Later(() => this.#flush());

  constructor(tabs: Tabs) {
    this.#watching = tabs.onDidOpen((tab) => this.#follow(tab));
  }

  show(preserveFocus: boolean): void {
    this.#open().show(preserveFocus);
  }

  dispose(): void {
    this.#watching.dispose();
    this.#flushLater.dispose();
    this.#channel?.dispose();
  }

  /** At once for those who look at it instead of the console. */
  #append(text: string): void {
    this.#text += text;
    if (setting('view') === 'output') this.#flush();
    else this.#flushLater.ask();
  }

  #flush(): void {
    this.#flushLater.dispose();
    const channel = this.#open();
    if (this.#empties) channel.clear();
    channel.append(this.#text);
    this.#empties = false;
    this.#text = '';
  }

  /** Made when there is something to put into it. */
  #open(): OutputChannel {
    this.#channel ??= window.createOutputChannel('CodeRunner');
    return this.#channel;
  }

  #follow({ program, session }: Tab): void {
    if (setting('clearBeforeRun')) {
      this.#empties = true;
      this.#text = '';
    }
    this.#append(`— ${[program.title, ...(program.args ?? [])].join(' ')}\n`);
    const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
    const plain = new PlainText();
    let bytes = 0;
    const printing = session.onDidPrint(({ channel: name, data }) => {
      const had = bytes;
      bytes += data.length;
      if (had >= MOST_BYTES) return;
      this.#append(plain.write(decoders[name].write(Buffer.from(data))));
      if (bytes >= MOST_BYTES) this.#append(`\n${l10n.t('… the rest is in the console.')}\n`);
    });
    void session.over.then(() => {
      printing.dispose();
      this.#append(plain.end());
      const { hint, elapsedMs, cpuMs, peakMemoryBytes } = session.view;
      const usage = [
        elapsedMs === null ? [] : formatDuration(elapsedMs),
        cpuMs === null ? [] : `CPU ${formatDuration(cpuMs)}`,
        peakMemoryBytes === null ? [] : formatBytes(peakMemoryBytes),
      ].flat();
      this.#append(`\n— ${[verdictOf(session.view), ...usage].join(', ')}\n`);
      if (hint !== null) this.#append(`  ${hint}\n`);
    });
  }
}
