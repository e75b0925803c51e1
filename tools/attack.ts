/**
 * Hostile programs, clients, files and agents against a real daemon: `npm run test:attack`. It prints what was tried and what held, and ends
 * with 0 only when all did.
 *
 * `npm run test:attack -- --without NAME` takes one protection away and prints which attacks get through then; it ends with 0 when some do.
 * `--without each` does so for all, one after the other. What the engine does is taken away by standing between it and the daemon, what the
 * agent does by putting another in its place, what the daemon does by changing a piece of its source when it is loaded: nothing in the product
 * can loosen it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '../daemon/src/config.ts';
import { Engine } from '../daemon/src/engine/engine.ts';
import { makeInStage } from '../daemon/test/helpers/build-stage.ts';
import { buildImages } from '../daemon/test/helpers/images.ts';
import { type Alteration, AlteredEngine } from '../daemon/test/support/altered-engine.ts';
import type { Tried } from './attack-reporter.ts';

const TESTS = 'daemon/test/integration';
const AGAIN = [`${TESTS}/reset.test.ts`];
const REUSED = [`${TESTS}/reuse.test.ts`];
const ALL = [
  `${TESTS}/attack*.test.ts`,
  `${TESTS}/podman.test.ts`,
  ...AGAIN,
  ...REUSED,
  `${TESTS}/hardening.test.ts`,
  `${TESTS}/limits.test.ts`,
];
const DOORS = [`${TESTS}/attack-escape.test.ts`, `${TESTS}/hardening.test.ts`];
const PROGRAMS = [`${TESTS}/attack.test.ts`, `${TESTS}/hardening.test.ts`];
const LIARS = [`${TESTS}/attack-outside.test.ts`];

/** Where it is in an image. */
const AGENT = '/usr/local/bin/coderunner-agent';

/** The tests of what the engine was asked for. They see everything, but attack nothing. */
const OPTIONS = 'a sandbox, as the engine tells it';

/** A piece of a source that occurs once, and what stands there when the protection is taken away. */
interface Replacement {
  file: string;
  piece: string;
  by: string;
}

/** Room for the dump of what the tests let crash. */
const CORE_BYTES = 2 ** 30;

interface Protection {
  /** What a sandbox is like without it. Amounts stay within what the machine of the tests bears. */
  without: string;
  /** What the engine is asked for instead. */
  alter?: Alteration;
  /** In `runtimes/agent`. */
  agent?: Replacement[];
  /** In `daemon/src`. */
  daemon?: Replacement[];
  tests: string[];
  /** Which of these tests, by their names; all where it is left out. */
  only?: string;
}

const PROTECTIONS: Record<string, Protection> = {
  seccomp: {
    without: 'every system call is allowed',
    alter: ({ HostConfig }) => {
      HostConfig.SecurityOpt = ['no-new-privileges', 'seccomp=unconfined'];
    },
    tests: DOORS,
  },
  noNewPrivileges: {
    without: 'neither engine nor agent forbid to gain rights',
    alter: ({ HostConfig }) => {
      HostConfig.SecurityOpt = HostConfig.SecurityOpt?.filter((option: string) => option !== 'no-new-privileges');
    },
    agent: [{ file: 'privileges.c', piece: 'prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0', by: 'false' }],
    tests: DOORS,
  },
  capDrop: {
    without: 'the engine’s usual capabilities',
    alter: ({ HostConfig }) => {
      delete HostConfig.CapDrop;
      delete HostConfig.CapAdd;
    },
    tests: DOORS,
  },
  readOnlyRoot: {
    without: 'the image can be written to',
    alter: ({ HostConfig }) => {
      HostConfig.ReadonlyRootfs = false;
    },
    tests: DOORS,
  },
  masks: {
    without: 'all of /proc and /sys can be read',
    alter: ({ HostConfig }) => {
      HostConfig.MaskedPaths = [];
    },
    tests: DOORS,
  },
  network: {
    without: 'the engine’s usual network',
    alter: (asked) => {
      asked.NetworkDisabled = false;
      asked.HostConfig.NetworkMode = 'bridge';
    },
    tests: DOORS,
  },
  mountOptions: {
    without: 'folders in memory take devices and files that change the user',
    alter: ({ HostConfig }) => eachTmpfs(HostConfig, (options) => options.replace('nosuid,nodev', 'suid,dev')),
    tests: DOORS,
  },
  folderSize: {
    without: 'four times the size and the files',
    alter: ({ HostConfig }) =>
      eachTmpfs(HostConfig, (options) =>
        options.replace(/(size|nr_inodes)=(\d+)/g, (_, name, n) => `${name}=${4 * n}`),
      ),
    tests: DOORS,
  },
  memory: {
    without: 'four times the memory',
    alter: ({ HostConfig }) => {
      HostConfig.Memory = HostConfig.MemorySwap = 4 * (HostConfig.Memory ?? 0);
    },
    tests: PROGRAMS,
  },
  pids: {
    without: 'eight times the processes',
    alter: ({ HostConfig }) => {
      HostConfig.PidsLimit = 8 * (HostConfig.PidsLimit ?? 0);
    },
    tests: PROGRAMS,
  },
  userIds: {
    without: 'all sandboxes have one user id',
    alter: (asked) => {
      asked.Cmd = asked.Cmd?.map((argument, at, all) => (all[at - 1] === '--uid' ? '10001' : argument));
      eachTmpfs(asked.HostConfig, (options) => options.replace(/uid=\d+/, 'uid=10001'));
    },
    tests: PROGRAMS,
  },
  ulimits: {
    without: 'neither engine nor agent limit core files, descriptors and the size of a file',
    alter: ({ HostConfig }) => {
      delete HostConfig.Ulimits;
    },
    agent: [
      { file: 'privileges.c', piece: 'no_core = {0, 0}', by: `no_core = {${CORE_BYTES}, ${CORE_BYTES}}` },
      {
        file: 'launch.c',
        piece: 'limit_of(RLIMIT_FSIZE, limits->file_bytes, final)',
        by: 'limit_of(RLIMIT_FSIZE, RLIM_INFINITY, final)',
      },
      {
        file: 'launch.c',
        piece: 'limit_of(RLIMIT_NOFILE, limits->open_files, final)',
        by: 'limit_of(RLIMIT_NOFILE, RLIM_INFINITY, final)',
      },
    ],
    tests: [...DOORS, ...PROGRAMS],
    only: 'dump of memory|higher limits|core files|descriptors until|largest file',
  },
  agentClock: {
    without: 'the agent ends nothing for its time; the daemon still does',
    agent: [{ file: 'stage.c', piece: 'now_ns >= wall_deadline_ns(stage)', by: 'now_ns == 0' }],
    tests: PROGRAMS,
    only: 'stops all that it may|stops its group|looks ended',
  },
  agentCpuCount: {
    without: 'the agent does not count the processor time of what nobody waits for',
    agent: [
      { file: 'stage.c', piece: 'used_ns >= limit_ns(stage->request.limits.cpu_ms)', by: 'used_ns == UINT64_MAX' },
    ],
    tests: PROGRAMS,
    only: 'processor time',
  },
  agentEnd: {
    without: 'the agent waits for those who hold the output, and ends nobody',
    agent: [
      {
        file: 'stage.c',
        piece: 'stage->all_ended = processes_kill_all_but(survivors(stage, host)) == 0;',
        by: 'stage->all_ended = waitpid(-1, NULL, WNOHANG) < 0;',
      },
    ],
    tests: PROGRAMS,
    only: 'wants to stay (?:a daemon|a chain|a swarm)',
  },
  agentRights: {
    without: 'the agent leaves the program its user, root',
    agent: [
      {
        file: 'privileges.c',
        piece:
          'return setresgid(run_user.gid, run_user.gid, run_user.gid) == 0 && setresuid(run_user.uid, run_user.uid, run_user.uid) == 0 &&\n',
        by: 'return run_user.uid != 0 &&\n',
      },
    ],
    tests: DOORS,
    only: 'finds no way (?:to its agent|to more rights|to the machine)',
  },
  emptying: {
    without: 'the agent neither empties a used container nor looks whether it is empty',
    agent: [
      { file: 'main.c', piece: '!agent.removed && !remove_as_user()', by: 'agent.removed && !remove_as_user()' },
      { file: 'main.c', piece: 'if (is_clean(&unclean))', by: 'if (agent.removed || is_clean(&unclean))' },
    ],
    tests: AGAIN,
    only: 'leaves',
  },
  proof: {
    without: 'the agent empties a used container, but does not look whether it is empty',
    agent: [{ file: 'main.c', piece: 'if (is_clean(&unclean))', by: 'if (agent.removed || is_clean(&unclean))' }],
    tests: AGAIN,
    only: 'leaves what cannot be removed',
  },
  nextUser: {
    without: 'a used container’s next run is the same user',
    agent: [
      {
        file: 'main.c',
        piece: 'agent.next_user = (struct identity){.uid = uid,',
        by: 'agent.next_user = (struct identity){.uid = agent.host.user.uid + 0 * uid,',
      },
    ],
    tests: AGAIN,
    only: 'another user’s',
  },
  sameOwner: {
    without: 'the daemon does not ask whose a used container was',
    daemon: [
      { file: 'pool/pool.ts', piece: 'JSON.stringify([owner, shelf.image,', by: 'JSON.stringify([shelf.image,' },
    ],
    tests: REUSED,
    only: 'no other owner’s',
  },
  lastClock: {
    without: 'the daemon has no clock of its own for a run',
    daemon: [{ file: 'runs/stage.ts', piece: 'wallMs + OVERTIME_MS', by: '2 ** 30' }],
    tests: LIARS,
    only: 'by the clock outside',
  },
  takingFiles: {
    without: 'the daemon waits for ever for an agent to take its files',
    daemon: [{ file: 'agent/agent.ts', piece: 'TAKES_WITHIN_MS = 30_000', by: 'TAKES_WITHIN_MS = 2 ** 30' }],
    tests: LIARS,
    only: 'takes no files',
  },
  givingFiles: {
    without: 'the daemon waits for ever for files that it asked for',
    daemon: [{ file: 'runs/collect.ts', piece: 'COLLECT_WITHIN_MS = 30_000', by: 'COLLECT_WITHIN_MS = 2 ** 30' }],
    tests: LIARS,
    only: 'never collects',
  },
  stageOfExit: {
    without: 'the daemon does not ask whose end it is told',
    daemon: [{ file: 'agent/agent.ts', piece: 'exit.stage !== this.#stage?.name', by: '!this.#stage' }],
    tests: LIARS,
    only: 'another stage',
  },
  formOfMessages: {
    without: 'the daemon does not look whether what it is told can be',
    daemon: [{ file: 'agent/agent.ts', piece: '!validator.Check(value)', by: 'false' }],
    tests: LIARS,
    only: 'impossible numbers',
  },
  outputCredit: {
    without: 'the daemon takes more output than it allowed',
    daemon: [{ file: 'agent/agent.ts', piece: 'this.#outputCredit < 0', by: 'false' }],
    tests: LIARS,
    only: 'prints for ever',
  },
  pathsOfFiles: {
    without: 'the daemon does not look at the paths of files that it is given',
    daemon: [{ file: 'runs/collect.ts', piece: 'pathProblem(header.name) !== undefined', by: 'false' }],
    tests: LIARS,
    only: 'places of others',
  },
};

/** @throws Error where the piece is not there exactly once: the source has changed since it was written down here */
function replaceIn(source: string, { file, piece, by }: Replacement): string {
  const [before, after, ...more] = source.split(piece);
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(`${file} does not have exactly one "${piece}".`);
  return before + by + after;
}

/** The agent, built from altered sources on the Debian that it is built on, in a file that an engine of this machine can mount. */
class AlteredAgent implements AsyncDisposable {
  readonly path: string;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.path = join(folder, 'coderunner-agent');
  }

  static async build(replacements: readonly Replacement[]): Promise<AlteredAgent> {
    await using engine = await Engine.connect(loadConfig());
    const { images } = await buildImages(loadConfig(), engine, ['python']); // any: the agent comes with it
    const { printed, file } = await makeInStage(engine, {
      folder: 'agent',
      stage: 'agent',
      buildargs: { BASE: images.tag({ id: 'base' }) },
      args: ['--jobs=2', '-C', '/src/agent', 'BUILD=/tmp/build'],
      wanted: '/tmp/build/coderunner-agent',
      alter: (path, source) =>
        replacements
          .filter(({ file }) => path === `agent/${file}`)
          .reduce((altered, replacement) => Buffer.from(replaceIn(altered.toString(), replacement)), source),
    });
    if (!file) throw new Error(`The agent does not compile:\n${printed}`);
    const agent = new AlteredAgent(await mkdtemp(join(tmpdir(), 'coderunner-altered-agent-')));
    await writeFile(agent.path, file, { mode: 0o755 });
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }
}

function eachTmpfs(HostConfig: { Tmpfs?: unknown }, change: (options: string) => string): void {
  const folders = HostConfig.Tmpfs as Record<string, string>;
  for (const [path, options] of Object.entries(folders)) folders[path] = change(options);
}

/** @returns what was tried, and whether mocha ended well */
async function attack(
  tests: readonly string[],
  { only, env = {} }: { only?: string | undefined; env?: NodeJS.ProcessEnv } = {},
): Promise<{ tried: Tried[]; code: number | null }> {
  const folder = await mkdtemp(join(tmpdir(), 'coderunner-attack-'));
  try {
    const report = join(folder, 'report.json');
    const options = [
      '--timeout',
      '120000',
      '--reporter',
      'tools/attack-reporter.ts',
      ...(only ? ['--grep', only] : []),
    ];
    // What lost a protection may hang: nobody waits for it when the tests are over.
    if (only !== undefined || Object.keys(env).length > 0) options.push('--exit');
    const mocha = spawn('mocha', [...options, ...new Set(tests)], {
      stdio: 'inherit',
      env: { ...process.env, ...env, ATTACK_REPORT: report },
    });
    const [code] = (await once(mocha, 'exit')) as [number | null];
    return { tried: JSON.parse(await readFile(report, 'utf8')), code };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function attackWithout(name: string): Promise<Tried[]> {
  const protection = PROTECTIONS[name];
  if (!protection) throw new Error(`There is no protection ${name}, but: ${Object.keys(PROTECTIONS).join(', ')}.`);
  const { without, alter, agent, daemon = [], tests, only } = protection;
  console.log(`\n── without ${name}: ${without}`);
  for (const replacement of daemon)
    replaceIn(await readFile(join('daemon/src', replacement.file), 'utf8'), replacement);
  await using resources = new AsyncDisposableStack();
  const altered = agent && resources.use(await AlteredAgent.build(agent));
  const engine = resources.use(
    await AlteredEngine.start((asked) => {
      alter?.(asked);
      if (altered) asked.HostConfig.Binds = [`${altered.path}:${AGENT}:ro`];
    }),
  );
  const env = {
    CODERUNNER_ENGINE: engine.address,
    CODERUNNER_ALTERED_SOURCES: JSON.stringify(daemon),
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${new URL('altered-sources.mjs', import.meta.url)}`,
  };
  const { tried } = await attack(tests, { only, env });
  return tried.filter(({ held }) => !held);
}

const { without } = parseArgs({ options: { without: { type: 'string' } } }).values;
if (without === undefined) {
  process.exitCode = (await attack(ALL)).code ?? 1;
} else {
  const rows: string[] = [];
  for (const name of without === 'each' ? Object.keys(PROTECTIONS) : without.split(',')) {
    const seen = await attackWithout(name);
    if (seen.length === 0) process.exitCode = 1;
    const through = seen.filter(({ attack }) => attack !== OPTIONS).map(({ tried }) => tried);
    const asked = seen.length - through.length;
    rows.push(`| ${name} | ${PROTECTIONS[name]?.without} | ${asked} | ${through.length} | ${through.join('; ')} |`);
  }
  const head = ['protection', 'without it', 'red: what the engine is asked for', 'red: attacks', 'what gets through'];
  console.log(['', `| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...rows].join('\n'));
}
