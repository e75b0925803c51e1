/** The client library on a way that breaks: what it asked for is there once, and what it sent arrives once. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { Client, type RunHandle, type RunObserver } from '../../src/client/index.ts';
import type { BatchLine, Run, RunList } from '../../src/protocol/index.ts';
import { Random } from '../chaos/random.ts';
import { sha256 } from '../support/daemon.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { type DaemonClient, dataFolder, python, TestDaemon, WAITS } from '../support/live-daemon.ts';
import { type Sender, Way } from '../support/way.ts';

/** Of all chance here; the title of the tests tells it, and this variable brings it back. */
const SEED = Number(process.env.RECONNECT_SEED ?? Date.now() % 2 ** 31);

const HASHES = 'import hashlib, sys\nprint(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())';

function program(source: string, name: string) {
  // However busy the machine is, it does not end for its time.
  const limits = { wallMs: 600_000 };
  return { ...python(source, { limits }), files: [{ path: 'main.py', content: Buffer.from(source) }], args: [name] };
}

/** What it printed, once it has ended. */
async function printed(start: (observer: RunObserver) => Promise<RunHandle>, feed?: (run: RunHandle) => Promise<void>) {
  let text = '';
  using handle = await start({
    onOutput: ({ data }) => {
      text += Buffer.from(data).toString();
    },
  });
  await feed?.(handle);
  const run = await handle.done;
  return { run, text };
}

/** How a client's JSON message begins on a WebSocket; the rest is masked. */
const MESSAGE = Buffer.of(0x81);

/** Breaks the way that many times where something is said. @param what in the daemon's words anywhere, in the client's at the beginning */
function breakAt(way: Way, who: Sender, what: string | Buffer, times: number): void {
  let left = times;
  way.breaksAt = (bytes, from) => {
    const at = bytes.indexOf(what);
    return from === who && (who === 'client' ? at === 0 : at >= 0) && left-- > 0;
  };
}

async function runsNamed(daemon: DaemonClient, name: string): Promise<Run[]> {
  const { runs } = await daemon.json<RunList>('GET', '/v1/runs?limit=1000');
  return runs.filter(({ args }) => args[0] === name);
}

describe(`a client whose connection breaks (RECONNECT_SEED=${SEED})`, () => {
  let daemon: TestDaemon;
  before(async () => {
    // The way has a port of its own, which the daemon would take for somebody else's.
    daemon = await TestDaemon.start({ allowedHosts: ['127.0.0.1'] });
  });
  after(() => daemon[Symbol.asyncDispose]());

  const byWay = (way: Way, reconnectMs?: number) =>
    new Client({ locate: async () => ({ url: way.url, token: daemon.token }), ...(reconnectMs && { reconnectMs }) });

  for (const { name, webSockets, asks, answers } of [
    { name: 'the stream', webSockets: true, asks: MESSAGE, answers: '"run.state"' },
    { name: 'plain HTTP', webSockets: false, asks: 'POST /v1/runs ', answers: 'HTTP/1.1 201' },
  ]) {
    it(`has one run over ${name}, whether what asked for it was lost or the answer`, async () => {
      await using way = await Way.to(daemon, { webSockets });
      await using client = byWay(way);
      for (const [who, what] of [
        ['client', asks],
        ['daemon', answers],
      ] as const) {
        const title = `${name}, ${who}`;
        breakAt(way, who, what, 2);
        const connections = way.connections;
        const { run, text } = await printed((observer) => client.start(program("print('once')", title), observer));
        assert.deepEqual([run.state, text], ['succeeded', 'once\n']);
        assert.ok(way.connections >= connections + 2, 'it broke');
        assert.equal((await runsNamed(daemon, title)).length, 1);
      }
    });

    it(`sends all of a large input over ${name}, in order and once, wherever it breaks`, async function () {
      this.timeout(300_000);
      for (let round = 0; round < (webSockets ? 6 : 2); round++) {
        const random = new Random(SEED, round);
        const input = Buffer.from(
          Uint8Array.from({ length: 600_000 + random.below(600_000) }, () => random.below(256)),
        );
        await using way = await Way.to(daemon, { webSockets });
        await using client = byWay(way);
        let breaks = 0;
        const write = async (run: RunHandle) => {
          let left = random.below(input.length / 4);
          way.breaksAt = ({ length }) => {
            left -= length;
            if (left > 0 || breaks === 6) return false;
            breaks++;
            left = random.below(input.length / 4);
            return true;
          };
          for (let at = 0; at < input.length; ) {
            const piece = input.subarray(at, at + 1 + random.below(300_000));
            await run.write(piece);
            at += piece.length;
          }
          await run.eof();
        };
        const { run, text } = await printed((observer) => client.start(program(HASHES, `${round}`), observer), write);
        assert.equal(run.inputBytes, input.length, `round ${round}`);
        assert.equal(text, `${sha256(input)}\n`, `round ${round}`);
        assert.ok(breaks > 0, 'it broke');
      }
    });
  }

  it('closes the input and ends the run, though the message that says so was lost', async () => {
    await using way = await Way.to(daemon);
    await using client = byWay(way);
    for (const [act, state] of [
      [(run: RunHandle) => run.eof(), 'succeeded'],
      [(run: RunHandle) => run.cancel(), 'cancelled'],
    ] as const) {
      const { id } = await daemon.start(python("import sys\nprint('ready', flush=True)\nsys.stdin.read()"));
      await daemon.printed(id, 'ready');
      const connections = way.connections;
      const { run } = await printed(
        (observer) => client.follow(id, observer),
        async (handle) => {
          breakAt(way, 'client', MESSAGE, 1);
          await act(handle);
        },
      );
      assert.equal(run.state, state);
      assert.ok(way.connections > connections, 'it broke');
    }
  });

  it('has one result for each input of a batch, in order, wherever it breaks', async function () {
    this.timeout(300_000);
    const count = 12;
    const double = (name: string) => ({ ...program('print(2 * int(input()))', name), runtime: 'python' });
    const inputs = Array.from({ length: count }, (_, at) => ({
      name: `${at}`,
      stdin: `${at}\n`,
      // One of them does not pass.
      expected: at === 5 ? 'wrong' : `${2 * at}\n`,
    }));
    for (let round = 0; round < 3; round++) {
      const random = new Random(SEED, 100 + round);
      await using way = await Way.to(daemon);
      await using client = byWay(way);
      // Before the first line, between the others, and where the last one says how many there were.
      const at = new Set(['200 OK', `"index":${random.below(4)}`, ...(round === 0 ? [] : ['"type":"end"'])]);
      let breaks = 0;
      way.breaksAt = (bytes, from) => {
        const what =
          from === 'daemon' &&
          [...at].find((text) => bytes.includes(text) && bytes.includes('ndjson') === (text === '200 OK'));
        if (!what) return false;
        at.delete(what);
        breaks++;
        return true;
      };
      const lines: BatchLine[] = [];
      for await (const line of client.batch({ ...double(`batch ${round}`), inputs })) lines.push(line);
      const results = lines.filter((line) => line.type === 'result');
      assert.deepEqual(
        results.map(({ index, name, stdout, passed }) => [index, name, stdout, passed]),
        inputs.map(({ name }, index) => [index, name, `${2 * index}\n`, index !== 5]),
      );
      assert.deepEqual(lines.slice(count), [
        { type: 'end', total: count, passed: count - 1, failed: 1, skipped: 0, error: null },
      ]);
      assert.ok(breaks > 0, 'it broke');
      const succeeded = (await runsNamed(daemon, `batch ${round}`)).filter(({ state }) => state === 'succeeded');
      assert.equal(succeeded.length, count, 'no program came to its end twice');
    }
  });

  it('says that the daemon does not answer when every connection breaks before the answer', async () => {
    await using way = await Way.to(daemon);
    await using client = byWay(way, 300);
    breakAt(way, 'daemon', '"run.state"', Number.POSITIVE_INFINITY);
    await assert.rejects(
      printed((observer) => client.start(program('', 'never answered'), observer)),
      { code: 'not_running' },
    );
    assert.equal((await runsNamed(daemon, 'never answered')).length, 1);
  });
});

/** Daemons on one data folder that run one program at a time, and a client of whichever is there. */
class OneAfterTheOther implements AsyncDisposable {
  readonly client: Client;
  present: DaemonProcess;
  readonly #start: () => Promise<DaemonProcess>;
  readonly #resources: AsyncDisposableStack;

  private constructor(present: DaemonProcess, start: () => Promise<DaemonProcess>, resources: AsyncDisposableStack) {
    this.present = present;
    this.#start = start;
    this.#resources = resources;
    resources.defer(() => this.present[Symbol.asyncDispose]());
    this.client = resources.use(new Client({ locate: async () => this.present, reconnectMs: 300_000 }));
  }

  static async start(): Promise<OneAfterTheOther> {
    await using resources = new AsyncDisposableStack();
    const dataDir = await dataFolder();
    resources.defer(() => rm(dataDir, { recursive: true, force: true }));
    const start = () => DaemonProcess.start(dataDir, { CODERUNNER_MAX_RUNNING: '1' });
    return new OneAfterTheOther(await start(), start, resources.move());
  }

  async killPresent(): Promise<void> {
    await this.present.end('SIGKILL');
    this.present = await this.#start();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}

describe('a batch whose daemon is killed', () => {
  it('goes on with the next one, which brings back what waited: each program comes to its end once', async function () {
    this.timeout(300_000);
    await using daemons = await OneAfterTheOther.start();
    const { client } = daemons;
    const inputs = Array.from({ length: 4 }, (_, at) => ({ name: `${at}`, stdin: `${at}\n` }));
    const states: string[] = [];
    for await (const line of client.batch({ ...program('print(input())', 'killed'), runtime: 'python', inputs })) {
      if (line.type === 'end') {
        assert.deepEqual([line.total, line.passed, line.error], [4, 4, null]);
        continue;
      }
      states.push(line.run.state);
      if (line.index !== 1) continue;
      await daemons.killPresent();
    }
    assert.deepEqual(states, Array(4).fill('succeeded'));
    const runs = await runsNamed(daemons.present, 'killed');
    assert.equal(runs.filter(({ state }) => state === 'succeeded').length, 4);
  });
});

describe('input for a run that waits', () => {
  it('is sent again to the daemon that brings the run back', async function () {
    this.timeout(300_000);
    await using daemons = await OneAfterTheOther.start();
    const { client } = daemons;
    const { id } = await daemons.present.start(python(WAITS, { limits: { wallMs: 600_000 } }));
    await daemons.present.printed(id, 'ready');
    const input = Buffer.alloc(200_000, 'input of a run that waits\n');
    const { text } = await printed(
      (observer) => client.start(program(HASHES, 'waits'), observer),
      async (run) => {
        await run.write(input);
        await run.eof();
        assert.equal((await daemons.present.run(run.id)).state, 'queued');
        await daemons.killPresent();
      },
    );
    assert.equal(text, `${sha256(input)}\n`);
  });
});
