// Asks and answers: what you type goes straight to the program.
import { createInterface } from 'node:readline/promises';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(question: string): Promise<string> {
  process.stdout.write(question);
  const { value = '' } = await lines.next();
  return value;
}

const name = await ask('What is your name? ');
const year = Number(await ask('When were you born? '));
console.log(`${name} turns ${new Date().getFullYear() - year} this year.`);
process.stdin.destroy();
