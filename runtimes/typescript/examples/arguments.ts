// Greets everyone it is given: try it with the arguments `Ada Grace --shout`.
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { shout: { type: 'boolean', default: false } },
});

for (const name of positionals.length > 0 ? positionals : ['world']) {
  const greeting = `Hello, ${name}!`;
  console.log(values.shout ? greeting.toUpperCase() : greeting);
}
