// Writes a file: what a program produces can be taken out of the sandbox.
import { writeFileSync } from 'node:fs';

const rows = Array.from({ length: 10 }, (_, index): [number, number] => [index + 1, (index + 1) ** 2]);
writeFileSync('report.csv', [['number', 'square'], ...rows].map((row) => `${row.join(',')}\r\n`).join(''));
console.log('Wrote report.csv');
