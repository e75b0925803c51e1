import assert from 'node:assert/strict';
import type { Job } from '../../src/broker/broker.ts';
import { EmbeddedBroker } from '../../src/broker/embedded.ts';

/** A consumer that holds every job until it is told how it went, and writes down the order in which they came. */
function consumer(broker: EmbeddedBroker) {
  const order: string[] = [];
  const held = new Map<string, (outcome: 'done' | 'again') => void>();
  broker.consume((job) => {
    order.push(job.id);
    return new Promise((resolve) => held.set(job.id, resolve));
  });
  const finish = async (id: string, outcome: 'done' | 'again' = 'done') => {
    held.get(id)?.(outcome);
    held.delete(id);
    await new Promise(setImmediate);
  };
  return { order, finish };
}

const job = (id: string, owner = 'ann', priority = 0): Job => ({ id, owner, priority });

describe('the embedded broker', () => {
  it('gives one owner’s jobs in the order they came', async () => {
    const broker = new EmbeddedBroker(1);
    const { order, finish } = consumer(broker);
    for (const id of ['1', '2', '3']) broker.enqueue(job(id));
    for (const id of ['1', '2', '3']) await finish(id);
    assert.deepEqual(order, ['1', '2', '3']);
    assert.equal(broker.active, 0);
  });

  it('gives higher priorities first, in order within a priority', async () => {
    const broker = new EmbeddedBroker(1);
    const { order, finish } = consumer(broker);
    broker.enqueue(job('first'));
    broker.enqueue(job('low', 'ann', -1));
    broker.enqueue(job('high 1', 'ann', 5));
    broker.enqueue(job('usual'));
    broker.enqueue(job('high 2', 'ann', 5));
    for (const id of ['first', 'high 1', 'high 2', 'usual', 'low']) await finish(id);
    assert.deepEqual(order, ['first', 'high 1', 'high 2', 'usual', 'low']);
  });

  it('keeps an eighth of its places from a single owner, so that others begin at once', () => {
    const broker = new EmbeddedBroker(16);
    const { order } = consumer(broker);
    for (let i = 0; i < 100; i++) broker.enqueue(job(`flood ${i}`, 'bob'));
    assert.equal(order.length, 14);
    broker.enqueue(job('single', 'ann'));
    assert.equal(order.at(-1), 'single');
  });

  it('lets an owner with one job pass another’s hundred, whatever their priority', async () => {
    const broker = new EmbeddedBroker(1);
    const { order, finish } = consumer(broker);
    for (let i = 0; i < 100; i++) broker.enqueue(job(`flood ${i}`, 'bob', 10));
    broker.enqueue(job('single', 'ann', -10));
    await finish('flood 0');
    assert.deepEqual(order, ['flood 0', 'single']);
  });

  it('shares the places between owners', async () => {
    const broker = new EmbeddedBroker(4);
    const { order } = consumer(broker);
    for (let i = 0; i < 4; i++) broker.enqueue(job(`a${i}`, 'ann'));
    assert.equal(order.length, 4);
    const both = new EmbeddedBroker(4);
    for (let i = 0; i < 4; i++) both.enqueue(job(`a${i}`, 'ann'));
    for (let i = 0; i < 4; i++) both.enqueue(job(`b${i}`, 'bob'));
    const shared = consumer(both);
    assert.deepEqual(shared.order, ['a0', 'b0', 'a1', 'b1']);
  });

  it('works on no more jobs at once than it was told', () => {
    const broker = new EmbeddedBroker(2);
    const { order } = consumer(broker);
    for (let i = 0; i < 5; i++) broker.enqueue(job(`${i}`));
    assert.deepEqual(order, ['0', '1']);
    assert.equal(broker.active, 2);
    assert.equal(broker.waiting, 3);
  });

  it('forgets a job that was removed while it waited, and says whether it did', async () => {
    const broker = new EmbeddedBroker(1);
    const { order, finish } = consumer(broker);
    for (const id of ['1', '2', '3']) broker.enqueue(job(id));
    assert.equal(broker.remove('2'), true);
    assert.equal(broker.remove('2'), false);
    assert.equal(broker.remove('1'), false, 'it is being worked on');
    await finish('1');
    assert.deepEqual(order, ['1', '3']);
  });

  it('puts a job that could not be done back to the head and waits until it is told to go on', async () => {
    const broker = new EmbeddedBroker(1);
    const { order, finish } = consumer(broker);
    for (const id of ['1', '2']) broker.enqueue(job(id));
    await finish('1', 'again');
    assert.deepEqual(order, ['1']);
    assert.equal(broker.waiting, 2);
    broker.resume();
    assert.deepEqual(order, ['1', '1']);
  });

  it('goes on with the next job where working on one fails', async () => {
    const broker = new EmbeddedBroker(1);
    const order: string[] = [];
    broker.consume(async ({ id }) => {
      order.push(id);
      throw new Error('This cannot be done.');
    });
    for (const id of ['1', '2']) broker.enqueue(job(id));
    await broker.stop();
    await new Promise(setImmediate);
    assert.deepEqual([order, broker.active], [['1'], 0]);
    broker.consume(async ({ id }) => {
      order.push(id);
      return 'done';
    });
    assert.deepEqual(order, ['1', '2']);
  });

  it('stops when nothing is worked on any more, also where all of it ends at once', async () => {
    const broker = new EmbeddedBroker(3);
    const { order, finish } = consumer(broker);
    for (const id of ['1', '2', '3', '4']) broker.enqueue(job(id));
    let stopped = false;
    const stopping = broker.stop().then(() => {
      stopped = true;
    });
    await finish('1');
    assert.equal(stopped, false);
    await Promise.all([finish('2', 'again'), finish('3')]);
    await stopping;
    broker.resume();
    assert.deepEqual(order, ['1', '2', '3']);
    assert.equal(broker.waiting, 2);
  });

  it('stops at once where nothing is worked on', async () => {
    await new EmbeddedBroker(1).stop();
  });
});
