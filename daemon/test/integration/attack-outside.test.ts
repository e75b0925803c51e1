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
];
/** Told in good form, by an agent that a program took over. */
const PLACES_OF_OTHERS = 'paths of others';
const WAYS = [...LIES, PLACES_OF_OTHERS];

let docker: Docker;

before(async () => {
  ({ docker } = await findEngine(''));
});

describe('a container that does not do its part', () => {
  let engine: AlteredEngine;
  let daemon: TestDaemon;
  let frozen: Promise<Followed>;
  const ending = new Map<string, Promise<Followed>>();

  before(async function () {
    this.timeout(300_000);
    const source = await readFile(new URL('../fixtures/attack/lying_agent.py', import.meta.url), 'utf8');
    // The limit of memory tells which container is for which lie.
    const memoryOf = (way: string) => (64 + WAYS.indexOf(way)) * MiB;
    engine = await AlteredEngine.start((asked) => {
      const way = WAYS.find((lie) => memoryOf(lie) === asked.HostConfig.Memory);
      if (way !== undefined) asked.Entrypoint = ['python3', '-c', source, way];
    });
    daemon = await TestDaemon.start({ engine: engine.address, maxRunning: WAYS.length + 1 });
    frozen = daemon.follow(await freeze({ wallMs: 20_000 }));
    // At once, since some are waited for until the daemon has lost patience.
    for (const way of WAYS) {
      const request = python('', { collect: ['**'], limits: { memoryBytes: memoryOf(way), wallMs: 60_000 } });
      if (way === 'takes no files') request.files.push({ path: 'large', content: 'x'.repeat(8 * MiB) });
      ending.set(way, daemon.runToEnd(request));
    }
    // Each is awaited by its own test, which must not be the first to hear that the daemon stopped before.
    for (const end of [frozen, ...ending.values()]) end.catch(() => {});
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

  it('since it is frozen, is ended by the clock outside of it', async () => {
    const { run } = await frozen;
    assert.equal(run.state, 'timed_out');
    assert.equal(run.message, 'Stopped: The sandbox did not end the run in time.');
  });

  for (const way of LIES) {
    it(`since its agent lies, is given up: ${way}`, async () => {
      const { run } = await (ending.get(way) as Promise<Followed>);
      assert.equal(run.state, 'lost', run.message ?? '');
      assert.deepEqual(run.files, []);
    });
  }

  it('since its agent lies, is not believed: files for places of others', async () => {
    const { run } = await (ending.get(PLACES_OF_OTHERS) as Promise<Followed>);
    assert.equal(run.state, 'succeeded', run.message ?? '');
    assert.deepEqual(
      run.files.map(({ path }) => path),
      ['honest'],
    );
  });

  it('since it is frozen, is removed when its run is cancelled', async () => {
    const id = await freeze({ wallMs: 60_000 });
    assert.equal((await daemon.fetch('DELETE', `/v1/runs/${id}`)).status, 202);
    assert.equal((await daemon.follow(id)).run.state, 'cancelled');
  });

  it('does not stay', () => until(async () => (await containers()).length === 0));
});
