import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { Breaker } from '../../src/pool/breaker.ts';

describe('the circuit breaker', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
  afterEach(() => mock.timers.reset());

  const failure = new Error('no space left');
  const refused = { code: 'engine_failing', message: /no space left/ };

  /** Opens after three failures in a row. */
  function opened(): Breaker {
    const breaker = new Breaker();
    for (let i = 0; i < 3; i++) breaker.failed(failure);
    return breaker;
  }

  it('lets everybody in until three have failed in a row', () => {
    const breaker = new Breaker();
    for (let i = 0; i < 10; i++) {
      breaker.failed(failure);
      breaker.failed(failure);
      breaker.succeeded();
      breaker.enter();
    }
    const told: string[] = [];
    breaker.on('open', ({ code }) => told.push(code));
    for (let i = 0; i < 5; i++) breaker.failed(failure);
    assert.deepEqual(told, ['engine_failing']);
    assert.throws(() => breaker.enter(), refused);
  });

  it('lets one try after a pause, and everybody when that has succeeded', () => {
    const breaker = opened();
    let able = 0;
    breaker.on('able', () => able++);
    mock.timers.tick(999);
    assert.throws(() => breaker.enter(), refused);
    mock.timers.tick(1);
    assert.deepEqual([able, breaker.problem], [1, undefined]);
    breaker.enter();
    assert.throws(() => breaker.enter(), refused);
    breaker.succeeded();
    assert.equal(able, 2);
    for (let i = 0; i < 3; i++) breaker.enter();
  });

  it('pauses longer each time, up to half a minute, and begins anew after a success', () => {
    const breaker = opened();
    for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      mock.timers.tick(pauseMs - 1);
      assert.throws(() => breaker.enter(), refused);
      mock.timers.tick(1);
      breaker.enter();
      breaker.failed(failure);
    }
    breaker.succeeded();
    for (let i = 0; i < 3; i++) breaker.failed(failure);
    mock.timers.tick(1_000);
    breaker.enter();
  });

  it('lets another try where the one that was let in came to nothing', () => {
    const breaker = opened();
    mock.timers.tick(1_000);
    breaker.enter();
    breaker.leave();
    breaker.enter();
    assert.throws(() => breaker.enter(), refused);
  });
});
