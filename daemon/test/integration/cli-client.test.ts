/** The client library against a real daemon: following, coming back, several followers, cancelling, and plain HTTP. */
import assert from 'node:assert/strict';
import { Client, type RunObserver } from '../../src/client/index.ts';
import { CodeRunnerError, type RunRequest } from '../../src/protocol/index.ts';
import { python, TestDaemon } from '../support/live-daemon.ts';
import { Way } from '../support/way.ts';

/** Keeps all that it is given. */
class Recorder implements RunObserver {
  stdout = '';
  stderr = '';
  gaps: [number, number][] = [];
  states: string[] = [];
  readonly #waiting: { text: string; resolve: () => void }[] = [];

  onOutput({ channel, data }: Parameters<RunObserver['onOutput']>[0]): void {
    this[channel] += Buffer.from(data).toString();
    for (const { text, resolve } of this.#waiting) if (this.stdout.includes(text)) resolve();
  }

  onGap(from: number, to: number): void {
    this.gaps.push([from, to]);
  }

  onState({ state }: { state: string }): void {
    this.states.push(state);
  }

  printed(text: string): Promise<void> {
    if (this.stdout.includes(text)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ text, resolve }));
  }
}

const program = (source: string, more: Partial<RunRequest> = {}) => ({
  ...python(source, more),
  files: [{ path: 'main.py', content: Buffer.from(source) }],
});
const ECHO = "import sys\nprint('ready', flush=True)\nfor line in sys.stdin: print('got', line, end='', flush=True)";

describe('the client', () => {
  let daemon: TestDaemon;
  before(async () => {
    // The way has a port of its own, which the daemon would take for somebody else's.
    daemon = await TestDaemon.start({ allowedHosts: ['127.0.0.1'] });
  });
  after(() => daemon[Symbol.asyncDispose]());

  const clientOf = (url = daemon.url) => new Client({ locate: async () => ({ url, token: daemon.token }) });
  const byWay = (way: Way) => clientOf(way.url);

  it('starts a run, writes to it, and has all of its output when it is done', async () => {
    await using client = clientOf();
    const seen = new Recorder();
    using run = await client.start(program(ECHO), seen);
    await run.write(Buffer.from('one\n'));
    await seen.printed('got one');
    await run.write(Buffer.from('two\n'));
    await run.eof();
    assert.equal((await run.done).state, 'succeeded');
    assert.equal(seen.stdout, 'ready\ngot one\ngot two\n');
    assert.equal(seen.states.at(-1), 'succeeded');
    await assert.rejects(run.write(Buffer.from('late')), { code: 'run_ended' });
  });

  it('any number of followers get the same, from where each wants it', async () => {
    await using client = clientOf();
    await using other = clientOf();
    const [first, second, later] = [new Recorder(), new Recorder(), new Recorder()];
    using run = await client.start(program(ECHO), first);
    await first.printed('ready\n');
    using again = await client.follow(run.id, second);
    using elsewhere = await other.follow(run.id, later, { from: 6 });
    await run.write(Buffer.from('x\n'));
    await run.eof();
    await Promise.all([run.done, again.done, elsewhere.done]);
    assert.equal(first.stdout, 'ready\ngot x\n');
    assert.equal(second.stdout, first.stdout);
    assert.equal(later.stdout, 'got x\n');
    const past = new Recorder();
    using ended = await other.follow(run.id, past);
    assert.equal((await ended.done).state, 'succeeded');
    assert.equal(past.stdout, first.stdout);
  });

  it('a follower who takes nothing holds the program, and nothing is lost', async () => {
    await using client = clientOf();
    let bytes = 0;
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const total = 8 * 2 ** 20;
    using run = await client.start(program(`import sys\nsys.stdout.write('x' * ${total})`), {
      onOutput({ data }) {
        bytes += data.length;
        arrived.resolve();
        return gate.promise;
      },
      onGap: () => assert.fail('a gap'),
    });
    await arrived.promise;
    assert.equal((await client.api.run(run.id)).state, 'running');
    assert.ok(bytes <= 64 * 1024);
    gate.resolve();
    assert.equal((await run.done).state, 'succeeded');
    assert.equal(bytes, total);
  });

  it('goes on where it was when the connection breaks, without losing or repeating a byte', async () => {
    await using way = await Way.to(daemon);
    await using client = byWay(way);
    const seen = new Recorder();
    const lines = 40_000;
    using run = await client.start(
      program(
        `print('ready', flush=True)\ninput()\nfor i in range(${lines}): print(i)\nprint('half', flush=True)\ninput()\nprint('end')`,
      ),
      seen,
    );
    await seen.printed('ready');
    await run.write(Buffer.from('\n'));
    await seen.printed('1000\n');
    way.cut();
    await seen.printed('half');
    await daemon.fetch('POST', `/v1/runs/${run.id}/stdin`, '\n');
    assert.equal((await run.done).state, 'succeeded');
    const numbers = Array.from({ length: lines }, (_, i) => `${i}\n`).join('');
    assert.equal(seen.stdout, `ready\n${numbers}half\nend\n`);
    assert.deepEqual(seen.gaps, []);
    assert.ok(way.connections >= 2);
  });

  it('looks for the daemon again when it has stopped meanwhile, also where nothing ran', async () => {
    await using stack = new AsyncDisposableStack();
    let present = await TestDaemon.start();
    await using client = new Client({ locate: async () => present });
    const run = async () => {
      const seen = new Recorder();
      using handle = await client.start(program('print("served")'), seen);
      await handle.done;
      return seen.stdout;
    };
    assert.equal(await run(), 'served\n');
    await present[Symbol.asyncDispose]();
    present = stack.use(await TestDaemon.start());
    assert.equal(await run(), 'served\n');
  });

  it('gives up, saying so, when the daemon does not come back', async () => {
    await using gone = await TestDaemon.start();
    const { url, token } = gone;
    await using client = new Client({ locate: async () => ({ url, token }), reconnectMs: 200 });
    const seen = new Recorder();
    using run = await client.start(program(ECHO), seen);
    await seen.printed('ready');
    await gone.stop(true);
    // Whether it still hears of the end depends on which comes first, the message or the closing.
    const end = await run.done.then(
      ({ state }) => state,
      (error: CodeRunnerError) => error.code,
    );
    assert.ok(end === 'cancelled' || end === 'not_running', end);
    await assert.rejects(client.start(program(''), seen), { code: 'not_running' });
  });

  it('an AbortSignal cancels a run that was started, and leaves one that is followed', async () => {
    await using client = clientOf();
    const [started, followed] = [new AbortController(), new AbortController()];
    const seen = new Recorder();
    using run = await client.start(program(ECHO), seen, started.signal);
    await seen.printed('ready');
    using follower = await client.follow(run.id, new Recorder(), { signal: followed.signal });
    followed.abort();
    await assert.rejects(follower.done, CodeRunnerError);
    assert.equal((await client.api.run(run.id)).state, 'running');
    started.abort();
    assert.equal((await run.done).state, 'cancelled');
    await assert.rejects(client.start(program(''), seen, AbortSignal.abort(new Error('too late'))), /too late/);
  });

  it('says in words what is wrong with a request, and stays usable', async () => {
    await using client = clientOf();
    const seen = new Recorder();
    await assert.rejects(client.start(program('', { runtime: 'cobol' }), seen), { code: 'unknown_runtime' });
    await assert.rejects(client.follow('r_none', seen), { code: 'not_found' });
    using run = await client.start(program("print('fine')"), seen);
    await run.done;
    assert.equal(seen.stdout, 'fine\n');
  });

  it('where no WebSocket comes through it does the same over plain HTTP', async () => {
    await using way = await Way.to(daemon, { webSockets: false });
    await using client = byWay(way);
    const seen = new Recorder();
    using run = await client.start(program(ECHO), seen);
    await seen.printed('ready');
    await run.write(Buffer.from('plain\n'));
    await run.eof();
    assert.equal((await run.done).state, 'succeeded');
    assert.equal(seen.stdout, 'ready\ngot plain\n');
    using waiting = await client.start(program(ECHO), new Recorder());
    await waiting.cancel();
    assert.equal((await waiting.done).state, 'cancelled');
  });

  it('tells a wrong token from a daemon that is not there', async () => {
    await using stranger = new Client({ locate: async () => ({ url: daemon.url, token: 'wrong' }) });
    await assert.rejects(stranger.start(program(''), new Recorder()), { code: 'unauthorized' });
    await assert.rejects(stranger.api.status(), { code: 'unauthorized' });
  });
});
