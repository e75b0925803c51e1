/** A sandbox is as docs/security.md says: as the engine tells it, and as a program inside sees it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type Docker from 'dockerode';
import { BUNDLED_RUNTIMES, loadConfig } from '../../src/config.ts';
import { python, TestDaemon } from '../support/live-daemon.ts';
import { TestPool } from '../support/test-pool.ts';

const MiB = 2 ** 20;

describe('a sandbox, as the engine tells it', () => {
  let container: Docker.ContainerInspectInfo;
  let test: TestPool;

  before(async function () {
    this.timeout(600_000);
    test = await TestPool.full({ poolSize: 1 });
    const [id = ''] = await test.containers();
    container = await test.docker.getContainer(id).inspect();
  });

  after(() => test[Symbol.asyncDispose]());

  it('has a read-only root, and nothing of the host mounted into it', () => {
    assert.equal(container.HostConfig.ReadonlyRootfs, true);
    assert.deepEqual(container.Mounts, []);
    assert.deepEqual(container.HostConfig.Binds ?? [], []);
    assert.deepEqual(container.HostConfig.Devices ?? [], []);
    assert.deepEqual(Object.keys(container.Config.Volumes ?? {}), []);
  });

  it('can write only into memory, with a limit of size and of files', () => {
    const { workspaceBytes, workspaceFiles, tmpBytes } = loadConfig();
    const tmpfs = container.HostConfig.Tmpfs as Record<string, string>;
    assert.deepEqual(Object.keys(tmpfs).sort(), ['/tmp', '/workspace']);
    const has = (path: string, ...wanted: string[]) => {
      const options = tmpfs[path]?.split(',') ?? [];
      for (const option of wanted) assert.ok(options.includes(option), `${path} lacks ${option}: ${options}`);
    };
    has('/workspace', `size=${workspaceBytes}`, `nr_inodes=${workspaceFiles}`, 'nosuid', 'nodev', 'mode=0700');
    has('/tmp', `size=${tmpBytes}`, 'nosuid', 'nodev');
    assert.match(tmpfs['/tmp'] ?? '', /nr_inodes=\d+/);
  });

  it('has no network', () => {
    assert.equal(container.HostConfig.NetworkMode, 'none');
    const networks = Object.keys(container.NetworkSettings.Networks);
    assert.deepEqual(
      networks.filter((name) => name !== 'none'),
      [],
    );
    assert.deepEqual(container.HostConfig.PortBindings ?? {}, {});
  });

  it('has three capabilities, and can get no more', () => {
    assert.deepEqual(container.HostConfig.CapDrop, ['ALL']);
    assert.deepEqual(container.HostConfig.CapAdd?.toSorted(), ['KILL', 'SETGID', 'SETUID']);
    assert.equal(container.HostConfig.Privileged, false);
    assert.ok(container.HostConfig.SecurityOpt?.includes('no-new-privileges'));
  });

  it('is filtered by our profile', async () => {
    const given = container.HostConfig.SecurityOpt?.find((option: string) => option.startsWith('seccomp='));
    const ours: unknown = JSON.parse(await readFile(`${BUNDLED_RUNTIMES}/seccomp.json`, 'utf8'));
    assert.deepEqual(JSON.parse(given?.slice('seccomp='.length) ?? ''), ours);
  });

  it('has limits of memory without swap, of processes and of processor time', () => {
    const { memoryBytes, pids } = test.python.limits;
    assert.equal(container.HostConfig.Memory, memoryBytes);
    assert.equal(container.HostConfig.MemorySwap, memoryBytes);
    assert.equal(container.HostConfig.PidsLimit, pids);
    assert.equal(container.HostConfig.NanoCpus, loadConfig().cpus * 1e9);
    assert.equal(container.HostConfig.OomKillDisable ?? false, false);
  });

  it('has limits of core files and of descriptors', () => {
    assert.deepEqual(container.HostConfig.Ulimits, [
      { Name: 'core', Soft: 0, Hard: 0 },
      { Name: 'nofile', Soft: 1024, Hard: 1024 },
    ]);
  });

  it('shares no namespace with the host or with others', () => {
    const { IpcMode, PidMode, UTSMode, UsernsMode, CgroupnsMode } = container.HostConfig as Record<string, unknown>;
    assert.equal(IpcMode, 'private');
    for (const mode of [PidMode, UTSMode, UsernsMode]) assert.notEqual(mode, 'host');
    assert.ok(CgroupnsMode === undefined || ['', 'private', 'host'].includes(String(CgroupnsMode)));
  });

  it('is logged nowhere, removed when it ends, and labelled as ours', () => {
    assert.equal(container.HostConfig.LogConfig?.Type, 'none');
    assert.equal(container.HostConfig.AutoRemove, true);
    assert.equal(container.HostConfig.RestartPolicy?.Name || 'no', 'no');
    assert.equal(container.Config.Labels['coderunner.instance'], test.instance);
    assert.equal(container.Config.Labels['coderunner.runtime'], 'python');
  });

  it('ends with the stream to the daemon', () => {
    assert.equal(container.Config.StdinOnce, true);
    assert.equal(container.Config.OpenStdin, true);
    assert.equal(container.Config.Tty, false);
  });

  it('is given nothing of the daemon’s environment', () => {
    assert.deepEqual((container.Config.Env ?? []).map((line) => line.split('=')[0]).sort(), ['HOME', 'LANG', 'PATH']);
  });
});

interface Facts {
  status: Record<string, string>;
  ids: unknown[];
  user: string;
  mounts: Record<string, { type: string; options: string[] }>;
  environment: Record<string, string>;
  hostname: string;
  interfaces: string[];
  syscalls: Record<string, string | null>;
  sockets: Record<string, string | null>;
  connect: Record<string, string | null>;
  writes: Record<string, string | null>;
  reads: Record<string, string | null>;
  masked: Record<string, boolean>;
  docker_socket: boolean;
  kill_agent: string | null;
  stop_agent: string | null;
  become_root: string | null;
  set_user_id_files: string[];
  core: number[];
  open_files: number;
  workspace_inodes: { files: number; error: string };
  tmp_bytes: { mebibytes: number; error: string | null };
}

describe('a sandbox, as a program inside sees it', () => {
  let facts: Facts;
  const settings = { workspaceFiles: 500, tmpBytes: 16 * MiB };

  before(async () => {
    const source = await readFile(new URL('../fixtures/hardening/facts.py', import.meta.url), 'utf8');
    process.env.CODERUNNER_SECRET_OF_THE_DAEMON = 'secret';
    try {
      await using daemon = await TestDaemon.start(settings);
      const { run, stdout, stderr } = await daemon.runToEnd(python(source));
      assert.equal(run.state, 'succeeded', stderr);
      facts = JSON.parse(stdout);
    } finally {
      delete process.env.CODERUNNER_SECRET_OF_THE_DAEMON;
    }
  });

  it('is a user without rights, and stays it', () => {
    const [uid, effectiveUid, ...groups] = facts.ids as [number, number, ...unknown[]];
    assert.ok(uid >= 10001 && uid <= 11000, `uid ${uid}`);
    assert.equal(effectiveUid, uid);
    assert.deepEqual(groups.slice(0, 2), [10001, 10001]);
    assert.equal(facts.user, 'run');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) assert.match(facts.status[set] ?? '', /^0+$/, set);
    assert.equal(facts.status.NoNewPrivs, '1');
    assert.equal(facts.become_root, 'EPERM');
    assert.deepEqual(facts.set_user_id_files, []);
  });

  it('is filtered: the calls that open the kernel are refused', () => {
    assert.equal(facts.status.Seccomp, '2');
    const { clone3, ...refused } = facts.syscalls;
    for (const [name, error] of Object.entries(refused)) assert.equal(error, 'EPERM', name);
    assert.equal(clone3, 'ENOSYS'); // so that the C library uses clone, whose flags can be looked at
    for (const [name, error] of Object.entries(facts.sockets)) assert.equal(error, 'EPERM', `a ${name} socket`);
  });

  it('can write nowhere but into its workspace and /tmp', () => {
    const { '/workspace/x': workspace, '/tmp/x': tmp, ...others } = facts.writes;
    assert.deepEqual([workspace, tmp], [null, null]);
    for (const [path, error] of Object.entries(others)) assert.ok(error, `${path} was written`);
    assert.ok(facts.mounts['/']?.options.includes('ro'));
    const writable = Object.entries(facts.mounts).filter(
      ([path, { type, options }]) =>
        options.includes('rw') && !/^\/(proc|dev|sys)(\/|$)/.test(path) && type !== 'overlay',
    );
    assert.deepEqual(writable.map(([path]) => path).sort(), ['/tmp', '/workspace']);
    for (const [path, { type, options }] of writable) {
      assert.equal(type, 'tmpfs');
      assert.ok(options.includes('nosuid') && options.includes('nodev'), `${path}: ${options}`);
    }
  });

  it('finds an end of files and of bytes', () => {
    const { files, error } = facts.workspace_inodes;
    assert.equal(error, 'ENOSPC');
    assert.ok(files > settings.workspaceFiles / 2 && files < settings.workspaceFiles, `${files} files`);
    assert.deepEqual(facts.tmp_bytes, { mebibytes: settings.tmpBytes / MiB, error: 'ENOSPC' });
  });

  it('reaches nobody', () => {
    assert.deepEqual(facts.interfaces, ['lo']);
    for (const [host, error] of Object.entries(facts.connect)) assert.equal(error, 'ENETUNREACH', host);
    assert.equal(facts.docker_socket, false);
  });

  it('can neither look at its agent nor end or stop it', () => {
    assert.deepEqual([facts.kill_agent, facts.stop_agent], ['EPERM', 'EPERM']);
    for (const [path, error] of Object.entries(facts.reads)) assert.match(error ?? '', /EACCES|EPERM/, path);
  });

  it('sees nothing of the kernel’s inside', () => {
    assert.ok(Object.keys(facts.masked).length > 0);
    for (const [path, empty] of Object.entries(facts.masked)) assert.ok(empty, path);
  });

  it('sees nothing of the host’s or the daemon’s environment', () => {
    assert.equal(facts.environment.CODERUNNER_SECRET_OF_THE_DAEMON, undefined);
    assert.equal(facts.hostname, 'sandbox');
    const known = ['HOME', 'LANG', 'PATH', 'PYTHONDONTWRITEBYTECODE', 'USER'];
    assert.deepEqual(Object.keys(facts.environment).sort(), known);
  });

  it('leaves no core files, and has few open files', () => {
    assert.deepEqual(facts.core, [0, 0]);
    assert.ok(facts.open_files <= 1024);
  });
});
