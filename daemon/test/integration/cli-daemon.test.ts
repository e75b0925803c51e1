/** The commands around runs: the daemon's life, its settings, its languages, help and completions. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { LocalDaemon } from '../../src/client/address.ts';
import { SETTINGS } from '../../src/config.ts';
import { PROTOCOL_VERSION } from '../../src/protocol/index.ts';
import { VERSION } from '../../src/version.ts';
import { Cli } from '../support/cli.ts';

describe('the daemon on the command line', () => {
  let cli: Cli;

  beforeEach(async () => {
    cli = await Cli.create();
  });
  afterEach(() => cli[Symbol.asyncDispose]());

  const discovery = async () => JSON.parse(await readFile(join(cli.dataDir, 'daemon.json'), 'utf8')) as LocalDaemon;
  const json = async (...args: string[]) => {
    const { stdout, stderr, code } = await cli.run([...args, '--json']);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout.toString());
  };
  /** What looks like a daemon of another version. */
  const pretend = async (protocol: number) => {
    const server = createServer((_request, response) => response.end('{"status":"ok"}'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await mkdir(cli.dataDir, { recursive: true });
    const daemon = {
      url,
      token: 'x',
      pid: process.pid,
      version: '9.9.9',
      protocol,
      startedAt: new Date().toISOString(),
    };
    await writeFile(join(cli.dataDir, 'daemon.json'), JSON.stringify(daemon));
    return {
      async [Symbol.asyncDispose]() {
        await writeFile(join(cli.dataDir, 'daemon.json'), '{}');
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  };

  it('run starts one where none runs, and the next run finds it', async () => {
    await cli.file('hello.py', "print('hello')");
    const first = await cli.run(['run', 'hello.py']);
    assert.equal(first.stdout.toString(), 'hello\n', first.stderr);
    assert.equal(first.stderr, 'coderunner: started the daemon\n');
    const { pid } = await discovery();
    const second = await cli.run(['run', 'hello.py']);
    assert.equal(second.stdout.toString(), 'hello\n');
    assert.equal(second.stderr, '');
    assert.equal((await discovery()).pid, pid);
  });

  it('two runs at once start one between them', async () => {
    await cli.file('hello.py', "print('hello')");
    const both = await Promise.all([cli.run(['run', 'hello.py']), cli.run(['run', 'hello.py'])]);
    assert.deepEqual(
      both.map(({ code, stdout }) => [code, stdout.toString()]),
      [
        [0, 'hello\n'],
        [0, 'hello\n'],
      ],
      both.map(({ stderr }) => stderr).join(),
    );
    assert.equal((await json('status')).clients, 0);
  });

  it('starts, says so, is found again, and stops without a trace', async () => {
    const none = await cli.run(['status']);
    assert.equal(none.code, 125);
    assert.match(none.stderr, /not_running: No daemon is running\.\n {2}.*coderunner start/);
    const { started, url, pid } = await json('start');
    assert.equal(started, true);
    assert.equal((await json('start')).started, false);
    const status = await json('status');
    assert.deepEqual([status.url, status.pid, status.version], [url, pid, VERSION]);
    assert.match((await cli.run(['status'])).stdout.toString(), /^runs +0 running, 0 waiting$/m);
    assert.match((await cli.run(['version'])).stdout.toString(), new RegExp(`daemon ${VERSION}`));
    const stopped = await cli.run(['stop']);
    assert.equal(stopped.code, 0);
    assert.match(stopped.stderr, /^The daemon has stopped\.\n$/m);
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    await assert.rejects(discovery(), { code: 'ENOENT' });
    assert.deepEqual((await cli.run(['stop'])).stderr, 'No daemon is running.\n');
  });

  it('says what it waits for where that takes long', async () => {
    await using patient = await Cli.create({ CODERUNNER_STOP_GRACE: '1h' });
    await patient.file('main.py', "print('ready', flush=True)\ninput()\n");
    const program = patient.spawn('run', 'main.py');
    await program.printed('ready\n');
    const stopping = patient.spawn('stop');
    while (!stopping.stderr.includes('Waiting for running programs')) await once(stopping.child.stderr, 'data');
    program.type('\n');
    assert.equal((await program.ended).code, 0);
    assert.match((await stopping.ended).stderr, /the next daemon removes\.\nThe daemon has stopped\.\n$/);
  });

  it('in the foreground it serves until Ctrl-C, and a second one on the folder says why it does not', async () => {
    const daemon = cli.spawn('start', '--foreground');
    while (!daemon.stderr.includes('"msg":"ready"')) await once(daemon.child.stderr, 'data');
    const second = await cli.run(['start', '--foreground']);
    assert.equal(second.code, 125);
    assert.match(second.stderr, /already_running: .*\n {2}.*coderunner stop/);
    daemon.child.kill('SIGINT');
    assert.equal((await daemon.ended).code, 0);
  });

  it('a daemon that cannot start is reported with what it said', async () => {
    await using broken = await Cli.create({ CODERUNNER_HOST: '203.0.113.1' });
    const { code, stderr } = await broken.run(['start']);
    assert.equal(code, 125);
    assert.match(stderr, /not_running: .*\n.*\n? *coderunner: bad_setting: .*203\.0\.113\.1/s);
  });

  it('what a killed daemon left is no hindrance, and its run is lost, not forgotten', async () => {
    await cli.file('wait.py', "import signal\nprint('ready', flush=True)\nsignal.pause()");
    const running = cli.spawn('run', 'wait.py');
    await running.printed('ready');
    process.kill((await discovery()).pid, 'SIGKILL');
    const { code, stderr } = await running.ended;
    assert.equal(code, 125);
    assert.match(stderr, /Lost: /);
    const [run] = await json('ps', '-a');
    assert.equal(run.state, 'lost');
  });

  for (const [title, protocol, said] of [
    [
      'newer',
      PROTOCOL_VERSION + 1,
      /version_mismatch: The daemon 9\.9\.9 is newer than this program .*\n {2}Update this/,
    ],
    [
      'older',
      PROTOCOL_VERSION - 1,
      /version_mismatch: The daemon 9\.9\.9 is older than this program .*\n {2}.*coderunner stop/,
    ],
  ] as const) {
    it(`a ${title} daemon is not misunderstood`, async () => {
      await using _daemon = await pretend(protocol);
      await cli.file('hello.py', '');
      const { code, stderr } = await cli.run(['run', 'hello.py']);
      assert.equal(code, 125);
      assert.match(stderr, said);
    });
  }

  it('lists the languages', async () => {
    const runtimes = (await json('runtimes')) as { id: string; state: string }[];
    assert.deepEqual(
      runtimes.map(({ id, state }) => [id, state]).filter(([id]) => id === 'javascript' || id === 'python'),
      [
        ['javascript', 'ready'],
        ['python', 'ready'],
      ],
    );
    assert.match((await cli.run(['runtimes'])).stdout.toString(), /^python +Python 3.* ready$/m);
    const unknown = await cli.run(['runtimes', 'build', 'cobol']);
    assert.equal(unknown.code, 125);
    assert.match(unknown.stderr, /unknown_runtime: .*cobol/);
    const built = await cli.run(['runtimes', 'build', 'py']);
    assert.deepEqual([built.code, built.stdout.toString(), built.stderr], [0, '', 'All images are there already.\n']);
  });

  it('doctor finds everything in order, and tells programs so', async () => {
    const checks = (await json('doctor')) as { id: string; state: string }[];
    assert.ok(checks.some(({ id, state }) => id === 'sandbox' && state === 'ok'));
  });
});

describe('commands that need no daemon', () => {
  let cli: Cli;
  before(async () => {
    cli = await Cli.create({ CODERUNNER_MAX_WALL: '90s', CODERUNNER_TOKEN: 'not-for-screens' });
  });
  after(() => cli[Symbol.asyncDispose]());

  it('config tells every setting, where its value comes from, and no secret', async () => {
    const { stdout } = await cli.run(['config']);
    const shown = stdout.toString();
    for (const name of Object.keys(SETTINGS)) assert.match(shown, new RegExp(`^${name} `, 'm'));
    assert.match(shown, /^maxWall +1 min 30 s +CODERUNNER_MAX_WALL +CODERUNNER_MAX_WALL$/m);
    assert.match(shown, /^maxMemory +2 GiB +default +CODERUNNER_MAX_MEMORY$/m);
    assert.doesNotMatch(shown, /not-for-screens/);
  });

  it('config tells what the configuration file sets', async () => {
    await using other = await Cli.create({ CODERUNNER_CONFIG: join(cli.folder, 'config.json') });
    await cli.file('config.json', '{"poolSize": 7, "allowedHosts": ["a", "b"]}');
    const settings = JSON.parse((await other.run(['config', '--json'])).stdout.toString()) as { name: string }[];
    const of = (name: string) => settings.find((setting) => setting.name === name);
    assert.deepEqual(of('allowedHosts'), {
      name: 'allowedHosts',
      env: 'CODERUNNER_ALLOWED_HOSTS',
      value: ['a', 'b'],
      source: join(cli.folder, 'config.json'),
    });
  });

  it('a setting that will not do is named', async () => {
    await using bad = await Cli.create({ CODERUNNER_POOL_SIZE: 'many' });
    const { code, stderr } = await bad.run(['config']);
    assert.equal(code, 125);
    assert.match(stderr, /bad_setting: CODERUNNER_POOL_SIZE is "many", but takes a whole number/);
  });

  it('help is there for every command, on stdout', async () => {
    const { stdout, code } = await cli.run(['--help']);
    assert.equal(code, 0);
    const commands = [...stdout.toString().matchAll(/^ {2}([a-z]+)(?: .*)? {2,}\S/gm)].map(
      ([, name]) => name as string,
    );
    for (const name of ['run', 'ps', 'logs', 'kill', 'start', 'stop', 'status', 'runtimes', 'doctor', 'config'])
      assert.ok(commands.includes(name), `${name} is not in the help`);
    const helps = await Promise.all([
      cli.run(['run', '--help']),
      cli.run(['help', 'logs']),
      cli.run(['runtimes', 'build', '--help']),
    ]);
    for (const help of helps) {
      assert.equal(help.code, 0);
      assert.match(help.stdout.toString(), /^Usage: coderunner /);
      assert.equal(help.stderr, '');
    }
  });

  it('what is no command is refused, naming what was meant', async () => {
    const { code, stderr, stdout } = await cli.run(['rum', 'hello.py']);
    assert.equal(code, 125);
    assert.equal(stdout.length, 0);
    assert.match(stderr, /unknown command 'rum'.*run/s);
  });

  it('bash completes commands, options and files', async () => {
    await cli.file('hello.py', '');
    const script = `source <(${cli.shell} completion bash)
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _coderunner; echo "\${COMPREPLY[*]}"; }
try coderunner sta; try coderunner run --out; try coderunner run hel; try coderunner completion f; try coderunner runtimes b`;
    const { stdout, stderr } = await cli.program('bash', ['-c', script]).ended;
    assert.equal(stderr, '');
    assert.deepEqual(stdout.toString().trimEnd().split('\n'), [
      'start status',
      '--output-dir --output-limit --out',
      'hello.py',
      'fish',
      'build',
    ]);
  });

  for (const shell of ['zsh', 'fish'])
    it(`${shell} gets every command and option`, async () => {
      const { stdout } = await cli.run(['completion', shell]);
      for (const word of ['run', 'logs', 'collect', 'foreground', 'build'])
        assert.match(stdout.toString(), new RegExp(`\\b${word}\\b`));
    });

  it('no colours but on a terminal, and none there with NO_COLOR', async () => {
    // A CI that it does not know counts as one without colours.
    const on = (env: string) =>
      cli.program('script', ['-qefc', `env -u CI ${env} ${cli.shell} run missing.py`, '/dev/null']).ended;
    const colour = '\x1b[';
    assert.ok(!(await cli.run(['run', 'missing.py'])).stderr.includes(colour));
    assert.ok((await on('TERM=xterm-256color')).stdout.includes(colour));
    assert.ok(!(await on('TERM=xterm-256color NO_COLOR=1')).stdout.includes(colour));
  });
});
