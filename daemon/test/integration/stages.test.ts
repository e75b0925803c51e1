/** What comes before the program: a compiler of its own or the waiting interpreter, and the services that run beside both. */
import assert from 'node:assert/strict';
import tar from 'tar-stream';
import { type AgentExit, AgentFailure, type StageStart } from '../../src/agent/agent.ts';
import { Sandbox } from '../../src/pool/sandbox.ts';
import { CHANNEL, type RunRequest } from '../../src/protocol/index.ts';
import { type Followed, TestDaemon } from '../support/live-daemon.ts';
import { TestRuntimes } from '../support/test-runtimes.ts';

let runtimes: TestRuntimes;

before(async function () {
  this.timeout(600_000);
  runtimes = await TestRuntimes.create('stages', 'python');
});
after(() => runtimes?.[Symbol.asyncDispose]());

describe('a compiler', () => {
  let daemon: TestDaemon;

  before(async () => {
    daemon = await TestDaemon.start({ runtimesPath: runtimes.path });
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  function run(compiler: string, program: string, more: Partial<RunRequest> = {}): Promise<Followed> {
    const files = [
      { path: 'compile.py', content: compiler },
      { path: 'main.stages', content: program },
    ];
    return daemon.runToEnd({ runtime: 'stages', entry: 'main.stages', files, stdin: null, ...more });
  }

  it('that is the waiting interpreter leaves what it made to the program, which is the same process', async () => {
    const {
      run: ended,
      stdout,
      stderr,
    } = await run(
      "import os, sys\nmade = 6 * 7\ncompiler = os.getpid()\nprint('compiling', stage)\nprint('a warning', file=sys.stderr)",
      'import os\nprint(made, compiler == os.getpid(), input())',
      { stdin: 'typed\n' },
    );
    assert.equal(stdout, 'compiling compile\n42 True typed\n');
    assert.equal(stderr, 'a warning\n');
    assert.equal(ended.state, 'succeeded');
    assert.deepEqual(
      ended.stages.map(({ stage, exitCode }) => [stage, exitCode]),
      [
        ['compile', 0],
        ['run', 0],
      ],
    );
    assert.ok(ended.warm.interpreter);
    assert.ok(ended.stages.every(({ wallMs, peakMemoryBytes }) => wallMs > 0 && peakMemoryBytes > 2 ** 20));
  });

  it('is told what the run has chosen', async () => {
    const show = 'print(argv[-1])';
    assert.equal((await run(show, '')).stdout, '--hello\n');
    const chosen = await run(show, '', { options: { greeting: 'good day' } });
    assert.equal(chosen.stdout, '--good day\n');
    assert.deepEqual(chosen.run.options, { greeting: 'good day' });
  });

  for (const cold of [{ cold: true }, { env: { COLD: '1' } }]) {
    it(`is a process of its own where the run is cold: ${JSON.stringify(cold)}`, async () => {
      const compiler = "import os, sys\nprint(os.getppid() == 1, sys.argv[1])\nopen('made', 'w').write('42')";
      const { run: ended, stdout } = await run(compiler, "print(open('made').read(), 'made' in globals())", cold);
      assert.equal(stdout, 'True --hello\n42 False\n');
      assert.equal(ended.warm.interpreter, false);
    });
  }

  it('that finds mistakes ends the run with its messages', async () => {
    const {
      run: ended,
      stdout,
      stderr,
    } = await run("import sys\nprint('no', file=sys.stderr)\nsys.exit(1)", "print('ran')");
    assert.equal(ended.state, 'compile_failed');
    assert.deepEqual([ended.exitCode, ended.stages.length], [1, 1]);
    assert.deepEqual([stdout, stderr], ['', 'no\n']);
  });

  it('leaves no process behind', async () => {
    const { stdout, run: ended } = await run(
      "import subprocess\nchild = subprocess.Popen(['sleep', 'infinity'], start_new_session=True)",
      'import os\nprint(child.wait())',
    );
    assert.equal(stdout, '-9\n', JSON.stringify(ended));
  });

  const limited: [string, string, RegExp, string][] = [
    ['for ever', 'while True: pass', /used more than 500 ms of CPU time while it was compiled/, 'timed_out'],
    ['without end', "while True: print('x' * 1000)", /printed more than 64 KiB while it was compiled/, 'output_limit'],
    ['too much and then ends', "print('x' * 65536 * 2)", /printed more than 64 KiB while/, 'output_limit'],
    ['and dies', 'import os, signal\nos.kill(os.getpid(), signal.SIGKILL)', /does not compile/, 'compile_failed'],
    [
      'and leaves the agent',
      'import os\nos.close(3)\nimport time\ntime.sleep(60)',
      /does not compile/,
      'compile_failed',
    ],
    [
      'and answers nonsense',
      "import os\nos.write(3, b'nonsense')\nimport time\ntime.sleep(60)",
      /not compile/,
      'compile_failed',
    ],
    ['in memory that is not there', "x = 'x' * 2 ** 28", /192 MiB of memory while it was compiled/, 'out_of_memory'],
  ];
  for (const cold of [false, true]) {
    for (const [what, compiler, message, state] of limited.filter(
      ([, code]) => !cold || !/close\(3|write\(3/.test(code),
    )) {
      it(`that works ${what} is ended, ${cold ? 'cold' : 'warm'}`, async () => {
        const { run: ended, stdout } = await run(compiler, "print('ran')", { cold });
        assert.match(ended.message ?? '', message);
        assert.equal(ended.state, state);
        assert.doesNotMatch(stdout, /ran/);
        if (state === 'output_limit') assert.equal(stdout.length, 65_536);
      }).timeout(30_000);
    }
  }

  for (const cold of [false, true]) {
    it(`may use memory that the program may not, ${cold ? 'cold' : 'warm'}`, async () => {
      const use = "print(len(b'x' * (150 * 2 ** 20)))";
      const fine = await run(use, "print('fine')", { cold });
      assert.equal(fine.stdout, `${150 * 2 ** 20}\nfine\n`, JSON.stringify(fine.run));
      const { run: ended } = await run('', use, { cold });
      assert.equal(ended.message, 'Stopped: used more than 128 MiB of memory.');
      assert.equal(ended.state, 'out_of_memory');
    });
  }

  it('that leaves more than the program may have ends the run', async () => {
    const { run: ended, stdout } = await run("kept = b'x' * (150 * 2 ** 20)", "print('ran')");
    assert.deepEqual([ended.state, stdout], ['out_of_memory', ''], ended.message ?? '');
    assert.equal(ended.message, 'Stopped: used more than 128 MiB of memory.');
  });

  it('has limits that are not those of the program', async () => {
    const compiler =
      "import resource\nprint(resource.getrlimit(resource.RLIMIT_FSIZE)[0])\nopen('made', 'wb').write(bytes(2 ** 20))";
    const { stdout, run: ended } = await run(compiler, "open('more', 'wb').write(bytes(2 ** 21))\nprint('wrote')");
    assert.equal(stdout, `${2 ** 20}\nwrote\n`, JSON.stringify(ended));
  });
});

describe('a service', () => {
  const LIMITS = { wallMs: 20_000, cpuMs: 20_000, outputBytes: 2 ** 20, fileBytes: 2 ** 20, openFiles: 256 };
  const ASK = `
import socket
connection = socket.socket(socket.AF_UNIX)
connection.connect('/tmp/service')
print(connection.recv(100).decode(), flush=True)
`;

  const create = (services: string[]) =>
    Sandbox.create(
      runtimes.engine,
      {
        image: runtimes.image,
        labels: { 'coderunner.instance': 'test', 'coderunner.runtime': 'stages' },
        command: [...services.flatMap((path) => ['--service', path]), '--', 'python3', '/opt/stages/interpreter.py'],
        user: 0,
        memoryBytes: 2 ** 27,
        pids: 64,
        cpus: 1,
        workspaceBytes: 2 ** 26,
        workspaceFiles: 1_000,
        tmpBytes: 2 ** 24,
      },
      AbortSignal.timeout(30_000),
    );

  const start = (stage: string, warm: boolean): StageStart => ({
    stage,
    argv: ['python3', `${stage}.py`],
    env: { PATH: '/usr/bin:/bin', HOME: '/workspace' },
    cwd: '/workspace',
    tty: null,
    warm: warm ? { entry: `${stage}.py`, args: [] } : null,
    limits: LIMITS,
  });

  for (const warm of [true, false]) {
    it(`serves the compiler and then the program, with all that it has started, ${warm ? 'warm' : 'cold'}`, async () => {
      await using sandbox = await create(['/opt/stages/service.py']);
      const { agent } = sandbox;
      const printed: Buffer[] = [];
      agent.onOutput = (channel, bytes) => {
        if (channel === CHANNEL.stdout) printed.push(bytes);
      };
      const pack = tar.pack();
      pack.entry({ name: 'compile.py' }, ASK);
      pack.entry({ name: 'run.py' }, ASK);
      pack.finalize();
      await agent.sendFiles(pack as AsyncIterable<Buffer>);
      agent.credit(2 ** 20);
      const ends: AgentExit[] = [];
      for (const stage of ['compile', 'run']) {
        const end = agent.runStage(start(stage, warm));
        agent.stdin(new Uint8Array(0), true);
        ends.push(await end);
      }
      assert.deepEqual(
        ends.map(({ exitCode, warm }) => [exitCode, warm]),
        [
          [0, warm],
          [0, warm],
        ],
      );
      const [first, second] = Buffer.concat(printed).toString().trim().split('\n');
      assert.match(first ?? '', /^\d+ None$/, 'it has started a process that lives');
      assert.equal(second, first, 'the same service, and its process lives on');
    });
  }

  it('that does not start ends its sandbox, which says so', async () => {
    await assert.rejects(
      () => create(['/opt/stages/broken-service.sh']),
      (error: AgentFailure) =>
        error instanceof AgentFailure && error.code === 'service_ended' && /broken-service/.test(error.message),
    );
  });
});
