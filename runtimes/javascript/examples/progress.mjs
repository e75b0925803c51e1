// Draws a progress bar over and over on the same line: output shows as it is printed.
import { setTimeout as sleep } from 'node:timers/promises';

const WIDTH = 30;
const STEPS = 50;
for (let step = 0; step <= STEPS; step++) {
  const filled = Math.floor((WIDTH * step) / STEPS);
  process.stdout.write(`\r[${'#'.repeat(filled).padEnd(WIDTH, '.')}] ${Math.floor((100 * step) / STEPS)} %`);
  await sleep(40);
}
console.log('\nDone.');
