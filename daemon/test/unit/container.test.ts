/** What a sandbox is like by what is known of the OCI runtime that makes it. The rest is tested on real ones: hardening.test.ts. */
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
    createOptions(ociRuntime === undefined ? SPEC : { ...SPEC, ociRuntime }, '{}').HostConfig?.PidsLimit ?? 0;

  it('is that of the language', () => {
    for (const runtime of [undefined, 'runc', 'crun', 'kata']) assert.equal(limitUnder(runtime), 64, runtime);
  });

  it('has room for the threads of gVisor itself, by whichever name', () => {
    for (const runtime of ['runsc', 'runsc-kvm']) assert.ok(limitUnder(runtime) >= 64 + 500, runtime);
  });
});
