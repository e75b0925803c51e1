import { createInterface } from 'node:readline/promises';

const lines = createInterface({ input: process.stdin, output: process.stdout });
const name = await lines.question('What is your name? ');
console.log(`Nice to meet you, ${name || 'stranger'}!`);
lines.close();
