// Draws a coloured progress bar over and over on the same line: output shows as it is printed.
import { setTimeout as sleep } from 'node:timers/promises';

const WIDTH = 30;
const STEPS = 25;
const GREEN = '\x1b[32m';
const PLAIN = '\x1b[0m';
for (let step = 0; step <= STEPS; step++) {
  const filled = Math.floor((WIDTH * step) / STEPS);
  const bar = `${GREEN}${'█'.repeat(filled)}${PLAIN}${'░'.repeat(WIDTH - filled)}`;
  process.stdout.write(`\r${bar} ${`${Math.floor((100 * step) / STEPS)}`.padStart(3)} %`);
  await sleep(40);
}
console.log('\nDone.');
