/**
 * The waiting Node. `node [-r OTHER] -r warm.cjs PLACEHOLDER` starts as it always does, up to the last line of its own start-up, which is
 * `Module.runMain(mainEntry)`. The one thing changed is that reading `Module.runMain` waits for START first and then gives the original
 * function bound to the run's entry. A bound function and a getter that has returned leave no frame, so from there on everything is what a
 * cold start does. docs/decisions/0009-warm-interpreters.md has the reasons.
 *
 * A script that is preloaded before it may export `warmUp`, which is called before the wait. A stage before the run is `node SCRIPT ARGUMENT...`,
 * of which this calls the script's `main(arguments)` and takes what it returns as the exit code.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const CONTROL_FD = 3;
const Module = module.constructor;

/** Takes out of sight that this file was preloaded. Worker threads inherit the preload: there, this is all there is to do. */
function hidePreload() {
  const { execArgv } = process;
  const at = execArgv.indexOf(__filename);
  if (at > 0) execArgv.splice(at - 1, 2);
  const others = process._preload_modules.filter((name) => name !== __filename);
  Object.defineProperty(process, '_preload_modules', { value: others });
  delete Module._cache[__filename];
  for (const request of Object.keys(Module._pathCache)) delete Module._pathCache[request];
}

/** @returns {boolean} whether the buffer was filled; false when the agent has closed its side */
function readFully(buffer) {
  for (let at = 0; at < buffer.length; ) {
    const got = fs.readSync(CONTROL_FD, buffer, at, buffer.length - at, null);
    if (got === 0) return false;
    at += got;
  }
  return true;
}

/** Blocks until START has come; docs/protocol.md, "Warm interpreter". There is no run, and nothing to return to, when the agent closes. */
function readStart() {
  const header = Buffer.alloc(4);
  if (!readFully(header)) process.reallyExit(0);
  const json = Buffer.alloc(header.readUInt32BE(0));
  if (!readFully(json)) process.reallyExit(0);
  return JSON.parse(json.toString('utf8'));
}

/** The session has no terminal yet, so the first open makes this one the controlling one. */
function openTerminal(tty) {
  for (const fd of [0, 1, 2]) fs.closeSync(fd);
  for (const fd of [0, 1, 2]) {
    if (fs.openSync(tty, 'r+') !== fd) process.reallyExit(125);
  }
}

function replaceEnvironment(env) {
  for (const name of Object.keys(process.env)) delete process.env[name];
  for (const name of Object.keys(env)) process.env[name] = env[name];
}

/** A stage before the run, in this process: what it may load, the run does not see. */
function doStage({ argv }) {
  const [, script, ...args] = argv;
  const loaded = process.moduleLoadList.length;
  const cached = new Set(Object.keys(Module._cache));
  const exitCode = require(script).main(args);
  for (const name of Object.keys(Module._cache)) if (!cached.has(name)) delete Module._cache[name];
  for (const request of Object.keys(Module._pathCache)) delete Module._pathCache[request];
  process.moduleLoadList.length = loaded;
  fs.writeSync(CONTROL_FD, Uint8Array.of('E'.charCodeAt(0), exitCode));
}

/** Waits for the run, puts its values where a cold start has them, and returns the absolute path of its entry. */
function takeTheRun() {
  fs.writeSync(CONTROL_FD, 'R');
  let start = readStart();
  for (; start.stage !== undefined; start = readStart()) doStage(start);
  fs.closeSync(CONTROL_FD);
  process.chdir(start.cwd);
  if (start.tty !== null) openTerminal(start.tty);
  replaceEnvironment(start.env);
  const main = path.resolve(start.entry);
  process.argv.splice(1, Infinity, main, ...start.args);
  return main;
}

/**
 * Compiles what a first output needs, which takes longer than a small program runs. It starts nothing: no handle, no tick, no asynchronous
 * id. process.moduleLoadList, which nothing in Node reads, goes back to what it was.
 */
function warmUp() {
  const loaded = process.moduleLoadList.length;
  const { Console } = require('node:console');
  const { Socket } = require('node:net');
  const { Writable } = require('node:stream');
  new Socket({ readable: false, writable: true });
  // Its own choice of colours would ask process.stderr, and that must not come to be before the run has its terminal.
  new Console({ stdout: new Writable({ write() {} }), colorMode: false }).log('%s', 'text', { nested: [1, 'a', null] });
  for (const preloaded of process._preload_modules) if (preloaded !== __filename) require(preloaded).warmUp?.();
  process.moduleLoadList.length = loaded;
}

// In a worker, and only there, chdir is disabled. (Loading `worker_threads` to ask would leave it in process.moduleLoadList.)
const isMainThread = !process.chdir.disabled;
if (isMainThread) warmUp();
hidePreload();
if (isMainThread) {
  const original = Object.getOwnPropertyDescriptor(Module, 'runMain');
  Object.defineProperty(Module, 'runMain', {
    configurable: true,
    enumerable: original.enumerable,
    get() {
      const main = takeTheRun();
      Object.defineProperty(Module, 'runMain', original);
      return original.value.bind(Module, main);
    },
  });
}
