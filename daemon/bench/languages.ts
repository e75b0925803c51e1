/**
 * The smallest program of each language that is compiled, changed before every run so that it is compiled again, against the same tools
 * called by hand in a container of the same image that has no limits. The time of those is taken inside the container: neither `exec` nor
 * copying counts.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Context } from './context.ts';
import { anyContainerOf, WarmContainer } from './engine.ts';
import { alternate, summarise } from './measure.ts';
import { PROGRAMS_FOLDER, type Program, program, requestFor } from './programs.ts';
import type { Bar, Measurement } from './report.ts';

const ROUNDS = 20;
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

interface Language {
  /** Its hello among the programs. */
  file: string;
  /** How a line of comment begins. */
  comment: string;
  atMost?: number;
  /** What a shell in the container does once, before everything. */
  prepare?: string;
  /** What is done by hand. */
  byHand: string;
}

const LANGUAGES = {
  java: { file: 'Hello.java', comment: '//', atMost: 0.15, byHand: 'javac Hello.java && java Hello' },
  // The image's precompiled headers fit the options that CodeRunner takes by itself; one more, which changes nothing here, makes them unfit.
  cpp: { file: 'hello.cpp', comment: '//', atMost: 0.4, byHand: 'g++ -O2 -include /dev/null hello.cpp && ./a.out' },
  c: { file: 'hello.c', comment: '//', atMost: 1, byHand: 'gcc -O2 hello.c && ./a.out' },
  go: {
    file: 'hello.go',
    comment: '//',
    atMost: 1,
    prepare: 'cp -r /opt/coderunner/cache /tmp/cache && chmod -R u+w /tmp/cache',
    byHand: 'GOCACHE=/tmp/cache go build hello.go && ./hello',
  },
  rust: { file: 'hello.rs', comment: '//', atMost: 1, byHand: 'rustc hello.rs && ./hello' },
  bash: { file: 'hello.sh', comment: '#', byHand: 'bash hello.sh' },
} satisfies Record<string, Language>;

/** Changed sources: compiled and run. */
export function languageHello(id: keyof typeof LANGUAGES) {
  const language: Language = LANGUAGES[id];
  return (context: Context) => compareWithTools(context, id, language, changing(language));
}

/** Sources that were compiled before: what is kept of them is run. */
export function cppUnchanged(context: Context): Promise<Measurement> {
  const { cpp } = LANGUAGES;
  return compareWithTools(context, 'cpp', { ...cpp, atMost: 0.05 }, () => program(cpp.file));
}

export async function typescriptHello(context: Context): Promise<Measurement> {
  const next = changing({ file: 'hello.ts', comment: '//' });
  const tsx = async () => {
    const begin = performance.now();
    const child = spawn('npx', ['--no-install', 'tsx', `${PROGRAMS_FOLDER}hello.ts`], {
      cwd: REPOSITORY,
      env: { PATH: process.env.PATH, HOME: process.env.HOME },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [output] = await Promise.all([text(child.stdout), once(child, 'close')]);
    expectGreeting(output);
    return performance.now() - begin;
  };
  return compare(context, 'typescript', next, { what: 'npx tsx hello.ts on this machine', sample: tsx, atMost: 0.5 });
}

export async function sqlHello(context: Context): Promise<Measurement> {
  const next = changing({ file: 'hello.sql', comment: '--' });
  const prepare = () => context.daemon.poolFull();
  const [samples = []] = await alternate(
    [{ prepare, sample: () => sandboxSample(context, next(), 'hello') }],
    rounds(context),
  );
  const times = summarise(samples);
  return {
    what: 'a SELECT, submit → exit seen by a client on loopback; its MariaDB waits with the container',
    times,
    figure: { value: times.p50Ms, unit: 'ms' },
    bar: { atMost: 20 },
  };
}

async function compareWithTools(
  context: Context,
  id: string,
  language: Language,
  next: () => Program,
): Promise<Measurement> {
  const { docker, daemon } = context;
  // The first run makes the pool keep containers of the language, one of which names the image.
  await sandboxSample(context, next());
  await daemon.poolFull();
  const { Image } = (await anyContainerOf(docker, id)).Config;
  await using container = await WarmContainer.start(docker, Image);
  if (language.prepare) await container.timeInside(language.prepare, program(language.file));
  const sample = async () => {
    const { ms, output } = await container.timeInside(language.byHand, next());
    expectGreeting(output);
    return ms;
  };
  const { atMost } = language;
  const what = `${language.byHand}, timed in a container of the same image without limits`;
  return await compare(context, id, next, { what, sample, ...(atMost === undefined ? {} : { atMost }) });
}

async function compare(
  context: Context,
  id: string,
  next: () => Program,
  against: { what: string; sample(): Promise<number>; atMost?: number },
): Promise<Measurement> {
  // The pool refills while the other subject runs unless that waits too.
  const prepare = () => context.daemon.poolFull();
  const [ours = [], theirs = []] = await alternate(
    [
      { prepare, sample: () => sandboxSample(context, next()) },
      { prepare, sample: against.sample },
    ],
    rounds(context),
  );
  const [times, theirTimes] = [summarise(ours), summarise(theirs)];
  const bar: Bar | undefined = against.atMost === undefined ? undefined : { atMost: against.atMost };
  return {
    what: `${id}: compile and run, submit → exit seen by a client on loopback`,
    times,
    against: { what: against.what, times: theirTimes },
    ratio: times.p50Ms / theirTimes.p50Ms,
    ...(bar ? { bar } : {}),
  };
}

async function sandboxSample({ sandbox }: Context, source: Program, holds?: string): Promise<number> {
  const begin = performance.now();
  const { run, output } = await sandbox.run(requestFor(source));
  const ms = performance.now() - begin;
  if (run.state !== 'succeeded') throw new Error(`The run ended ${run.state}: ${run.message ?? output}`);
  if (holds === undefined) expectGreeting(output);
  else if (!output.includes(holds)) throw new Error(`Expected a table with ${holds}, got ${output}`);
  return ms;
}

function rounds({ quick }: Context): { rounds: number; warmUps: number } {
  return quick ? { rounds: 2, warmUps: 1 } : { rounds: ROUNDS, warmUps: 2 };
}

/** The program, each time with another comment at its end. */
function changing({ file, comment }: { file: string; comment: string }): () => Program {
  const { name, content } = program(file);
  let version = 0;
  return () => ({ name, content: `${content}${comment} ${version++}\n` });
}

function expectGreeting(output: string): void {
  if (output !== 'hello\n') throw new Error(`Expected "hello", got ${JSON.stringify(output)}.`);
}
