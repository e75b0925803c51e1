/**
 * Hostile programs, clients, files and agents against a real daemon: `npm run test:attack`. It prints what was tried and what held, and ends
 * with 0 only when all did.
 *
 * `npm run test:attack -- --without NAME` takes one protection from every container that the tests make, by standing between the daemon and the
 * engine, and prints which attacks get through then; it ends with 0 when some do. `--without each` does so for all, one after the other.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Alteration, AlteredEngine } from '../daemon/test/support/altered-engine.ts';
import type { Tried } from './attack-reporter.ts';

const TESTS = 'daemon/test/integration';
const ALL = [`${TESTS}/attack*.test.ts`, `${TESTS}/hardening.test.ts`, `${TESTS}/limits.test.ts`];
const DOORS = [`${TESTS}/attack-escape.test.ts`, `${TESTS}/hardening.test.ts`];
const PROGRAMS = [`${TESTS}/attack.test.ts`, `${TESTS}/hardening.test.ts`];

/** The tests of what the engine was asked for. They see everything, but attack nothing. */
const OPTIONS = 'a sandbox, as the engine tells it';

interface Protection {
  /** What a container is like without it. Amounts stay within what the machine of the tests bears. */
  without: string;
  alter: Alteration;
  tests: string[];
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
    without: 'the engine does not forbid to gain rights',
    alter: ({ HostConfig }) => {
      HostConfig.SecurityOpt = HostConfig.SecurityOpt?.filter((option: string) => option !== 'no-new-privileges');
    },
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
    without: 'the engine sets no limit of core files and descriptors',
    alter: ({ HostConfig }) => {
      delete HostConfig.Ulimits;
    },
    tests: DOORS,
  },
};

function eachTmpfs(HostConfig: { Tmpfs?: unknown }, change: (options: string) => string): void {
  const folders = HostConfig.Tmpfs as Record<string, string>;
  for (const [path, options] of Object.entries(folders)) folders[path] = change(options);
}

/** @returns what was tried, and whether mocha ended well */
async function attack(
  tests: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ tried: Tried[]; code: number | null }> {
  const folder = await mkdtemp(join(tmpdir(), 'coderunner-attack-'));
  try {
    const report = join(folder, 'report.json');
    const mocha = spawn('mocha', ['--timeout', '120000', '--reporter', 'tools/attack-reporter.ts', ...tests], {
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
  console.log(`\n── without ${name}: ${protection.without}`);
  await using engine = await AlteredEngine.start(protection.alter);
  const { tried } = await attack(protection.tests, { CODERUNNER_ENGINE: engine.address });
  return tried.filter(({ held }) => !held);
}

const { without } = parseArgs({ options: { without: { type: 'string' } } }).values;
if (without === undefined) {
  process.exitCode = (await attack(ALL)).code ?? 1;
} else {
  const rows: string[] = [];
  for (const name of without === 'each' ? Object.keys(PROTECTIONS) : [without]) {
    const seen = await attackWithout(name);
    if (seen.length === 0) process.exitCode = 1;
    const through = seen.filter(({ attack }) => attack !== OPTIONS).map(({ tried }) => tried);
    rows.push(`| ${name} | ${PROTECTIONS[name]?.without} | ${through.length} | ${through.join('; ') || 'nothing'} |`);
  }
  console.log(
    ['', '| protection | without it | red | what gets through |', '| --- | --- | --- | --- |', ...rows].join('\n'),
  );
}
