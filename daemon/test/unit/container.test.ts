/** What a sandbox is like by what is known of the engine and the OCI runtime that make it. The rest is tested on real ones: hardening.test.ts. */
import assert from 'node:assert/strict';
import { createOptions } from '../../src/engine/container.ts';

const SPEC = {
  image: 'image',
  labels: {},
  command: [],
  user: 0,
  memoryBytes: 2 ** 28,
  pids: 64,
  cpus: 1,
  workspaceBytes: 2 ** 20,
  workspaceFiles: 100,
  tmpBytes: 2 ** 20,
};

describe('the limit of processes of a container', () => {
  const limitUnder = (ociRuntime?: string) =>
    createOptions(ociRuntime === undefined ? SPEC : { ...SPEC, ociRuntime }, { isPodman: false, seccomp: '{}' })
      .HostConfig?.PidsLimit ?? 0;

  it('is that of the language', () => {
    for (const runtime of [undefined, 'runc', 'crun', 'kata']) assert.equal(limitUnder(runtime), 64, runtime);
  });

  it('has room for the threads of gVisor itself, by whichever name', () => {
    for (const runtime of ['runsc', 'runsc-kvm']) assert.ok(limitUnder(runtime) >= 64 + 500, runtime);
  });
});

describe('a container of Podman', () => {
  const asked = createOptions({ ...SPEC, firstMemoryBytes: 2 ** 30 }, { isPodman: true, seccomp: '/profile.json' });
  const { Memory, MemorySwap, MaskedPaths, SecurityOpt, Tmpfs } = asked.HostConfig ?? {};

  it('has folders in memory by the options that Podman takes, and no others that can be written to', () => {
    const options = 'rw,exec,nosuid,nodev,size=1048576,mode=1777';
    assert.deepEqual(Tmpfs, { '/workspace': options, '/tmp': options, '/var/tmp': 'ro,nosuid,nodev,noexec' });
  });

  it('is masked by an option of security, since Podman takes no notice of the list', () => {
    assert.deepEqual(SecurityOpt, ['no-new-privileges', 'seccomp=/profile.json', `mask=${MaskedPaths?.join(':')}`]);
  });

  it('has the program’s memory also for the compiler, since it could not be lowered', () => {
    assert.deepEqual([Memory, MemorySwap], [SPEC.memoryBytes, SPEC.memoryBytes]);
  });
});
