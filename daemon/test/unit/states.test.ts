import assert from 'node:assert/strict';
import { END_STATES, isEnd, LIVE_STATES, type RunState } from '../../src/protocol/index.ts';
import { canMove } from '../../src/runs/states.ts';

const ALL: readonly RunState[] = [...LIVE_STATES, ...END_STATES];

describe('the table of states', () => {
  it('lets no ended run change', () => {
    for (const from of END_STATES) for (const to of ALL) assert.equal(canMove(from, to), false, `${from} → ${to}`);
  });

  it('lets a run end from every state it can be in', () => {
    for (const from of LIVE_STATES)
      for (const to of ['cancelled', 'lost', 'failed'] as const) assert.ok(canMove(from, to), `${from} → ${to}`);
  });

  it('reaches every state from queued, and an end from everywhere', () => {
    const reached = new Set<RunState>(['queued']);
    for (const from of reached) for (const to of ALL) if (canMove(from, to)) reached.add(to);
    assert.deepEqual([...reached].sort(), [...ALL].sort());
  });

  it('knows that a program which never started cannot succeed', () => {
    for (const from of ['queued', 'starting', 'installing', 'compiling'] as const)
      assert.equal(canMove(from, 'succeeded'), false, from);
  });

  it('tells ended from live', () => {
    assert.deepEqual(ALL.filter(isEnd), [...END_STATES]);
  });
});
