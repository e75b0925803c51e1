import assert from 'node:assert/strict';
import { PAGE_WINDOW_BYTES, type ToPage } from '../../src/console/messages.ts';
import { Transcript } from '../../src/console/transcript.ts';

describe('A run’s transcript', () => {
  const piece = (bytes: number) => new Uint8Array(bytes);
  const bytesOf = (messages: readonly ToPage[]) =>
    messages.reduce((sum, message) => sum + (message.type === 'output' ? message.data.length : 0), 0);

  it('gives the page no more than it can take, and the program waits for the page', async () => {
    const transcript = new Transcript(1);
    const sent: ToPage[] = [];
    transcript.attach((message) => sent.push(message), true);
    let waiting: Promise<void> | undefined;
    let seq = 0;
    while (!waiting) {
      waiting = transcript.output('stdout', seq, piece(64 * 1024));
      seq += 64 * 1024;
    }
    assert.equal(bytesOf(sent), PAGE_WINDOW_BYTES);
    let released = false;
    const release = waiting.then(() => {
      released = true;
    });
    transcript.drawn(1);
    await release;
    assert.ok(released);
    assert.equal(bytesOf(sent), seq);
  });

  it('keeps the latest for a page that is loaded again, and says what is missing', () => {
    const transcript = new Transcript(7);
    for (let seq = 0; seq < 3 * 2 ** 20; seq += 2 ** 18) transcript.output('stdout', seq, piece(2 ** 18));
    const sent: ToPage[] = [];
    transcript.attach((message) => {
      sent.push(message);
      if (message.type === 'output') transcript.drawn(message.seq + message.data.length);
    }, true);
    const [first] = sent;
    assert.equal(first?.type, 'gap');
    assert.deepEqual(first, { type: 'gap', run: 7, from: 0, to: 2 * 2 ** 20 });
    transcript.drawn(3 * 2 ** 20);
    assert.equal(bytesOf(sent), 2 ** 20);
  });

  it('does not make a program wait for a page that is hidden', () => {
    const transcript = new Transcript(1);
    const sent: ToPage[] = [];
    transcript.attach((message) => sent.push(message), true);
    transcript.detach();
    assert.equal(transcript.output('stdout', 0, piece(2 * PAGE_WINDOW_BYTES)), undefined);
    assert.equal(transcript.output('stdout', 2 * PAGE_WINDOW_BYTES, piece(1)), undefined);
    assert.equal(sent.length, 0);
    transcript.attach((message) => sent.push(message), false);
    assert.ok(bytesOf(sent) > 0);
  });

  it('says how much a page that is loaded again had before', () => {
    const transcript = new Transcript(2);
    transcript.attach(() => {}, true);
    transcript.output('stdout', 0, piece(10));
    const sent: ToPage[] = [];
    transcript.attach((message) => sent.push(message), true);
    assert.deepEqual(sent[0], { type: 'replay', run: 2, to: 10 });
  });

  it('forgets what was cleared', () => {
    const transcript = new Transcript(1);
    transcript.output('stdout', 0, piece(10));
    transcript.clear();
    transcript.output('stdout', 10, piece(1));
    const sent: ToPage[] = [];
    transcript.attach((message) => sent.push(message), true);
    assert.equal(bytesOf(sent), 1);
  });
});
