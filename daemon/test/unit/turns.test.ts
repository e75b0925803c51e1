import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Line, Shares, type Turn, Turns } from '../../src/pool/turns.ts';

const MANY = 4;

class TestLine implements Line {
  readonly name: string;
  readonly waiters: { owner: string }[] = [];
  readonly idle: { length: number };

  constructor(name: string, idle = 0) {
    this.name = name;
    this.idle = { length: idle };
  }
}

/** Makes containers one step at a time; each goes to whom it was begun for, or else to whoever comes first. */
class Maker {
  readonly shares = new Shares(MANY);
  readonly turns: Turns<TestLine, undefined>;
  /** Under way. */
  readonly begun: Turn<TestLine, undefined>[] = [];
  now = 0;

  constructor(limit: number) {
    this.turns = new Turns(this.shares, limit);
  }

  /** Runs come that wait. */
  ask(line: TestLine, owner: string, count = 1): void {
    for (let i = 0; i < count; i++) {
      this.shares.asked(owner, this.now);
      line.waiters.push({ owner });
      this.turns.add(line, undefined);
    }
    this.begin();
  }

  refill(line: TestLine, count: number): void {
    for (let i = 0; i < count; i++) this.turns.add(line, undefined);
    this.begin();
  }

  begin(): void {
    for (let turn = this.turns.begin(this.now); turn; turn = this.turns.begin(this.now)) this.begun.push(turn);
  }

  /** The creation that began first ends. @returns its line and the owner who got it */
  end(): { line: string; owner: string | undefined } {
    const turn = this.begun.shift();
    assert.ok(turn, 'nothing is under way');
    const { line } = turn;
    const next = line.waiters.find(({ owner }) => owner === turn.owner) ?? this.shares.first(line.waiters);
    if (next) {
      line.waiters.splice(line.waiters.indexOf(next), 1);
      this.shares.got(next.owner);
    } else line.idle.length++;
    this.turns.end(turn);
    this.begin();
    return { line: line.name, owner: next?.owner };
  }

  /** @returns owners in the order in which they were served; each run ends at once where `keep` is not set */
  serve(count: number, keep = false): string[] {
    return Array.from({ length: count }, () => {
      const { owner } = this.end();
      if (owner && !keep) this.shares.gaveBack(owner);
      return owner ?? '';
    });
  }
}

describe('the turns of creations', () => {
  it('come to who was served before as well, however many come for the first time', () => {
    const maker = new Maker(1);
    const python = new TestLine('python');
    maker.ask(python, 'ann');
    maker.serve(1);
    maker.ask(python, 'bob');
    maker.ask(python, 'carl');
    maker.ask(python, 'ann');
    assert.deepEqual(maker.serve(3), ['bob', 'ann', 'carl']);
  });

  it('never begins more than may be under way', () => {
    const maker = new Maker(3);
    maker.ask(new TestLine('python'), 'ann', 10);
    assert.equal(maker.begun.length, 3);
    maker.turns.limit = 2;
    maker.end();
    assert.equal(maker.begun.length, 2);
  });

  it('makes what a run waits for before what will wait, also where refills were asked for first', () => {
    const maker = new Maker(1);
    const [python, java] = [new TestLine('python'), new TestLine('java')];
    maker.refill(python, 3);
    maker.ask(java, 'ann');
    maker.ask(python, 'ann');
    const lines = [maker.end(), maker.end(), maker.end(), maker.end(), maker.end()].map(({ line }) => line);
    assert.deepEqual(lines, ['python', 'java', 'python', 'python', 'python']);
  });

  it('refills first where the fewest wait', () => {
    const maker = new Maker(1);
    const [many, none] = [new TestLine('many', 3), new TestLine('none')];
    maker.refill(many, 2);
    maker.refill(none, 3);
    const lines = Array.from({ length: 5 }, () => maker.end().line);
    assert.deepEqual(lines, ['many', 'none', 'none', 'none', 'many']);
  });

  it('lets lines of one owner take turns', () => {
    const maker = new Maker(1);
    const [many, single] = [new TestLine('many'), new TestLine('single')];
    maker.ask(many, 'ann', 4);
    maker.ask(single, 'ann');
    const lines = Array.from({ length: 5 }, () => {
      const { line } = maker.end();
      maker.shares.gaveBack('ann');
      return line;
    });
    assert.deepEqual(lines, ['many', 'single', 'many', 'many', 'many']);
  });

  it('gives each owner as many, however many they wait for, in one line or in several', () => {
    for (const lines of [1, 3]) {
      const maker = new Maker(1);
      const all = Array.from({ length: lines }, (_, index) => new TestLine(`${index}`));
      for (let i = 0; i < 30; i++) maker.ask(all[i % lines] as TestLine, 'flooder');
      for (let i = 0; i < 3; i++) maker.ask(all[i % lines] as TestLine, 'ann');
      const served = maker.serve(8, true);
      assert.equal(served.filter((owner) => owner === 'ann').length, 3, `${served}`);
    }
  });

  it('keeps one place from who has many, while somebody who has few came lately', () => {
    const maker = new Maker(2);
    const line = new TestLine('python');
    maker.ask(line, 'ann');
    maker.ask(line, 'flooder', 20);
    maker.serve(2);
    assert.equal(maker.begun.length, 1, 'one place is free');
    maker.ask(new TestLine('java'), 'ann');
    assert.equal(maker.begun.length, 2, 'ann has it at once');
    assert.equal(maker.begun[1]?.owner, 'ann');
    maker.serve(2);
    assert.equal(maker.begun.length, 1);
    maker.now += 60_000;
    maker.begin();
    assert.equal(maker.begun.length, 2, 'all places are for whoever asks');
  });

  it('keeps no place where all have many, nor where only one may be under way', () => {
    const both = new Maker(2);
    const line = new TestLine('python');
    both.ask(line, 'ann', 20);
    both.ask(line, 'bob', 20);
    both.serve(10);
    assert.equal(both.begun.length, 2);
    const one = new Maker(1);
    one.ask(new TestLine('python'), 'ann');
    one.ask(new TestLine('java'), 'flooder', 20);
    one.serve(5);
    assert.equal(one.begun.length, 1);
  });

  it('starves nobody: who has many is served between any number of others who come again and again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 12 }), (limit, others) => {
        const maker = new Maker(limit);
        const line = new TestLine('python');
        const names = Array.from({ length: others }, (_, index) => `other-${index}`);
        for (const name of names) maker.ask(line, name);
        maker.ask(line, 'flooder', 3 * MANY);
        let got = 0;
        for (let i = 0; i < 20 * (others + 1); i++) {
          const [owner = ''] = maker.serve(1);
          if (owner === 'flooder') got++;
          maker.ask(line, owner);
        }
        assert.ok(got >= 10, `${got} of ${20 * (others + 1)}`);
      }),
      { numRuns: 30 },
    );
  });

  it('lets nobody who has none wait for more than what is under way and their own', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 6 }),
        fc.array(fc.nat(2), { minLength: 20, maxLength: 60 }),
        (limit, asks) => {
          const maker = new Maker(limit);
          const lines = ['python', 'javascript', 'bash'].map((name) => new TestLine(name));
          maker.ask(lines[0] as TestLine, 'quiet');
          maker.serve(1);
          for (const line of asks) maker.ask(lines[line] as TestLine, 'flooder');
          maker.serve(limit);
          const line = lines[(asks[0] as number) % 3] as TestLine;
          maker.ask(line, 'quiet');
          assert.ok(maker.begun.some(({ owner }) => owner === 'quiet'));
        },
      ),
    );
  });

  it('tells when nothing is left to do', async () => {
    const maker = new Maker(1);
    await maker.turns.idle();
    maker.ask(new TestLine('python'), 'ann', 2);
    let idle = false;
    const told = maker.turns.idle().then(() => {
      idle = true;
    });
    maker.serve(1);
    await Promise.resolve();
    assert.equal(idle, false);
    maker.serve(1);
    await told;
  });
});
