#!/usr/bin/env node
// npm links a command when it installs packages, if its file is there; the bundle is made later.
import { existsSync } from 'node:fs';

const bundle = new URL('../dist/coderunner.mjs', import.meta.url);

if (existsSync(bundle)) {
  await import(bundle);
} else {
  process.stderr.write('coderunner: It is not built yet.\n  Run `npm start` in its folder, or `npm run build`.\n');
  process.exitCode = 125;
}
