/** `npm run test:load`: what was tried, what it took, and whether it held. The exit code is 0 only when all did. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { type LoadOptions, load } from './load.ts';

const USAGE = 'Use: npm run test:load [-- --seconds N --connections N --people N --queued N --hellos N]';
const DEFAULTS: LoadOptions = { seconds: 600, connections: 200, people: 40, queued: 5_000, hellos: 200 };

function optionsOf(args: string[]): LoadOptions {
  const names = Object.keys(DEFAULTS) as (keyof LoadOptions)[];
  const { values } = parseArgs({
    args,
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  });
  const options = { ...DEFAULTS };
  for (const name of names) {
    const text = values[name];
    if (text === undefined) continue;
    if (!/^[1-9]\d{0,6}$/.test(`${text}`)) throw new Error(`--${name} takes a whole number from 1 on. ${USAGE}`);
    options[name] = Number(text);
  }
  return options;
}

const options = optionsOf(process.argv.slice(2));
console.log(`On ${availableParallelism()} processors, in at least ${options.seconds} s:`);
let tried = 0;
let held = 0;
for await (const { what, figures, wrong } of load(options)) {
  tried++;
  if (wrong.length === 0) held++;
  console.log(`${wrong.length === 0 ? '✔' : '✖'} ${what}\n    ${figures}`);
  for (const one of wrong) console.log(`    ${one}`);
}
console.log(`${held} of ${tried} held`);
process.exitCode = held === tried ? 0 : 1;
