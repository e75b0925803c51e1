/**
 * Lets Node run TypeScript: `node --enable-source-maps -r typescript.cjs ENTRY`. Each file is compiled by itself when it is loaded, in this
 * process, as the tsconfig.json above the program says; imports are found as TypeScript finds them. Types are not checked here: check.cjs
 * does that. docs/decisions/0016-typescript.md has the reasons.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { registerHooks } = require('node:module');
const { fileURLToPath, pathToFileURL } = require('node:url');
const Module = module.constructor;

const { compile, projectOf, warmUp } = require('./compile.cjs');

const TYPESCRIPT = /\.[cm]?tsx?$/;
/** What an import may stand for, in this order: the sources of a file that it names by what it would be compiled to, or without an ending. */
const SOURCES = { '.js': ['.ts', '.tsx'], '.jsx': ['.tsx'], '.mjs': ['.mts'], '.cjs': ['.cts'] };
const ENDINGS = ['.ts', '.tsx', '.mts', '.cts', '.js', '.mjs', '.cjs', '.json', '/index.ts', '/index.tsx', '/index.js'];

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** The file that a path in an import stands for, as far as only TypeScript would find it. */
function sourceOf(target) {
  const ending = path.extname(target);
  const base = target.slice(0, target.length - ending.length);
  const compiledFrom = (SOURCES[ending] ?? []).map((source) => base + source);
  if (isFile(target)) return compiledFrom.find(isFile) ?? target;
  return [...compiledFrom, ...ENDINGS.map((one) => target + one)].find(isFile);
}

function resolve(specifier, context, nextResolve) {
  const parent = context.parentURL?.startsWith('file:') ? fileURLToPath(context.parentURL) : undefined;
  if (parent === undefined || !TYPESCRIPT.test(parent)) return nextResolve(specifier, context);
  const isPath = /^(?:\.{0,2}\/|file:)/.test(specifier) || specifier === '.' || specifier === '..';
  const targets = isPath
    ? [specifier.startsWith('file:') ? fileURLToPath(specifier) : path.resolve(path.dirname(parent), specifier)]
    : (projectOf(parent).matchPath?.(specifier) ?? []);
  for (const target of targets) {
    const file = sourceOf(target);
    if (file !== undefined)
      return nextResolve(context.conditions.includes('require') ? file : pathToFileURL(file).href, context);
  }
  return nextResolve(specifier, context);
}

function load(url, context, nextLoad) {
  const file = url.startsWith('file:') ? fileURLToPath(url) : undefined;
  if (file === undefined || !TYPESCRIPT.test(file)) return nextLoad(url, context);
  const { code, format } = compile(file, fs.readFileSync(file, 'utf8'));
  return { format, source: code, shortCircuit: true };
}

registerHooks({ resolve, load });
module.exports = { warmUp };
// What it needs is not to be found in `require.cache`.
for (const name of Object.keys(Module._cache))
  if (name.startsWith(`${__dirname}/`) && name !== __filename) delete Module._cache[name];
