/** Daemons beside each other, and after each other: none touches what is another's, and clients get over a change of the guard. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { chown, readdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client, discover } from '../../src/client/index.ts';
import { findEngine } from '../../src/engine/discovery.ts';
import { discoveryFile, instanceFile } from '../../src/http/daemon.ts';
import { CodeRunnerError, type DaemonStatus, type RunList } from '../../src/protocol/index.ts';
import { DaemonProcess, type User } from '../support/daemon-process.ts';
import { dataFolder, python, WAITS } from '../support/live-daemon.ts';
import { containersOf, until } from '../support/test-pool.ts';

const NEXT_VERSION = fileURLToPath(new URL('../fixtures/hygiene/next-version.mjs', import.meta.url));
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const MOCHA = fileURLToPath(import.meta.resolve('mocha/bin/mocha.js'));
const RECOVERY = fileURLToPath(new URL('recovery.test.ts', import.meta.url));
const NEWLINE = 0x0a;
/** Two daemons take as long to start and stop on a machine that is as busy as can be. */
const PLENTY_MS = 600_000;
const WARM = { CODERUNNER_POOL_SIZE: '1', CODERUNNER_POOL_PREWARM: 'python' };

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

async function containersIn(dataDir: string): Promise<string[]> {
  const { docker } = await findEngine('');
  return containersOf(docker, await readFile(instanceFile(dataDir), 'utf8'));
}

/** No account of a machine has these by itself; the kernel takes any number for a user. */
const UNUSED_UIDS = [59_001, 59_002] as const;

/** Two users beside the one that runs the tests; undefined where the tests cannot start anything as they, or they cannot use what is needed. */
function twoUsers(): [User, User] | undefined {
  const socket = (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace('unix://', '');
  const engine = statSync(socket, { throwIfNoEntry: false });
  if (process.getuid?.() !== 0 || !engine) return undefined;
  const [ann, ben] = UNUSED_UIDS.map((uid) => ({ uid, gid: engine.gid })) as [User, User];
  const check = 'fs.accessSync(process.argv[1], 6); fs.accessSync(process.argv[2], 4)';
  const can = spawnSync(process.execPath, ['--eval', check, socket, MAIN], ann).status === 0;
  return can ? [ann, ben] : undefined;
}

const USERS = twoUsers();
if (!USERS)
  console.log('Two daemons of two users are not tried: that takes root, and a checkout that others may read.');
const PAIRS: readonly [string, [User, User] | undefined][] = [
  ['of one user', undefined],
  ...(USERS ? [['of two users', USERS] as [string, [User, User]]] : []),
];

for (const [whose, users] of PAIRS) {
  describe(`two daemons ${whose} on one machine`, function () {
    this.timeout(PLENTY_MS);
    let mine: string;
    let theirs: string;
    beforeEach(async () => {
      [mine, theirs] = await Promise.all([dataFolder(), dataFolder()]);
      if (users)
        await Promise.all(users.map(({ uid, gid }, index) => chown([mine, theirs][index] as string, uid, gid)));
    });
    afterEach(() => Promise.all([mine, theirs].map((folder) => rm(folder, { recursive: true, force: true }))));

    const start = (folder: string, user: User | undefined, onLog?: (line: string) => void) => {
      const settings = { ...WARM, ...(user ? { HOME: folder } : {}) };
      return DaemonProcess.start(folder, settings, { ...(user ? { user } : {}), ...(onLog ? { onLog } : {}) });
    };
    const startFirst = (onLog?: (line: string) => void) => start(mine, users?.[0], onLog);
    const startOther = () => start(theirs, users?.[1]);

    it('run at once, each its own runs', async () => {
      await using first = await startFirst();
      await using second = await startOther();
      const daemons = [first, second];
      const tags = daemons.flatMap((_, index) => [1, 2, 3].map((run) => `${index}.${run}`));
      const printed = await Promise.all(
        tags.map(async (tag) => {
          const daemon = daemons[Number(tag[0])] as DaemonProcess;
          return (await daemon.runToEnd(python(`print('${tag}')`, { args: [tag], stdin: null }))).stdout;
        }),
      );
      assert.deepEqual(
        printed,
        tags.map((tag) => `${tag}\n`),
      );
      for (const [index, daemon] of daemons.entries()) {
        const { runs } = await daemon.json<RunList>('GET', '/v1/runs');
        const own = tags.filter((tag) => tag.startsWith(`${index}.`));
        assert.deepEqual(runs.map(({ args }) => args[0]).sort(), own);
      }
      const refused = await fetch(`${second.url}/v1/runs`, { headers: { authorization: `Bearer ${first.token}` } });
      assert.equal(refused.status, 401);
    });

    it('leave the containers of the other alone, also when one is killed, cleans up after itself, and stops', async () => {
      const said: string[] = [];
      await using first = await startFirst((line) => said.push(line));
      const { id } = await first.start(python(WAITS, { limits: { wallMs: PLENTY_MS } }));
      await first.printed(id, 'ready\n');
      // One runs, one waits.
      await until(async () => (await containersIn(mine)).length === 2);
      const before = await containersIn(mine);
      {
        await using other = await startOther();
        await until(async () => (await containersIn(theirs)).length === 1);
        await other.end('SIGKILL');
      }
      await using other = await startOther();
      assert.equal((await other.runToEnd(python('print(1)', { stdin: null }))).run.state, 'succeeded');
      assert.equal(await other.end('SIGTERM'), 0);
      assert.deepEqual(await containersIn(theirs), []);
      const now = await containersIn(mine);
      assert.deepEqual(
        before.filter((container) => !now.includes(container)),
        [],
        said.join('\n'),
      );
      await first.fetch('POST', `/v1/runs/${id}/stdin?eof=1`, 'still here\n');
      const { run, stdout } = await first.follow(id);
      assert.equal(run.state, 'succeeded');
      assert.equal(stdout, 'ready\ngot still here\n');
    });

    if (users) {
      const [, ben] = users;
      /** What a program of Ben's does, as the kernel lets him. @returns what it printed */
      const asBen = async (source: string, ...args: string[]) => {
        const { stdout } = await promisify(execFile)(process.execPath, ['--eval', source, ...args], { ...ben });
        return stdout;
      };

      it('keep what is of one from the other', async () => {
        await using first = await startFirst();
        assert.equal((await first.runToEnd(python('print(1)', { stdin: null }))).run.state, 'succeeded');
        const names = await readdir(mine);
        assert.ok(names.includes(basename(discoveryFile(mine))));
        const files = [mine, ...names.map((name) => join(mine, name)), `/proc/${first.pid}/environ`];
        const open =
          'for (const path of process.argv.slice(1)) try { fs.closeSync(fs.openSync(path)); console.log(path) } catch {}';
        assert.equal(await asBen(open, ...files, theirs), `${theirs}\n`);
        const signal = 'try { process.kill(process.argv[1], "SIGKILL") } catch ({ code }) { console.log(code) }';
        assert.equal(await asBen(signal, `${first.pid}`), 'EPERM\n');
        await assert.rejects(start(mine, ben), /did not start/);
        assert.equal((await first.runToEnd(python('print(2)', { stdin: null }))).stdout, '2\n');
      });
    }
  });
}

describe('two suites of tests on one machine', () => {
  const suites: ChildProcess[] = [];
  after(() => Promise.all(suites.filter(isAlive).map((suite) => suite.kill('SIGKILL') && once(suite, 'exit'))));

  /** Of those whose daemons are killed, start again and clean up after each other. @returns what it printed, unless it passed */
  async function failuresOfSuite(): Promise<string> {
    const suite = spawn(
      process.execPath,
      [MOCHA, '--reporter', 'dot', '--timeout', '200000', '--grep', '^recovery', RECOVERY],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    suites.push(suite);
    const [printed, [code]] = await Promise.all([text(suite.stdout), once(suite, 'exit')]);
    return code === 0 ? '' : printed || `It ended with ${code}.`;
  }

  it('pass at once', async function () {
    this.timeout(600_000);
    assert.deepEqual(await Promise.all([failuresOfSuite(), failuresOfSuite()]), ['', '']);
  });
});

describe('a daemon that another version replaces while clients are connected', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await dataFolder();
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  for (const [signal, state, message] of [
    ['SIGTERM', 'cancelled', 'Cancelled: the daemon was stopped.'],
    ['SIGKILL', 'lost', 'Lost: the daemon ended while the program ran.'],
  ] as const) {
    it(`after ${signal} tells whose program ran that it is ${state}, and goes on with what waited`, async () => {
      const settings = { CODERUNNER_MAX_RUNNING: '1', CODERUNNER_STOP_GRACE: '0s' };
      const locate = async () => {
        const found = await discover(dataDir);
        if (found) return found;
        throw new CodeRunnerError('not_running', 'No daemon is here at the moment.');
      };
      await using client = new Client({ locate, reconnectMs: 100_000 });
      const follow = async (source: string) => {
        const printed: Uint8Array[] = [];
        const { promise: begun, resolve } = Promise.withResolvers<void>();
        const handle = await client.start(
          { runtime: 'python', files: [{ path: 'main.py', content: Buffer.from(source) }] },
          {
            onOutput: ({ data }) => {
              printed.push(Buffer.from(data));
              // A line may come in pieces.
              if (data.at(-1) === NEWLINE) resolve();
            },
          },
        );
        return { handle, begun, text: () => Buffer.concat(printed).toString() };
      };
      await using before = await DaemonProcess.start(dataDir, settings);
      const running = await follow(WAITS);
      await running.begun;
      const waiting = await follow("print('from the next version')");
      await before.end(signal);

      await using after = await DaemonProcess.start(dataDir, {
        ...settings,
        NODE_OPTIONS: `--import=${NEXT_VERSION}`,
      });
      const ended = await running.handle.done;
      assert.deepEqual([ended.state, ended.message], [state, message]);
      assert.equal(running.text(), 'ready\n');
      assert.equal((await waiting.handle.done).state, 'succeeded');
      assert.equal(waiting.text(), 'from the next version\n');
      assert.equal((await client.api.status()).version, '99.0.0');
      const { version } = await after.json<DaemonStatus>('GET', '/v1/status');
      assert.equal(version, '99.0.0');
    });
  }
});
