/**
 * Keeps the tables in docs/ equal to the code: settings, errors, languages, metrics. A table stands in a page that people
 * write, between `<!-- generated: NAME -->` and `<!-- /generated -->`.
 *
 *   node daemon/docs.ts           writes the tables
 *   node daemon/docs.ts --check   writes nothing; fails, naming the pages, where one differs
 *   node daemon/docs.ts --sizes   asks the container engine how large the images are, then writes the tables
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig, SETTINGS } from './src/config.ts';
import { Engine } from './src/engine/engine.ts';
import { Metrics } from './src/http/metrics.ts';
import type { Pool } from './src/pool/pool.ts';
import { ERRORS, formatBytes, formatDuration, type PoolStatus, type Run } from './src/protocol/index.ts';
import type { Runs } from './src/runs/runs.ts';
import { Images } from './src/runtimes/images.ts';
import { loadRuntimes } from './src/runtimes/load.ts';
import type { Runtime } from './src/runtimes/runtime.ts';
import { fieldsOf } from './src/runtimes/runtime-file.ts';

const DOCS = fileURLToPath(new URL('../docs/', import.meta.url));
/** Sizes of images in megabytes, by language; that of what all stand on as `base`. They are written where an engine is. */
const SIZES = fileURLToPath(new URL('image-sizes.json', import.meta.url));
const GENERATED = /(?<=<!-- generated: ([\w-]+) -->\n\n).*?(?=\n<!-- \/generated -->)/gs;

const TABLES: Record<string, () => string | Promise<string>> = {
  settings,
  errors,
  languages,
  limits,
  metrics,
  runtime: () => fields('runtime'),
  compile: () => fields('compile'),
  install: () => fields('install'),
  editor: () => fields('editor'),
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

async function bundled(): Promise<Runtime[]> {
  const { runtimes, broken } = await loadRuntimes();
  if (broken[0]) throw new Error(broken[0].problem);
  return runtimes;
}

async function languages(): Promise<string> {
  const { base = 0, ...sizes } = JSON.parse(readFileSync(SIZES, 'utf8')) as Record<string, number>;
  const rows = (await bundled()).map(
    ({ id, name, version, aliases, extensions, options, services, offers, ...more }) => {
      const size = sizes[id];
      if (size === undefined) throw new Error(`The size of ${id} is not known. Run: npm run docs:sizes`);
      const given = services.map((service) => service.id);
      const offered = offers.flatMap((service) => (services.includes(service) ? [] : service.id));
      return [
        code(id),
        `${name} ${version}`,
        codes(aliases),
        codes(extensions),
        more.warm ? 'yes' : 'no',
        compileStage(more.compile),
        codes(more.manifests),
        [codes(given) && `${codes(given)} always`, codes(offered)].filter((text) => text !== '').join(', '),
        Object.entries(options)
          .map(([option, { values, default: usual }]) => `${code(option)}: ${choices(values, usual)}`)
          .join('<br>'),
        `${size - base} MB`,
      ];
    },
  );
  const what = ['Language', 'Also called', 'File endings', 'Warm start', 'Compiles', 'Packages', 'Services', 'Options'];
  return table(['Id', ...what, 'Adds'], rows);
}

function compileStage(compile: Runtime['compile']): string {
  if (!compile) return 'no';
  const how = [...(compile.warm ? ['in the warm interpreter'] : []), ...(compile.outputs ? ['kept'] : [])];
  return how.join(', ') || 'each time';
}

function choices(values: readonly string[], usual: string): string {
  return values.map((value) => (value === usual ? `**${value}**` : value)).join(' ');
}

async function limits(): Promise<string> {
  const rows = (await bundled()).map(({ id, limits, compile }) => [
    code(id),
    formatBytes(limits.memoryBytes),
    formatDuration(limits.wallMs),
    formatDuration(limits.cpuMs),
    formatBytes(limits.outputBytes),
    formatBytes(limits.fileBytes),
    `${limits.pids}`,
    compile
      ? `${formatDuration(compile.limits.wallMs)}, ${formatBytes(Math.max(compile.memoryBytes ?? 0, limits.memoryBytes))}`
      : '',
  ]);
  const usual = ['Memory', 'Wall time', 'CPU time', 'Output', 'Written file', 'Processes', 'Compiler'];
  return table(['Id', ...usual], rows);
}

function fields(object: Parameters<typeof fieldsOf>[0]): string {
  const rows = fieldsOf(object).map(([name, needed, description]) => [code(name), needed ? 'yes' : '', description]);
  return table(['Field', 'Needed', 'Meaning'], rows);
}

/** @throws Error where an image is not built */
async function measure(): Promise<void> {
  const config = loadConfig();
  await using engine = await Engine.connect(config);
  const images = new Images(config, () => engine);
  const runtimes = await bundled();
  await images.prepare(runtimes);
  const megabytes = async (image: Parameters<Images['tag']>[0]) => {
    const { Size } = await engine.docker.getImage(images.tag(image)).inspect();
    return Math.round(Size / 1e6);
  };
  const base = (await megabytes({ id: 'base' })) + (await megabytes({ id: 'agent' }));
  const sizes: Record<string, number> = { base };
  for (const runtime of runtimes) sizes[runtime.id] = await megabytes(runtime);
  writeFileSync(SIZES, `${JSON.stringify(sizes, null, 2)}\n`);
}

/** As `/metrics` tells them, asked of a daemon with one runtime that has ended one run. */
async function metrics(): Promise<string> {
  const runs = { counts: { queued: 0, running: 0 } } as Runs;
  const counts = { least: 0, wanted: 0, target: 0, idle: 0, creating: 0, leased: 0, hits: 0, misses: 0, creationMs: 0 };
  const engine = { state: 'up', name: '', problem: null } as const;
  const status: PoolStatus = {
    engine,
    runtimes: [{ runtime: '', ...counts, problem: null }],
    withPackages: 0,
    used: 0,
  };
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

function codes(texts: readonly string[]): string {
  return texts.map(code).join(' ');
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

if (process.argv.includes('--sizes')) await measure();
const check = process.argv.includes('--check');
const written = new Set<string>();
for (const page of readdirSync(DOCS).filter((name) => name.endsWith('.md'))) {
  const path = join(DOCS, page);
  const before = readFileSync(path, 'utf8');
  const tables = new Map<string, string>();
  for (const [, name = ''] of before.matchAll(GENERATED)) {
    const generate = TABLES[name];
    if (!generate) throw new Error(`docs/${page} has a place for ${name}, which is no table.`);
    tables.set(name, await generate());
    written.add(name);
  }
  const after = before.replace(GENERATED, (_, name: string) => tables.get(name) as string);
  if (after === before) continue;
  if (check) {
    console.error(`docs/${page} differs from the code. Run: npm run docs`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, after);
    console.log(`docs/${page} written`);
  }
}
const nowhere = Object.keys(TABLES).filter((name) => !written.has(name));
if (nowhere.length > 0) throw new Error(`No page in docs/ has a place for ${nowhere.join(', ')}.`);
