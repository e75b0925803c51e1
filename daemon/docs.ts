/**
 * Keeps the tables in docs/ equal to the code: settings, errors, languages, metrics. A table stands in a page that people
 * write, between `<!-- generated -->` and `<!-- /generated -->`.
 *
 *   node daemon/docs.ts           writes the tables
 *   node daemon/docs.ts --check   writes nothing; fails, naming the pages, where one differs
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SETTINGS } from './src/config.ts';
import { Metrics } from './src/http/metrics.ts';
import type { Pool } from './src/pool/pool.ts';
import { ERRORS, formatBytes, formatDuration, type PoolStatus, type Run } from './src/protocol/index.ts';
import type { Runs } from './src/runs/runs.ts';
import { loadRuntimes } from './src/runtimes/load.ts';

const DOCS = fileURLToPath(new URL('../docs/', import.meta.url));
const GENERATED = /(?<=<!-- generated -->\n\n).*?(?=\n<!-- \/generated -->)/s;

const PAGES = {
  'configuration.md': settings,
  'errors.md': errors,
  'runtimes.md': runtimes,
  'operations.md': metrics,
};

function settings(): string {
  const rows = Object.entries(SETTINGS).map(([name, { env, defaultText, takes, description }]) => [
    `${code(name)}<br>${code(env)}`,
    defaultText,
    takes,
    description,
  ]);
  return table(['Name in the file, variable', 'Default', 'Takes', 'What it does'], rows);
}

function errors(): string {
  const rows = Object.entries(ERRORS).map(([name, { status, hint }]) => [code(name), `${status}`, hint]);
  return table(['Code', 'Status', 'Way out'], rows);
}

async function runtimes(): Promise<string> {
  const { runtimes: found, broken } = await loadRuntimes();
  if (broken[0]) throw new Error(broken[0].problem);
  const rows = found.map(({ id, name, version, aliases, extensions, warm, manifests, limits }) => [
    code(id),
    `${name} ${version}`,
    aliases.map(code).join(' '),
    extensions.map(code).join(' '),
    warm ? 'yes' : 'no',
    manifests.map(code).join(' ') || 'none',
    formatBytes(limits.memoryBytes),
    formatDuration(limits.wallMs),
    formatDuration(limits.cpuMs),
    formatBytes(limits.outputBytes),
    formatBytes(limits.fileBytes),
    `${limits.pids}`,
  ]);
  const usual = ['Memory', 'Wall time', 'CPU time', 'Output', 'Written file', 'Processes'];
  return table(['Id', 'Language', 'Also called', 'File endings', 'Warm start', 'Packages', ...usual], rows);
}

/** As `/metrics` tells them, asked of a daemon with one runtime that has ended one run. */
async function metrics(): Promise<string> {
  const runs = { counts: { queued: 0, running: 0 } } as Runs;
  const counts = { target: 0, idle: 0, creating: 0, leased: 0, hits: 0, misses: 0 };
  const engine = { state: 'up', name: '', problem: null } as const;
  const status: PoolStatus = { engine, runtimes: [{ runtime: '', ...counts, problem: null }], withPackages: 0 };
  const told = new Metrics(runs, { status: () => status } as Pool, () => 0);
  runs.observer?.settled({ runtime: '', state: 'succeeded', outputBytes: 0, wallMs: 0 } as Run, 0);
  const found = (await told.text()).matchAll(/^# HELP (coderunner_\w+) (.*)\n# TYPE \S+ (\w+)\n(.*)$/gm);
  const rows = Array.from(found, ([, name = '', help = '', kind = '', sample = '']) => {
    // `le` is how a histogram writes its buckets.
    const labels = Array.from(sample.matchAll(/\b(?!le=)(\w+)="/g), ([, label = '']) => code(label));
    return [code(name), kind, labels.join(' '), help];
  });
  return table(['Metric', 'Kind', 'Labels', 'Meaning'], rows);
}

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

const check = process.argv.includes('--check');
for (const [page, generate] of Object.entries(PAGES)) {
  const path = join(DOCS, page);
  const before = readFileSync(path, 'utf8');
  if (!GENERATED.test(before)) throw new Error(`docs/${page} has no place for its table.`);
  const content = await generate();
  const after = before.replace(GENERATED, () => content);
  if (after === before) continue;
  if (check) {
    console.error(`docs/${page} differs from the code. Run: npm run docs`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, after);
    console.log(`docs/${page} written`);
  }
}
