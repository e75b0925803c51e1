/**
 * What waiting for a container is like under one rule or another for how many should wait, on a machine that exists as numbers only
 * (simulation.ts).
 *
 *   npm run bench:pool                      classes, a day of a team, a judge, one person, what was recorded; always the same figures
 *   npm run bench:pool -- --trace FILE      arrivals that were recorded (traces/)
 *   npm run bench:pool -- --record FOLDER   prints such a file: the runs that a daemon's history has; FOLDER is its data folder
 *   --cores N, --memory BYTES, --concurrency N, --pool-size N
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Arrival, judge, lecture, onePerson, teamDay, threeClasses } from './arrivals.ts';
import { type Machine, type Policy, Simulation } from './simulation.ts';
import { formatTrace, parseTrace, recordTrace } from './trace.ts';

const RECORDED = new URL('traces/many-owners.txt', import.meta.url);
const MINUTE = 60_000;

interface Scenario {
  what: string;
  arrivals: Arrival[];
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

async function row(scenario: Scenario, machine: Machine, policy: Policy): Promise<string> {
  const { waits, misses, idleSeconds, mostIdle, created, seconds } = await new Simulation(machine, policy).run(
    scenario.arrivals,
  );
  const sorted = waits.toSorted((a, b) => a - b);
  const ms = (part: number) => quantile(sorted, part).toFixed(0);
  const cells = [
    policy.name,
    ms(0.5),
    ms(0.99),
    ms(1),
    `${misses}`,
    idleSeconds.toFixed(0),
    (idleSeconds / seconds).toFixed(1),
    `${mostIdle}`,
    `${created}`,
  ];
  return `| ${cells.join(' | ')} |`;
}

const { values: options } = parseArgs({
  options: {
    trace: { type: 'string' },
    record: { type: 'string' },
    cores: { type: 'string', default: '2' },
    memory: { type: 'string', default: `${24 * 2 ** 30}` },
    concurrency: { type: 'string' },
    'pool-size': { type: 'string', default: '3' },
  },
});
if (options.record) {
  process.stdout.write(formatTrace(recordTrace(options.record)));
  process.exit();
}
const cores = Number(options.cores);
const machine: Machine = {
  cores,
  memoryBytes: Number(options.memory),
  concurrency: Number(options.concurrency ?? Math.max(2, cores)),
};
const minimum = Number(options['pool-size']);
const policies: Policy[] = [
  { name: `fixed, ${minimum} each`, minimum, followsDemand: false },
  { name: 'fixed, 40 each', minimum: 40, followsDemand: false },
  { name: `demand, at least ${minimum}`, minimum, followsDemand: true },
];
const scenarios: Scenario[] = options.trace
  ? [{ what: options.trace, arrivals: parseTrace(await readFile(options.trace, 'utf8')) }]
  : [
      {
        what: 'A lecture: 40 people within 2 s, every 5 minutes for an hour',
        arrivals: lecture({ lengthMs: 60 * MINUTE, everyMs: 5 * MINUTE }).map((at) => ({
          at,
          runtime: 'python',
          owner: 'class',
        })),
      },
      {
        what: 'Three classes after each other: 40 people every 2½ minutes, 10 minutes each in C++, JavaScript, Python',
        arrivals: threeClasses(),
      },
      { what: 'A day of a team: 15 people, 3 languages', arrivals: teamDay() },
      { what: 'A judge: 2 submissions a second, 2 languages', arrivals: judge(2) },
      { what: 'A judge near what the machine can do: 5 a second', arrivals: judge(5) },
      { what: 'One person', arrivals: onePerson() },
      {
        what: 'Recorded: many owners at once, one of whom floods',
        arrivals: parseTrace(await readFile(RECORDED, 'utf8')),
      },
    ];
console.log(`${machine.cores} cores, ${machine.concurrency} creations at once, ${machine.memoryBytes / 2 ** 30} GiB\n`);
for (const scenario of scenarios) {
  console.log(`${scenario.what} (${scenario.arrivals.length} runs)\n`);
  console.log(
    '| policy | wait p50 ms | p99 | most | misses | container-seconds idle | idle on average | most idle | made |',
  );
  console.log('| --- | --: | --: | --: | --: | --: | --: | --: | --: |');
  for (const policy of policies) console.log(await row(scenario, machine, policy));
  console.log();
}
