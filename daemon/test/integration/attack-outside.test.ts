/** Containers that are frozen, or whose agent lies or has been taken over: the daemon holds from outside what matters. docs/security.md. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type Docker from 'dockerode';
import { findEngine } from '../../src/engine/discovery.ts';
import { instanceFile } from '../../src/http/daemon.ts';
import { AlteredEngine } from '../support/altered-engine.ts';
import { type Followed, python, TestDaemon, WAITS } from '../support/live-daemon.ts';
import { containersOf, until } from '../support/test-pool.ts';

const MiB = 2 ** 20;

/** Ways to lie, as fixtures/attack/lying_agent.py knows them. */
const LIES = [
  'takes no files',
  'success before the start',
  'another stage',
  'impossible numbers',
  'a frame of 4 GiB',
  'an unknown frame',
  'prints for ever',
  'never collects',
  'files without end',
  'paths of others',
];

let docker: Docker;

before(async () => {
  ({ docker } = await findEngine(''));
});

describe('a container that does not do its part', () => {
  let engine: AlteredEngine;
  let daemon: TestDaemon;
  let frozen: Followed;
  const ended = new Map<string, Followed>();

  before(async function () {
    this.timeout(300_000);
    const source = await readFile(new URL('../fixtures/attack/lying_agent.py', import.meta.url), 'utf8');
    // The limit of memory tells which container is for which lie.
    const memoryOf = (way: string) => (64 + LIES.indexOf(way)) * MiB;
    engine = await AlteredEngine.start((asked) => {
      const way = LIES.find((lie) => memoryOf(lie) === asked.HostConfig.Memory);
      if (way !== undefined) asked.Entrypoint = ['python3', '-c', source, way];
    });
    daemon = await TestDaemon.start({ engine: engine.address, maxRunning: LIES.length + 1 });
    const id = await freeze({ wallMs: 20_000 });
    // At once, since some are waited for until the daemon has lost patience.
    await Promise.all([
      daemon.follow(id).then((followed) => {
        frozen = followed;
      }),
      ...LIES.map(async (way) => {
        const request = python('', { collect: ['**'], limits: { memoryBytes: memoryOf(way), wallMs: 60_000 } });
        if (way === 'takes no files') request.files.push({ path: 'large', content: 'x'.repeat(8 * MiB) });
        ended.set(way, await daemon.runToEnd(request));
      }),
    ]);
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    await engine[Symbol.asyncDispose]();
  });

  const containers = async () => containersOf(docker, await readFile(instanceFile(daemon.dataDir), 'utf8'));

  /** Starts a program, and stops its agent from outside, which no program can; all other containers of the daemon have gone. */
  async function freeze(limits: { wallMs: number }): Promise<string> {
    await until(async () => (await containers()).length === 0);
    const { id } = await daemon.start(python(WAITS, { limits }));
    await daemon.printed(id, 'ready');
    const [container = ''] = await containers();
    await docker.getContainer(container).kill({ signal: 'SIGSTOP' });
    return id;
  }

  it('since it is frozen, is ended by the clock outside of it', () => {
    assert.equal(frozen.run.state, 'timed_out');
    assert.equal(frozen.run.message, 'Stopped: The sandbox did not end the run in time.');
  });

  it('since it is frozen, is removed when its run is cancelled', async () => {
    const id = await freeze({ wallMs: 60_000 });
    assert.equal((await daemon.fetch('DELETE', `/v1/runs/${id}`)).status, 202);
    assert.equal((await daemon.follow(id)).run.state, 'cancelled');
  });

  for (const way of LIES) {
    it(`since its agent lies, is given up: ${way}`, () => {
      const { run } = ended.get(way) as Followed;
      assert.equal(run.state, 'lost', run.message ?? '');
      assert.deepEqual(run.files, []);
    });
  }

  it('does not stay', () => until(async () => (await containers()).length === 0));
});
