/**
 * The compile stage: has the TypeScript compiler check the entry and what it imports, and prints what it finds. `node check.cjs --check=on
 * ENTRY`; a Node that waits calls `main` instead. Wrong types never keep a program from running, so only a file that cannot be read as
 * TypeScript makes it fail.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { compile, findTsconfig } = require('./compile.cjs');

const TSC = path.join(__dirname, 'tsc');
const OWN_TYPES = path.join(__dirname, 'node_modules/@types');
const PROJECT = '.coderunner/typescript/tsconfig.json';
/** A check that takes longer is given up, and the program runs without. */
const MOST_MS = 20_000;
const MOST_BYTES = 2 ** 20;
/** Options of older compilers, which this one refuses: what was meant, or nothing where it is how things are now. */
const FORMER = {
  baseUrl: () => undefined,
  downlevelIteration: () => undefined,
  alwaysStrict: () => undefined,
  outFile: () => undefined,
  charset: () => undefined,
  esModuleInterop: () => undefined,
  allowSyntheticDefaultImports: () => undefined,
  ignoreDeprecations: () => undefined,
  target: (value) => (/^es[35]$/i.test(value) ? 'es2015' : value),
  module: (value) => (/^(?:amd|umd|system|none)$/i.test(value) ? 'commonjs' : value),
  moduleResolution: (value) => (/^(?:node|node10|classic)$/i.test(value) ? 'bundler' : value),
};
/** What has no place in a check of one program. */
const UNWANTED = [
  'composite',
  'incremental',
  'tsBuildInfoFile',
  'declaration',
  'declarationMap',
  'emitDeclarationOnly',
  'rootDir',
  'outDir',
];
/** Without a tsconfig.json. There is no browser here, and its types alone take longer to read than most programs take to check. */
const USUAL = { target: 'esnext', lib: ['esnext'], module: 'preserve', moduleResolution: 'bundler', jsx: 'react-jsx' };

/** The options of the project, as this compiler takes them. */
function optionsOf(tsconfig) {
  const folder = path.dirname(tsconfig.path);
  const given = { ...tsconfig.config.compilerOptions };
  const base = path.resolve(folder, given.baseUrl ?? '.');
  if (given.baseUrl !== undefined) given.paths = { '*': ['*'], ...given.paths };
  for (const [name, present] of Object.entries(FORMER)) if (name in given) given[name] = present(given[name]);
  for (const name of UNWANTED) delete given[name];
  for (const [name, targets] of Object.entries(given.paths ?? {}))
    given.paths = { ...given.paths, [name]: targets.map((target) => path.resolve(base, target)) };
  for (const name of ['typeRoots', 'rootDirs'])
    if (given[name]) given[name] = given[name].map((one) => path.resolve(folder, one));
  return given;
}

function projectFile(entry) {
  const tsconfig = findTsconfig(path.dirname(path.resolve(entry)));
  const given = tsconfig ? optionsOf(tsconfig) : USUAL;
  const folder = tsconfig ? path.dirname(tsconfig.path) : process.cwd();
  return {
    compilerOptions: {
      types: ['node'],
      ...given,
      typeRoots: [
        ...(given.typeRoots ?? [path.join(folder, 'node_modules/@types'), '/node_modules/@types']),
        OWN_TYPES,
      ],
      noEmit: true,
      skipLibCheck: true,
      allowImportingTsExtensions: true,
    },
    files: [path.resolve(entry)],
    include: [path.join(folder, '**/*.d.ts')],
    exclude: [path.join(folder, '**/node_modules')],
  };
}

/** Whether it can be read: what the compiler calls an error of syntax may as well be one of taste. */
function canBeRead(file) {
  try {
    compile(path.resolve(file), fs.readFileSync(file, 'utf8'));
    return true;
  } catch {
    return false;
  }
}

/** @returns {number} the exit code of the stage */
function main(args) {
  const entry = args.at(-1);
  if (!args.includes('--check=on') || !fs.existsSync(entry)) return 0;
  fs.mkdirSync(path.dirname(PROJECT), { recursive: true });
  try {
    fs.writeFileSync(PROJECT, JSON.stringify(projectFile(entry)));
  } catch (error) {
    fs.writeSync(2, `error: ${error.message}\n`);
    return 1;
  }
  const { stdout, error } = spawnSync(TSC, ['--project', PROJECT, '--pretty', 'false'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    timeout: MOST_MS,
    maxBuffer: MOST_BYTES,
    // It ends long before collecting garbage would pay.
    env: { ...process.env, GOGC: 'off', GOMEMLIMIT: '256MiB' },
  });
  fs.writeSync(2, stdout ?? '');
  if (error) {
    const why = error.code === 'ETIMEDOUT' ? `it took more than ${MOST_MS / 1000} s` : error.message;
    fs.writeSync(2, `The types were not checked to the end: ${why}.\n`);
    // With nothing left here nothing of it is kept: the next run tries again.
    fs.rmSync(path.dirname(PROJECT), { recursive: true });
  }
  const doubtful = new Set(
    [...(stdout ?? '').matchAll(/^([^\s(][^(\n]*)\(\d+,\d+\): error TS1\d{3}:/gm)].map(([, file]) => file),
  );
  return [...doubtful].every(canBeRead) ? 0 : 1;
}

module.exports = { main };
if (require.main === module) process.exitCode = main(process.argv.slice(2));
