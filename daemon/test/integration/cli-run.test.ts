/** `coderunner run` as people use it: streams, input, exit codes, signals, terminal, files. Real programs in real sandboxes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../src/protocol/index.ts';
import { Cli } from '../support/cli.ts';
import { sha256 } from '../support/daemon.ts';

interface Line {
  type: string;
  [field: string]: unknown;
}

describe('coderunner run', () => {
  let cli: Cli;

  before(async () => {
    cli = await Cli.create();
    const { code, stderr } = await cli.run(['start', '--stop-when-idle']);
    assert.equal(code, 0, stderr);
  });
  after(() => cli[Symbol.asyncDispose]());

  const program = (source: string) => cli.file('main.py', source);
  const lines = (stdout: Buffer) =>
    stdout
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
  const runs = async (): Promise<Run[]> => JSON.parse((await cli.run(['ps', '-a', '--json'])).stdout.toString());

  it('keeps stdout and stderr apart, and every byte as it is', async () => {
    await program(
      'import sys\nsys.stdout.buffer.write(bytes(range(256)) * 40)\nsys.stderr.buffer.write(bytes(range(255, -1, -1)))',
    );
    const running = cli.spawn('run', '--quiet', 'main.py');
    running.child.stdin.end();
    const stderr: Buffer[] = [];
    running.child.stderr.on('data', (bytes) => stderr.push(bytes));
    const { code, stdout } = await running.ended;
    assert.equal(code, 0);
    assert.deepEqual(stdout, Buffer.concat(Array(40).fill(Buffer.from(Array.from({ length: 256 }, (_, i) => i)))));
    assert.deepEqual(Buffer.concat(stderr), Buffer.from(Array.from({ length: 256 }, (_, i) => 255 - i)));
  });

  it('passes on more output than any buffer holds, to the last byte', async () => {
    await program("import sys\nfor i in range(400): sys.stdout.write(f'{i:07}\\n' * 8192)");
    const { code, stdout } = await cli.run(['run', 'main.py']);
    assert.equal(code, 0);
    const expected = Array.from({ length: 400 }, (_, i) => `${`${i}`.padStart(7, '0')}\n`.repeat(8192)).join('');
    assert.equal(sha256(stdout), sha256(expected));
  });

  it('gives the program its arguments and environment as they are', async () => {
    await program("import os, sys\nprint(sys.argv[1:], os.environ['GREETING'], os.environ.get('HOST_ONLY'))");
    const { stdout } = await cli.run([
      'run',
      '--env',
      'GREETING=a=b $HOME',
      'main.py',
      'plain',
      '--',
      '--json',
      '',
      'zwei Wörter',
    ]);
    assert.equal(stdout.toString(), "['plain', '--json', '', 'zwei Wörter'] a=b $HOME None\n");
  });

  describe('ends with', () => {
    const cases: [title: string, source: string, options: string[], code: number, said: RegExp][] = [
      ["the program's exit code", 'raise SystemExit(42)', [], 42, /^$/],
      ['128 + the signal', 'import os\nos.kill(os.getpid(), 15)', [], 143, /^coderunner: Ended by SIGTERM\.\n$/],
      ['124 out of wall time', 'import time\ntime.sleep(60)', ['--timeout', '300ms'], 124, /longer than 300 ms/],
      ['124 out of CPU time', 'while True: pass', ['--cpu', '200ms'], 124, /more than 200 ms of CPU time/],
      [
        '137 out of memory',
        'x = bytearray(2 ** 28)\nx = x * 2',
        ['--memory', '64MiB'],
        137,
        /more than 64 MiB of memory/,
      ],
      ['125 for too much output', "while True: print('x' * 99)", ['--output-limit', '1000'], 125, /more than 1000 B/],
      ['nothing said when quiet', 'import os\nos.kill(os.getpid(), 9)', ['--quiet'], 137, /^$/],
    ];
    for (const [title, source, options, code, said] of cases) {
      it(title, async () => {
        await program(source);
        const ended = await cli.run(['run', ...options, 'main.py']);
        assert.equal(ended.code, code, ended.stderr);
        assert.match(ended.stderr, said);
        if (options[0] === '--output-limit') assert.equal(ended.stdout.length, 1000);
      });
    }
  });

  describe('input', () => {
    it('is passed on from a pipe to its end, however much it is', async () => {
      await program(
        'import hashlib, sys\ndata = sys.stdin.buffer.read()\nprint(len(data), hashlib.sha256(data).hexdigest())',
      );
      const input = Buffer.alloc(3_000_001, 'coderunner \xff\0', 'latin1');
      const { stdout } = await cli.run(['run', 'main.py'], input);
      assert.equal(stdout.toString(), `${input.length} ${sha256(input)}\n`);
    });

    it('comes from a file with --stdin', async () => {
      await program('print(input()[::-1])');
      await cli.file('words.txt', 'drawer\n');
      const { stdout, code } = await cli.run(['run', '--stdin', 'words.txt', 'main.py'], 'not this');
      assert.equal(stdout.toString(), 'reward\n');
      assert.equal(code, 0);
    });

    it('is answered line by line while it stays open', async () => {
      await program("import sys\nfor line in sys.stdin: print('got', line, end='', flush=True)\nprint('end')");
      const running = cli.spawn('run', 'main.py');
      for (const word of ['one', 'two', 'three']) {
        running.type(`${word}\n`);
        await running.printed(`got ${word}\n`);
      }
      running.child.stdin.end();
      assert.equal((await running.ended).stdout.toString(), 'got one\ngot two\ngot three\nend\n');
    });

    it('that nobody reads, and that does not end, does not keep the command', async () => {
      await program("print('done')");
      const running = cli.spawn('run', 'main.py');
      running.type('unread');
      assert.equal((await running.ended).code, 0);
    });
  });

  describe('signals', () => {
    it('the first Ctrl-C goes to the program, which may go on and end as it likes', async () => {
      await program(
        "import signal\ntry:\n  print('ready', flush=True)\n  signal.pause()\nexcept KeyboardInterrupt:\n  print('saved')\n  raise SystemExit(3)",
      );
      const running = cli.spawn('run', 'main.py');
      await running.printed('ready');
      running.child.kill('SIGINT');
      const { code, stdout } = await running.ended;
      assert.equal(stdout.toString(), 'ready\nsaved\n');
      assert.equal(code, 3);
    });

    it('a program that does not mind Ctrl-C ends of it with 130', async () => {
      await program("import signal\nprint('ready', flush=True)\nsignal.pause()");
      const running = cli.spawn('run', 'main.py');
      await running.printed('ready');
      running.child.kill('SIGINT');
      assert.equal((await running.ended).code, 130);
    });

    it('the second Ctrl-C ends a program that goes on', async () => {
      await program(
        "import signal\nsignal.signal(signal.SIGINT, lambda *_: print('no', flush=True))\nprint('ready', flush=True)\nwhile True: signal.pause()",
      );
      const running = cli.spawn('run', 'main.py');
      await running.printed('ready');
      running.child.kill('SIGINT');
      await running.printed('no');
      running.child.kill('SIGINT');
      const { code, stderr } = await running.ended;
      assert.equal(code, 130, stderr);
      assert.equal((await runs())[0]?.state, 'cancelled');
    });

    it('SIGTERM ends the run and the command', async () => {
      await program("import signal\nprint('ready', flush=True)\nsignal.pause()");
      const running = cli.spawn('run', 'main.py');
      await running.printed('ready');
      running.child.kill('SIGTERM');
      assert.equal((await running.ended).code, 143);
      assert.equal((await runs())[0]?.state, 'cancelled');
    });

    it('a reader that goes away ends the run without complaint, as in a shell', async () => {
      await program("while True: print('y')");
      const running = cli.program('bash', ['-c', `${cli.shell} run main.py | head -n 2; echo "\${PIPESTATUS[0]}" >&2`]);
      const { stdout, stderr } = await running.ended;
      assert.equal(stdout.toString(), 'y\ny\n');
      assert.equal(stderr, '141\n');
      assert.equal((await runs())[0]?.state, 'cancelled');
    });
  });

  describe('in a terminal', () => {
    /** `script` gives its child a terminal; what is written to its stdin is typed there. */
    const inTerminal = (command: string) => cli.program('script', ['-qefc', command, '/dev/null']);

    it('takes typed lines, and Ctrl-D as their end', async () => {
      await program("import sys\nprint('ready', flush=True)\nprint(sys.stdin.read().upper(), sys.stdin.isatty())");
      const running = inTerminal(`${cli.shell} run main.py`);
      await running.printed('ready');
      running.type('typed\n\x04');
      const { stdout, code } = await running.ended;
      assert.match(stdout.toString(), /TYPED\r?\n False/);
      assert.equal(code, 0);
    });

    it('lets whoever types take their time: the longest that is allowed', async () => {
      await program("input('? ')");
      const running = inTerminal(`${cli.shell} run main.py`);
      await running.printed('? ');
      running.type('\n');
      await running.ended;
      assert.equal((await runs())[0]?.limits.wallMs, 3_600_000);
    });

    it('-t gives the program a terminal that follows the size, gets every key, and leaves ours as it was', async () => {
      await program(`import os, signal, sys, tty
tty.setraw(0)
size = lambda: print(*os.get_terminal_size(0), end='.\\r\\n', flush=True)
signal.signal(signal.SIGWINCH, lambda *_: size())
print(sys.stdin.isatty() and sys.stdout.isatty())
size()
while (key := os.read(0, 1)) != b'q': print(key, flush=True)
print('down\\nonly')
raise SystemExit(5)`);
      const running = inTerminal(
        `stty rows 30 cols 90; stty -g; tty; ${cli.shell} run -t main.py; echo "code $?"; stty -g`,
      );
      await running.printed('90 30.');
      const terminal = /\/dev\/\S+/.exec(running.stdout)?.[0] as string;
      const resized = cli.program('stty', ['-F', terminal, 'rows', '40', 'cols', '100']);
      assert.equal((await resized.ended).code, 0);
      await running.printed('100 40.');
      running.type('\x03');
      await running.printed("b'\\x03'");
      running.type('q');
      const { stdout } = await running.ended;
      const shown = stdout.toString();
      assert.match(shown, /True/);
      assert.match(shown, /down\nonly/);
      assert.match(shown, /code 5\r?\n/);
      const settings = shown.match(/^[0-9a-f]+(:[0-9a-f]+){10,}/gm);
      assert.equal(settings?.length, 2, shown);
      assert.equal(settings?.[0], settings?.[1]);
    });

    it('-t leaves the other screen for a program that is cut short', async () => {
      await program("import time\nprint('\\x1b[?1049h\\x1b[?25lshown', flush=True)\ntime.sleep(60)");
      const running = inTerminal(`${cli.shell} run -t --timeout 1s main.py`);
      const { stdout } = await running.ended;
      const [, ending = ''] = stdout.toString().split('shown');
      assert.ok(ending.includes('\x1b[?47l\x1b[?25h'), ending);
      assert.match(ending, /coderunner: Stopped/);
    });
  });

  describe('--json', () => {
    it('prints a line for each piece of output, each stage and the end', async () => {
      await program("import sys\nprint('héllo')\nsys.stderr.buffer.write(b'\\xff\\xfe')\nraise SystemExit(3)");
      const { code, stdout } = await cli.run(['run', '--json', 'main.py']);
      const all = lines(stdout);
      assert.equal(code, 3);
      const of = (type: string) => all.filter((line) => line.type === type);
      assert.equal(
        of('stdout')
          .map(({ data }) => data)
          .join(''),
        'héllo\n',
      );
      assert.deepEqual(of('stderr'), [{ type: 'stderr', data: '//4=', encoding: 'base64' }]);
      assert.deepEqual(
        of('stage').map(({ stage, exitCode }) => ({ stage, exitCode })),
        [{ stage: 'run', exitCode: 3 }],
      );
      const { type, state, exitCode, signal, message } = all.at(-1) as Line;
      assert.deepEqual(
        { type, state, exitCode, signal, message },
        {
          type: 'end',
          state: 'failed',
          exitCode: 3,
          signal: null,
          message: null,
        },
      );
    });

    it('prints what the statements of SQL gave, before the end', async () => {
      await cli.file('main.sql', "SELECT 1 AS one, NULL AS nothing;\nSELECT '漢字' AS word;");
      const { code, stdout, stderr } = await cli.run(['run', '--json', '--only', 'main.sql']);
      assert.equal(code, 0, stderr);
      const all = lines(stdout).slice(-4);
      assert.deepEqual(
        all.map(({ type, rows }) => ({ type, rows })),
        [
          { type: 'result', rows: [['1', null]] },
          { type: 'result', rows: [['漢字']] },
          { type: 'stage', rows: undefined },
          { type: 'end', rows: undefined },
        ],
      );
    });

    it('never cuts a character in two', async () => {
      await program(
        "import sys, time\nfor byte in 'aé漢🙂'.encode():\n  sys.stdout.buffer.write(bytes([byte])); sys.stdout.flush(); time.sleep(0.02)",
      );
      const printed = lines((await cli.run(['run', '--json', 'main.py'])).stdout).filter(
        ({ type }) => type === 'stdout',
      );
      assert.ok(printed.every(({ encoding }) => encoding === undefined));
      assert.equal(printed.map(({ data }) => data).join(''), 'aé漢🙂');
    });

    it('says as an object what could not be done', async () => {
      await program('');
      for (const [wrong, expected] of [
        [['--runtime', 'cobol'], 'unknown_runtime'],
        [['--out', 'results'], 'bad_usage'],
      ] as const) {
        const { code, stdout } = await cli.run(['run', '--json', ...wrong, 'main.py']);
        assert.equal(code, 125);
        const [{ type, error }] = lines(stdout) as [{ type: string; error: { code: string; hint: string } }];
        assert.equal(type, 'error');
        assert.equal(error.code, expected);
        assert.ok(error.hint);
      }
    });
  });

  describe('files', () => {
    const LIST =
      "import os\nprint(*sorted(os.path.relpath(os.path.join(d, f)) for d, _, fs in os.walk('.') for f in fs))";
    const seen = async (...options: string[]) => {
      const { stdout, stderr } = await cli.run(['run', ...options, 'project/main.py']);
      assert.equal(stderr, '');
      return stdout.toString().trim().split(' ');
    };

    before(async () => {
      await mkdir(join(cli.folder, '.git'));
      await cli.file('.gitignore', '*.log\n');
      await cli.file('outside.txt', '');
      await cli.file('project/main.py', LIST);
      await cli.file('project/.gitignore', '/build/\n!keep.log\n');
      await cli.file('project/.secret', '');
      await cli.file('project/a.log', '');
      await cli.file('project/keep.log', '');
      await cli.file('project/lib/util.py', '');
      await cli.file('project/build/big.bin', '');
      await symlink('/etc/hostname', join(cli.folder, 'project/link.txt'));
    });

    it('the folder goes along, without what is ignored, hidden or linked', async () => {
      assert.deepEqual(await seen(), ['keep.log', 'lib/util.py', 'main.py']);
    });

    it('--only sends the file alone, --include adds to it', async () => {
      assert.deepEqual(await seen('--only'), ['main.py']);
      assert.deepEqual(await seen('--only', '--include', 'build/**', '--include', '.secret'), [
        '.secret',
        'build/big.bin',
        'main.py',
      ]);
    });

    it('--include takes nothing from outside of the folder', async () => {
      const { code, stderr } = await cli.run(['run', '--include', '../outside.txt', 'project/main.py']);
      assert.equal(code, 125);
      assert.match(stderr, /bad_path/);
    });

    it('large contents go by their hash', async () => {
      const bytes = Buffer.alloc(700_000, 'large ');
      await cli.file('large/data.bin', bytes);
      await cli.file(
        'large/main.py',
        "import hashlib\nprint(hashlib.sha256(open('data.bin', 'rb').read()).hexdigest())",
      );
      for (let time = 0; time < 2; time++) {
        const { stdout, stderr } = await cli.run(['run', 'large/main.py']);
        assert.equal(stdout.toString(), `${sha256(bytes)}\n`, stderr);
      }
    });

    it('--collect brings produced files into --out', async () => {
      await program(
        "import os\nos.makedirs('plots/deep')\nopen('plots/a.png', 'wb').write(b'\\x89PNG\\x00')\nopen('plots/deep/b.png', 'w').write('b')\nopen('other.txt', 'w').write('no')",
      );
      await cli.file('results/plots/a.png', 'old');
      const { code, stderr } = await cli.run(['run', '--only', '--collect', '**/*.png', '--out', 'results', 'main.py']);
      assert.equal(code, 0, stderr);
      const result = (path: string) => readFile(join(cli.folder, 'results', path));
      assert.deepEqual(await result('plots/a.png'), Buffer.from('\x89PNG\0', 'latin1'));
      assert.equal(`${await result('plots/deep/b.png')}`, 'b');
      await assert.rejects(result('other.txt'), { code: 'ENOENT' });
    });

    it('--collect says what keeps it from writing', async () => {
      await program("open('made.txt', 'w').close()");
      const { code, stderr } = await cli.run(['run', '--only', '--collect', '*', '--out', 'main.py', 'main.py']);
      assert.equal(code, 125);
      assert.match(stderr, /bad_path: .*main\.py\/made\.txt cannot be written: .+\.\n {2}\S/);
    });

    it('--collect does not follow a link out of --out', async () => {
      await program("import os\nos.mkdir('way')\nopen('way/file.txt', 'w').write('escaped')");
      await mkdir(join(cli.folder, 'elsewhere'));
      await mkdir(join(cli.folder, 'linked'));
      await symlink(join(cli.folder, 'elsewhere'), join(cli.folder, 'linked/way'));
      const { code, stderr } = await cli.run(['run', '--only', '--collect', 'way/*', '--out', 'linked', 'main.py']);
      assert.equal(code, 125);
      assert.match(stderr, /bad_path/);
      await assert.rejects(readFile(join(cli.folder, 'elsewhere/file.txt')), { code: 'ENOENT' });
    });
  });

  describe('refuses with a sentence and a way out', () => {
    const cases: [title: string, args: string[], said: RegExp][] = [
      ['a file that is not there', ['missing.py'], /entry_missing: There is no file missing\.py\.\n {2}\S/],
      ['a folder', ['.'], /entry_missing: \. is a folder\.\n {2}\S/],
      ['a name that is empty', [''], /entry_missing: The name of the file is empty\.\n {2}\S/],
      ['a runtime that is not there', ['--runtime', 'cobol', 'main.py'], /unknown_runtime: .*"cobol".*python/],
      ['an ending that nobody knows', ['notes.txt'], /unknown_runtime: .*"notes\.txt"/],
      ['no file', [], /^coderunner: bad_usage: missing required argument 'file'\n.*--help/],
      ['an option that is not there', ['--colour', 'main.py'], /unknown option '--colour'.*--help/s],
      ['a time without a unit', ['--timeout', '30', 'main.py'], /--timeout.*30s/],
      ['a size that is none', ['--memory', 'lots', 'main.py'], /--memory.*64MiB/],
      ['a limit that is too high', ['--memory', '900GiB', 'main.py'], /bad_limit: .*memoryBytes/],
      ['a variable without a name', ['--env', '=x', 'main.py'], /NAME=VALUE/],
      ['--collect without --out', ['--collect', '*', 'main.py'], /bad_usage: --collect needs --out/],
      ['input from nowhere', ['--stdin', 'nowhere', 'main.py'], /bad_usage: .*nowhere/],
      ['input from a folder', ['--stdin', '.', 'main.py'], /bad_usage: .* it is a folder\.\n {2}\S/],
      ['--include of nothing', ['--include', '*.nothing', 'main.py'], /bad_usage: .*\*\.nothing/],
    ];
    before(async () => {
      await cli.file('notes.txt', '');
      await program('');
    });
    for (const [title, args, said] of cases) {
      it(title, async () => {
        const { code, stdout, stderr } = await cli.run(['run', '--only', ...args]);
        assert.equal(code, 125, stderr);
        assert.match(stderr, said);
        assert.doesNotMatch(stderr, /^\s+at /m);
        assert.equal(stdout.length, 0);
      });
    }
  });

  it('--service runs a database beside the program', async () => {
    await program(
      "import os, pymysql\ndatabase = pymysql.connect(unix_socket=os.environ['MARIADB_SOCKET'], user='sandbox')\nprint(database.open)",
    );
    const { code, stdout, stderr } = await cli.run(['run', '--service', 'mariadb', 'main.py']);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.toString(), 'True\n');
  });

  it('--detach leaves it running; ps, logs and kill go on from there', async () => {
    await program("import signal\nprint('ready', input(), flush=True)\nsignal.pause()");
    await cli.file('name.txt', 'Ada\n');
    const detached = await cli.run(['run', '--detach', '--stdin', 'name.txt', 'main.py']);
    const id = detached.stdout.toString().trim();
    assert.match(id, /^r_/, detached.stderr);
    const following = cli.spawn('logs', '-f', id);
    await following.printed('ready Ada\n');
    assert.match((await cli.run(['ps'])).stdout.toString(), new RegExp(`^${id} +running +python +main\\.py`, 'm'));
    assert.equal((await cli.run(['logs', id])).stdout.toString(), 'ready Ada\n');
    assert.equal((await cli.run(['kill', id])).code, 0);
    assert.equal((await following.ended).code, 0);
    const again = await cli.run(['kill', id]);
    assert.equal(again.code, 125);
    assert.match(again.stderr, /run_ended/);
    assert.equal((await runs()).find((run) => run.id === id)?.state, 'cancelled');
  });

  it('a slow reader holds the program back instead of losing output', async () => {
    // More than all that is between the two together takes: pipes, sockets, the daemon's log.
    await program("import sys\nfor i in range(1200): sys.stdout.write(f'{i:07}\\n' * 8192)\nprint('end')");
    const running = cli.spawn('run', 'main.py');
    running.child.stdout.pause();
    const [first] = await Promise.race([once(running.child.stdout, 'readable'), running.ended.then(() => ['ended'])]);
    assert.notEqual(first, 'ended', 'the command ended although nobody had read what it has to print');
    const [now] = await runs();
    assert.equal(now?.state, 'running');
    running.child.stdout.resume();
    const { stdout, stderr } = await running.ended;
    assert.equal(stderr, '');
    assert.equal(stdout.length, 1200 * 8 * 8192 + 4);
  });
});
