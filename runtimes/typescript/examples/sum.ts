// Adds up the numbers on its input, one a line.
import { createInterface } from 'node:readline';

let count = 0;
let sum = 0;
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === '') continue;
  count += 1;
  sum += Number(line);
}
console.log(`${count} numbers, sum ${sum}`);
