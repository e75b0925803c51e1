/** `coderunner run --json`: one object a line. docs/protocol.md has their fields. */
import { isUtf8 } from 'node:buffer';
import type { Output } from '../client/run-feed.ts';
import type { CodeRunnerError } from '../protocol/errors.ts';
import type { Run } from '../protocol/resources.ts';
import { stdout } from './output.ts';

export class JsonLines {
  /** Beginnings of characters whose rest has not come yet. */
  readonly #held: Record<Output['channel'], Uint8Array> = { stdout: new Uint8Array(0), stderr: new Uint8Array(0) };
  #stages = 0;

  async output(channel: Output['channel'], data: Uint8Array): Promise<void> {
    const bytes = Buffer.concat([this.#held[channel], data]);
    const whole = bytes.length - unfinished(bytes);
    this.#held[channel] = bytes.subarray(whole);
    await this.#bytes(channel, bytes.subarray(0, whole));
  }

  async gap(bytes: number): Promise<void> {
    await this.#flush();
    await this.#line({ type: 'gap', bytes });
  }

  /** Tells of the stages that have ended since. */
  async stages(run: Run): Promise<void> {
    for (const stage of run.stages.slice(this.#stages)) {
      this.#stages++;
      await this.#flush();
      const { stage: name, ...rest } = stage;
      await this.#line({ type: 'stage', stage: name, ...rest });
    }
  }

  async file(path: string, sizeBytes: number): Promise<void> {
    await this.#line({ type: 'file', path, sizeBytes });
  }

  /** What a statement of SQL gave. */
  async result(result: Record<string, unknown>): Promise<void> {
    await this.#flush();
    await this.#line({ ...result, type: 'result' });
  }

  async end({ id, state, exitCode, signal, wallMs, cpuMs, peakMemoryBytes, message, error }: Run): Promise<void> {
    await this.#flush();
    const verdict = { state, exitCode, signal, wallMs, cpuMs, peakMemoryBytes, message };
    await this.#line({ type: 'end', id, ...verdict, ...(error ? { error } : {}) });
  }

  async error(error: CodeRunnerError): Promise<void> {
    await this.#flush();
    await this.#line({ type: 'error', error });
  }

  async #flush(): Promise<void> {
    for (const channel of ['stdout', 'stderr'] as const) {
      const held = this.#held[channel];
      this.#held[channel] = new Uint8Array(0);
      await this.#bytes(channel, held);
    }
  }

  async #bytes(type: Output['channel'], bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (isUtf8(buffer)) await this.#line({ type, data: buffer.toString('utf8') });
    else await this.#line({ type, data: buffer.toString('base64'), encoding: 'base64' });
  }

  #line(value: object): Promise<void> {
    return stdout.write(Buffer.from(`${JSON.stringify(value)}\n`));
  }
}

/** How many bytes at the end begin a UTF-8 character that goes on in the next piece. */
export function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte >= 0xc2 && byte <= 0xf4) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? back : 0;
    const continues = byte >= 0x80 && byte < 0xc0;
    if (!continues) return 0;
  }
  return 0;
}
