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

/** The containers of a daemon. */
async function containers({ dataDir }: TestDaemon): Promise<string[]> {
  return containersOf(docker, await readFile(instanceFile(dataDir), 'utf8'));
}

describe('a container that does not answer', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start();
  });
  after(() => daemon[Symbol.asyncDispose]());

  async function frozen(limits: { wallMs: number }) {
    const { id } = await daemon.start(python(WAITS, { limits }));
    await daemon.printed(id, 'ready');
    const [container = ''] = await containers(daemon);
    // Its agent does nothing any more; the engine's own way to freeze all of a container does not work on every machine.
    await docker.getContainer(container).kill({ signal: 'SIGSTOP' });
    return id;
  }

  it('since it was frozen, is ended by the clock outside of it', async () => {
    const { run } = await daemon.follow(await frozen({ wallMs: 2_000 }));
    assert.equal(run.state, 'timed_out');
    assert.equal(run.message, 'Stopped: The sandbox did not end the run in time.');
    await until(async () => (await containers(daemon)).length === 0);
  });

  it('since it was frozen, is removed when its run is cancelled', async () => {
    const id = await frozen({ wallMs: 60_000 });
    assert.equal((await daemon.fetch('DELETE', `/v1/runs/${id}`)).status, 202);
    assert.equal((await daemon.follow(id)).run.state, 'cancelled');
    await until(async () => (await containers(daemon)).length === 0);
  });
});

describe('an agent that lies', () => {
  let engine: AlteredEngine;
  let daemon: TestDaemon;
  const ended = new Map<string, Followed>();

  before(async function () {
    this.timeout(120_000);
    const source = await readFile(new URL('../fixtures/attack/lying_agent.py', import.meta.url), 'utf8');
    // The limit of memory tells which container is for which lie.
    const memoryOf = (way: string) => (64 + LIES.indexOf(way)) * MiB;
    engine = await AlteredEngine.start((asked) => {
      const way = LIES.find((lie) => memoryOf(lie) === asked.HostConfig.Memory);
      asked.Entrypoint = ['python3', '-c', source, way as string];
    });
    daemon = await TestDaemon.start({ engine: engine.address, maxRunning: LIES.length });
    // At once, since some are waited for until the daemon has lost patience.
    await Promise.all(
      LIES.map(async (way) => {
        const request = python('', { collect: ['**'], limits: { memoryBytes: memoryOf(way), wallMs: 5_000 } });
        if (way === 'takes no files') request.files.push({ path: 'large', content: 'x'.repeat(8 * MiB) });
        ended.set(way, await daemon.runToEnd(request));
      }),
    );
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    await engine[Symbol.asyncDispose]();
  });

  for (const way of LIES) {
    it(`is given up, and its run ends: ${way}`, () => {
      const { run } = ended.get(way) as Followed;
      assert.equal(run.state, 'lost', run.message ?? '');
      assert.deepEqual(run.files, []);
    });
  }

  it('leaves no container', async () => {
    await until(async () => (await containers(daemon)).length === 0);
  });
});
