import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Agent, AgentFailure, AgentGone, type StageStart } from '../../src/agent/agent.ts';
import { encode, FROM_AGENT } from '../../src/agent/frames.ts';
import { Attachment } from '../../src/engine/attachment.ts';
import { STDIN_WINDOW_BYTES } from '../../src/protocol/index.ts';

const STDOUT = 1;
const START: StageStart = {
  stage: 'run',
  argv: ['true'],
  env: {},
  cwd: '/workspace',
  tty: null,
  warm: null,
  limits: { wallMs: 1_000, cpuMs: 1_000, outputBytes: 1_000, fileBytes: 1_000, openFiles: 10 },
};
const EXIT = {
  stage: 'run',
  exitCode: 0,
  signal: null,
  wallMs: 1,
  cpuMs: 1,
  peakRssBytes: 1,
  cause: 'exit',
  outputBytes: 0,
  warm: false,
};

/** The container's side of a conversation, played by the test. */
class Container implements Disposable {
  readonly agent: Agent;
  readonly #socket: Socket;
  readonly #close: () => void;

  private constructor(agent: Agent, socket: Socket, close: () => void) {
    this.agent = agent;
    this.#socket = socket;
    this.#close = close;
  }

  static async open(): Promise<Container> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const accepted = once(server, 'connection');
    const ours = connect(port, '127.0.0.1');
    const [socket] = (await accepted) as [Socket];
    const attachment = new Attachment(ours);
    return new Container(new Agent(attachment), socket, () => {
      socket.destroy();
      attachment.destroy();
      server.close();
    });
  }

  /** Says something, as the engine hands it on. */
  say(type: number, payload: unknown, flags = 0): void {
    const frame = encode(type, Buffer.isBuffer(payload) ? payload : Buffer.from(JSON.stringify(payload)), flags);
    const header = Buffer.alloc(8);
    header.writeUInt8(STDOUT, 0);
    header.writeUInt32BE(frame.length, 4);
    this.#socket.write(Buffer.concat([header, frame]));
  }

  ready(warm = true): void {
    this.say(FROM_AGENT.ready, { agent: '1.0.0', protocol: 1, warm });
  }

  /** What it is told next: all of what comes with it in one piece. */
  async hear(): Promise<Buffer> {
    const [bytes] = (await once(this.#socket, 'data')) as [Buffer];
    return bytes;
  }

  /** From READY to EXIT. `more` is done while the program runs. */
  async run(more: (agent: Agent) => void = () => {}): Promise<void> {
    this.ready();
    await this.agent.ready;
    const ended = this.agent.runStage(START);
    more(this.agent);
    this.say(FROM_AGENT.exit, EXIT);
    await ended;
    await this.hear();
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}

function u32(number: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(number);
  return payload;
}

/** Why the conversation ended, once what the container says last has come. */
async function reason(container: Container): Promise<string> {
  return (await container.agent.closed).message;
}

describe('an agent that says it is ready', () => {
  it('is answered, or it would take itself for forgotten', async () => {
    using container = await Container.open();
    const answered = container.hear();
    container.ready();
    assert.equal((await answered).toString('hex'), '060000000000000400000000');
  });
});

describe('an agent that is told to reset', () => {
  it('hears of the next run’s user, and nothing else', async () => {
    using container = await Container.open();
    await container.run();
    const heard = container.hear();
    const again = container.agent.reset(10_002);
    assert.equal((await heard).toString('hex'), '080000000000000400002712');
    container.ready(false);
    assert.deepEqual(await again, { warm: false });
    const next = container.hear();
    container.agent.credit(1);
    assert.equal((await next).toString('hex'), '060000000000000400000001');
  });

  it('may send no output on the credit of the run before', async () => {
    using container = await Container.open();
    await container.run((agent) => agent.credit(1_000));
    const again = container.agent.reset(10_002);
    container.ready();
    await again;
    container.say(FROM_AGENT.stdout, Buffer.from('x'));
    assert.equal(await reason(container), 'The agent sent more output than it may.');
  });

  it('has what it prints on the next run’s credit heard by the next run only', async () => {
    using container = await Container.open();
    let first = '';
    await container.run((agent) => {
      agent.onOutput = (_, bytes) => {
        first += bytes;
      };
    });
    const again = container.agent.reset(10_002);
    container.ready();
    await again;
    container.agent.credit(10);
    container.say(FROM_AGENT.stdout, Buffer.from('early'));
    container.say(FROM_AGENT.exit, EXIT);
    // Nobody asked for that: it tells that what came before was heard.
    assert.equal(await reason(container), 'The agent said EXIT of a stage that it is not at.');
    assert.equal(first, '');
  });

  it('takes a whole window of input again, and tells the run before of none of it', async () => {
    using container = await Container.open();
    let taken = 0;
    await container.run((agent) => {
      agent.stdin(Buffer.alloc(STDIN_WINDOW_BYTES));
      agent.onStdinCredit = (bytes) => {
        taken += bytes;
      };
    });
    const again = container.agent.reset(10_002);
    container.ready();
    await again;
    assert.doesNotThrow(() => container.agent.stdin(Buffer.alloc(STDIN_WINDOW_BYTES)));
    container.say(FROM_AGENT.stdinCredit, u32(1));
    container.say(FROM_AGENT.stdinCredit, u32(STDIN_WINDOW_BYTES));
    assert.equal(await reason(container), 'The agent acknowledged more stdin than it was sent.');
    assert.equal(taken, 0);
  });

  it('tells what it could not prove', async () => {
    using container = await Container.open();
    await container.run();
    const again = container.agent.reset(10_002);
    container.say(FROM_AGENT.fail, { code: 'not_clean', message: 'There is something left in /tmp.' });
    await assert.rejects(again, (error: AgentFailure) => {
      assert.ok(error instanceof AgentFailure);
      assert.deepEqual([error.code, error.message], ['not_clean', 'There is something left in /tmp.']);
      return true;
    });
    // Nothing more may run there.
    await assert.rejects(container.agent.reset(10_003), AgentFailure);
    await assert.rejects(container.agent.runStage(START), AgentFailure);
  });

  it('is ready once for each time it is told', async () => {
    using container = await Container.open();
    await container.run();
    const again = container.agent.reset(10_002);
    container.ready();
    container.ready();
    await again;
    assert.equal(await reason(container), 'The agent said READY, but nobody asked for it.');
    await assert.rejects(container.agent.reset(10_003), AgentGone);
  });
});
