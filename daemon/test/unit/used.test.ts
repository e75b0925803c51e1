/** Containers that served a run, and wait for their owner's next one. */
import assert from 'node:assert/strict';
import type { Sandbox } from '../../src/pool/sandbox.ts';
import { UsedSandboxes } from '../../src/pool/used.ts';

const KEEP_MS = 50;

/** A container whose reset takes as long as the test wants. */
function used(id: string) {
  const reset = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<string>();
  const sandbox = { id, agent: { closed: gone.promise }, reset: () => reset.promise } as unknown as Sandbox;
  return { sandbox, reset, gone };
}

const turn = () => new Promise(setImmediate);
const never = new AbortController().signal;

describe('a container that served a run', () => {
  let removed: string[];
  let unfit: string[];
  let wanted: boolean;
  let kept: UsedSandboxes;

  beforeEach(() => {
    removed = [];
    unfit = [];
    wanted = false;
    kept = new UsedSandboxes({
      keepMs: KEEP_MS,
      offer: () => wanted,
      remove: ({ id }) => removed.push(id),
      onUnfit: ({ id }) => unfit.push(id),
    });
  });

  afterEach(() => kept.clear());

  /** Keeps one of the kind. */
  function keep(id: string, kind = 'kind') {
    const one = used(id);
    kept.keep(kind, one.sandbox, 1);
    return one;
  }

  const taken = async (kind = 'kind') => (await kept.take(kind, never))?.id;

  it('serves the owner’s next run of its kind, once, and no other', async () => {
    keep('1').reset.resolve();
    assert.equal(await taken('other'), undefined);
    assert.equal(await taken(), '1');
    assert.equal(await taken(), undefined);
    assert.deepEqual(removed, []);
  });

  it('is not waited for where another is fit already', async () => {
    const slow = keep('slow');
    keep('fit').reset.resolve();
    await turn();
    assert.equal(await taken(), 'fit');
    const next = taken();
    slow.reset.resolve();
    assert.equal(await next, 'slow');
  });

  it('does not serve where it cannot be made fit, and the next one does', async () => {
    const broken = keep('broken');
    const next = taken();
    const other = keep('other');
    broken.reset.reject(new Error('Something of the run is left.'));
    await turn();
    assert.deepEqual(removed, ['broken']);
    other.reset.resolve();
    assert.equal(await next, 'other');
  });

  it('keeps no run waiting that was cancelled, and serves the next', async () => {
    const slow = keep('slow');
    const cancel = new AbortController();
    const reason = new Error('Cancelled.');
    const refused = assert.rejects(kept.take('kind', cancel.signal), reason);
    cancel.abort(reason);
    await refused;
    assert.equal(kept.count, 1);
    const next = taken();
    slow.reset.resolve();
    assert.equal(await next, 'slow');
    assert.deepEqual(removed, []);
  });

  it('is left where it is by a run that was cancelled before', async () => {
    keep('1').reset.resolve();
    await assert.rejects(kept.take('kind', AbortSignal.abort(new Error('Cancelled.'))), /Cancelled/);
    assert.equal(await taken(), '1');
  });

  /** One that a run waited for which was cancelled. */
  async function abandoned() {
    const one = keep('slow');
    const cancel = new AbortController();
    const refused = assert.rejects(kept.take('kind', cancel.signal));
    cancel.abort();
    await refused;
    return one;
  }

  it('goes to who waits for one when it is fit, also where the first who wanted it was cancelled', async () => {
    wanted = true;
    (await abandoned()).reset.resolve();
    await turn();
    assert.deepEqual([kept.count, removed], [0, []]);
  });

  it('goes when its time is over, also where the run that waited for it was cancelled', async () => {
    (await abandoned()).reset.resolve();
    await turn();
    assert.equal(kept.count, 1);
    await new Promise((resolve) => setTimeout(resolve, 2 * KEEP_MS));
    assert.deepEqual([kept.count, removed], [0, ['slow']]);
  });

  it('goes where it cannot be made fit, also where the run that waited for it was cancelled', async () => {
    (await abandoned()).reset.reject(new Error('Something of the run is left.'));
    await turn();
    assert.deepEqual([kept.count, removed, unfit], [0, ['slow'], ['slow']]);
  });

  it('does not stay behind where all were given up while a run waited for it that is then cancelled', async () => {
    const slow = keep('slow');
    const cancel = new AbortController();
    const refused = assert.rejects(kept.take('kind', cancel.signal));
    kept.clear();
    assert.deepEqual(removed, [], 'the run has it');
    cancel.abort();
    await refused;
    assert.deepEqual([kept.count, removed], [0, ['slow']]);
    slow.reset.reject(new Error('It is gone.'));
    await turn();
    assert.deepEqual([removed, unfit], [['slow'], []]);
  });
});
