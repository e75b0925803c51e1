/** What was attacked, how, and whether it held, a line each; then a table of both counts. Also written to `ATTACK_REPORT`, for `tools/attack.ts`. */
import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';

/** One attack, or a hook without which attacks were not tried. */
export interface Tried {
  /** Who attacked: the outermost suite. */
  attack: string;
  tried: string;
  held: boolean;
}

export default class AttackReporter extends Mocha.reporters.Base {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const tried: Tried[] = [];
    const note = (runnable: Mocha.Runnable, held: boolean) => {
      const [attack = '', ...rest] = runnable.titlePath();
      tried.push({ attack, tried: rest.join(' '), held });
      console.log(`${held ? 'held   ' : 'ESCAPED'} │ ${attack} │ ${rest.join(' ')}`);
    };
    const { EVENT_TEST_PASS, EVENT_TEST_FAIL, EVENT_RUN_END } = Mocha.Runner.constants;
    runner.on(EVENT_TEST_PASS, (test: Mocha.Test) => note(test, true));
    runner.on(EVENT_TEST_FAIL, (test: Mocha.Test) => note(test, false));
    runner.once(EVENT_RUN_END, () => {
      this.epilogue();
      printTable(tried);
      const file = process.env.ATTACK_REPORT;
      if (file !== undefined) writeFileSync(file, JSON.stringify(tried));
    });
  }
}

function printTable(tried: readonly Tried[]): void {
  const groups = Map.groupBy(tried, ({ attack }) => attack);
  const width = Math.max(...[...groups.keys()].map((attack) => attack.length));
  console.log(`${'attack'.padEnd(width)} │ tried │  held │ escaped`);
  const line = (name: string, of: readonly Tried[]) => {
    const held = of.filter((one) => one.held).length;
    const numbers = [`${of.length}`.padStart(5), `${held}`.padStart(5), `${of.length - held}`.padStart(7)];
    console.log(`${name.padEnd(width)} │ ${numbers.join(' │ ')}`);
  };
  for (const [attack, of] of groups) line(attack, of);
  line('all', tried);
}
