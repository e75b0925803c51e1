/** Everything that can be said about the source without running it, all at once, in seconds: `npm run check`. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

const color = process.stdout.isTTY;

const CHECKS: Record<string, string[]> = {
  'format, lint, import directions and cycles': ['biome', 'ci', `--colors=${color ? 'force' : 'off'}`],
  'types of the daemon and the tools': ['tsc'],
  'types of the extension': ['tsc', '--project', 'extension'],
  'types of the console': ['tsc', '--project', 'webview-ui'],
  'types of its tests': ['tsc', '--project', 'webview-ui/test'],
  'dead code and dependencies': ['knip'],
  'generated tables in docs/': ['node', 'daemon/docs.ts', '--check'],
  'settings of the extension': ['node', 'extension/manifest.ts', '--check'],
};

const env = color ? { ...process.env, FORCE_COLOR: '1' } : process.env;

async function passes(name: string, [command = '', ...args]: string[]): Promise<boolean> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  const [code, output, complaints] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  console.log(code === 0 ? `✔ ${name}` : `✖ ${name}\n${output}${complaints}`);
  return code === 0;
}

const results = await Promise.all(Object.entries(CHECKS).map(([name, command]) => passes(name, command)));
process.exitCode = results.every(Boolean) ? 0 : 1;
