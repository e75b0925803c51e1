/** The Dockerfile of a language: what is plainly wrong with it before anything is built, and which line a build's step is. */
import { didYouMean, type Flaw } from './flaw.ts';

interface Instruction {
  /** In capitals. */
  keyword: string;
  /** What follows it, in one line. */
  text: string;
  line: number;
}

const KEYWORDS = [
  'ADD',
  'ARG',
  'CMD',
  'COPY',
  'ENTRYPOINT',
  'ENV',
  'EXPOSE',
  'FROM',
  'HEALTHCHECK',
  'LABEL',
  'MAINTAINER',
  'ONBUILD',
  'RUN',
  'SHELL',
  'STOPSIGNAL',
  'USER',
  'VOLUME',
  'WORKDIR',
];

/** What the build is given for `FROM ${BASE}` and the like, once the Dockerfile asks for it. */
const BUILD_ARGUMENTS = ['BASE', 'AGENT'];

/** What is wrong with a Dockerfile; the engine finds the rest when it builds. @param file its name */
export function checkDockerfile(file: string, source: string): Flaw[] {
  const instructions = parse(source);
  const flaws: Flaw[] = [];
  const add = ({ line }: Pick<Instruction, 'line'>, message: string) => flaws.push({ file, line, column: 1, message });
  const begin = instructions.findIndex(({ keyword }) => keyword === 'FROM');
  if (begin === -1)
    add({ line: 1 }, 'There is no FROM, which names the image that it stands on, such as: FROM ${BASE}');
  const known = new Set<string>();
  for (const [index, instruction] of instructions.entries()) {
    const { keyword, text } = instruction;
    if (!KEYWORDS.includes(keyword)) {
      const meant = didYouMean(keyword, KEYWORDS) || '.';
      add(instruction, `${keyword} is no instruction of a Dockerfile${meant}`);
    } else if (text === '') {
      add(instruction, `${keyword} says nothing.`);
    } else if (keyword === 'VOLUME') {
      add(instruction, 'VOLUME would let programs write outside of the limits of their sandbox.');
    } else if (index < begin && keyword !== 'ARG') {
      add(instruction, `${keyword} stands before FROM; only ARG may.`);
    }
    if (keyword === 'ARG' && index < begin) known.add(/^\w*/.exec(text)?.[0] ?? '');
    if (keyword !== 'FROM') continue;
    for (const [, name = ''] of text.matchAll(/\$\{?(\w+)/g)) {
      if (known.has(name)) continue;
      const has = BUILD_ARGUMENTS.includes(name) ? '' : didYouMean(name, [...known, ...BUILD_ARGUMENTS]);
      add(instruction, `FROM uses ${name}, but there is no ARG ${name} before the first FROM${has || '.'}`);
    }
  }
  return flaws;
}

/**
 * The line of a build's step, from 1 on; undefined where the engine counts other steps.
 * @param steps how many the engine says there are
 */
export function lineOfStep(source: string, step: number, steps: number): number | undefined {
  const instructions = parse(source);
  // The labels that a build is asked for are a last step more.
  return steps - instructions.length <= 1 && steps >= instructions.length ? instructions[step - 1]?.line : undefined;
}

/**
 * The Dockerfile with what makes a sandbox of any image: the agent, as the first program. It adds lines only at the end.
 * @param agent the agent's image
 */
export function withAgent(source: string, agent: string): string {
  const addsItItself = parse(source).some(({ keyword, text }) => keyword === 'ARG' && /^AGENT\b/.test(text));
  if (addsItItself) return source;
  return [
    source,
    // By number: an image need not know anybody's name.
    'USER 0:0',
    `COPY --from=${agent} / /`,
    'HEALTHCHECK NONE',
    'ENV HOME=/workspace',
    'WORKDIR /workspace',
    'ENTRYPOINT ["/usr/local/bin/coderunner-agent"]',
    '',
  ].join('\n');
}

function parse(source: string): Instruction[] {
  const instructions: Instruction[] = [];
  let open: Instruction | undefined;
  let heredocs: string[] = [];
  for (const [index, raw] of source.split(/\r?\n/).entries()) {
    if (heredocs.length > 0) {
      if (raw.replace(/^\t+/, '') === heredocs[0]) heredocs = heredocs.slice(1);
      continue;
    }
    const text = raw.trim();
    // Comments, also between the lines of one instruction.
    if (text === '' || text.startsWith('#')) continue;
    const continued = text.endsWith('\\');
    const rest = continued ? text.slice(0, -1).trim() : text;
    if (open) {
      open.text = `${open.text} ${rest}`.trim();
    } else {
      const [, keyword = '', more = ''] = /^(\S+)\s*(.*)$/.exec(rest) ?? [];
      open = { keyword: keyword.toUpperCase(), text: more, line: index + 1 };
      instructions.push(open);
    }
    if (continued) continue;
    if (['ADD', 'COPY', 'RUN'].includes(open.keyword))
      heredocs = Array.from(open.text.matchAll(/(?<!<)<<-?["']?([A-Za-z_]\w*)["']?/g), ([, end = '']) => end);
    open = undefined;
  }
  return instructions;
}
