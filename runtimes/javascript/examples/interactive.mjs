// Asks and answers: what you type goes straight to the program.
import { createInterface } from 'node:readline/promises';

const lines = createInterface({ input: process.stdin, output: process.stdout });
const name = await lines.question('What is your name? ');
const year = Number(await lines.question('When were you born? '));
lines.close();
console.log(`${name} turns ${new Date().getFullYear() - year} this year.`);
