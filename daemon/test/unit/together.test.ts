import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { Together } from '../../src/engine/together.ts';

/** Remembers what it was given at once. */
class Remembering extends Writable {
  readonly pieces: string[] = [];

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.pieces.push(`${chunk}`);
    done();
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.pieces.push(chunks.map(({ chunk }) => `${chunk}`).join(''));
    done();
  }
}

describe('writes that go out together', () => {
  function connection() {
    const socket = new Remembering();
    const together = new Together(socket);
    const write = (text: string) => {
      together.begin();
      socket.write(text);
    };
    return { socket, write };
  }

  it('are those of one turn of the event loop, also after what was waited for in it', async () => {
    const { socket, write } = connection();
    write('a');
    await Promise.resolve();
    write('b');
    await new Promise<void>((resolve) => process.nextTick(resolve));
    write('c');
    assert.deepEqual(socket.pieces, []);
    await turn();
    assert.deepEqual(socket.pieces, ['abc']);
    write('d');
    await turn();
    assert.deepEqual(socket.pieces, ['abc', 'd']);
  });

  it('are written before the end of the connection', async () => {
    const { socket, write } = connection();
    write('a');
    write('b');
    socket.end();
    await turn();
    assert.deepEqual(socket.pieces, ['ab']);
    assert.equal(socket.writableFinished, true);
  });
});
