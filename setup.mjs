/**
 * Brings a fresh clone up, whatever is missing, and then runs a file in a sandbox:
 *
 *   node setup.mjs                       sets up, with the images of all languages
 *   node setup.mjs run FILE [ARGS…]      sets up, then `coderunner run FILE [ARGS…]`
 *
 * Runs on the machine's own Node, before any package is installed: nothing but Node 20's built-in modules may be used here. It
 * installs the packages, Node 24 among them, which does the rest in tools/setup.ts. All that set-up says goes to stderr, so that
 * stdout holds what the program prints.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(fileURLToPath(import.meta.url));
const NODE_24 = join(ROOT, 'node_modules/node/bin', process.platform === 'win32' ? 'node.exe' : 'node');
/** The first that knows abstract sockets, which the lock below is. */
const OLDEST_NODE = [20, 8];

/**
 * What a step of the set-up prints belongs on stderr. npm has put us into its folder; nothing of the set-up depends on
 * another.
 */
const TALK_ON_STDERR = { stdio: ['inherit', 2, 2], cwd: ROOT };
/** The program to run is the person's: it has stdin and stdout, and a file's name is meant from where the person is. */
const FOR_THE_PERSON = { stdio: 'inherit', cwd: process.env.INIT_CWD ?? process.cwd() };

const HELP = `Runs a file in a sandbox:

  npm start -- FILE [ARGS…]            for example: npm start -- examples/hello.py
  npm start --silent -- FILE [ARGS…]   the same, without npm's own lines on stdout
  npm test                             everything that is tested

The first time sets up what is missing: packages, a container engine (asks before it installs one), images.
All commands, once that is done: npx coderunner --help
`;

/** Ends set-up with a sentence for the person. */
class Refusal extends Error {}

const args = process.argv.slice(2);
if (args[0] === 'run' && args.length === 1) {
  process.stdout.write(HELP);
} else {
  try {
    process.exitCode = await main(args);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

/** @param {string[]} args */
async function main(args) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    throw new Refusal(
      `This is Node ${process.versions.node}; CodeRunner is set up with Node ${OLDEST_NODE.join('.')} or newer. Install a current one from your system's packages or nodejs.org.`,
    );
  const unlock = await lock();
  let failed;
  try {
    failed = (await packages()) || (await execute(NODE_24, [join(ROOT, 'tools/setup.ts'), ...args], TALK_ON_STDERR));
  } finally {
    unlock();
  }
  if (failed || args.length === 0) return failed;
  return execute(NODE_24, [join(ROOT, 'daemon/bin/coderunner.mjs'), ...forProgram(args)], FOR_THE_PERSON);
}

/** npm has eaten the `--` that told where the program's arguments begin: what follows the file is the program's. */
function forProgram([command, file, ...rest]) {
  return rest.length === 0 || file.startsWith('-') || rest.includes('--')
    ? [command, file, ...rest]
    : [command, file, '--', ...rest];
}

/**
 * Waits until no other set-up works in this folder. The lock is a socket that is listened on: the system frees it however its
 * holder ends, and who waits sees that as the end of a connection.
 * @returns {Promise<() => void>} what releases it
 */
async function lock() {
  const name = `coderunner-setup-${createHash('sha256').update(ROOT).digest('hex').slice(0, 16)}`;
  const address =
    { linux: `\0${name}`, win32: `\\\\.\\pipe\\${name}` }[process.platform] ?? join(tmpdir(), `${name}.sock`);
  for (let told = false; ; told = true) {
    const waiting = new Set();
    const server = createServer((socket) => waiting.add(socket.on('error', () => socket.destroy())));
    try {
      await once(server.listen(address), 'listening');
      return () => {
        server.close();
        for (const socket of waiting) socket.destroy();
      };
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error;
    }
    const holder = connect(address);
    holder.on('connect', () => told || process.stderr.write('Another set-up works here; waiting for it to end\n'));
    const end = await new Promise((resolve) => holder.on('error', resolve).on('close', resolve).resume());
    // Only a socket in the file system outlives its holder.
    if (end.code === 'ECONNREFUSED' && !address.startsWith('\0')) rmSync(address, { force: true });
  }
}

/** Installs the packages unless they are those of the lock file already. @returns an exit code */
async function packages() {
  if (installedIsLocked()) return 0;
  process.stderr.write('Installing packages (npm ci)\n');
  // Install scripts are run for the two packages that need theirs only, also by an npm too old to know `allowScripts`. npm's
  // warnings would be about this Node, which is not the one that will run the packages.
  const failed =
    (await npm('ci', '--ignore-scripts', '--loglevel=error')) ||
    (await npm('rebuild', 'node', 'esbuild', '--loglevel=error'));
  if (failed)
    process.stderr.write(
      'The packages could not be installed; npm says why above. Starting again goes on from here.\n',
    );
  return failed;
}

/** @param {string[]} args */
function npm(...args) {
  // The npm that started us, where one did; on Windows `npm` by itself is no program but a script of its shell.
  const { npm_execpath: self, npm_node_execpath: node = process.execPath } = process.env;
  // Not on our own Node: npm puts that of the packages first, and installing them anew takes it away under us.
  return self?.endsWith('.js')
    ? execute(node, [self, ...args], TALK_ON_STDERR)
    : execute('npm', args, { ...TALK_ON_STDERR, shell: process.platform === 'win32' });
}

/**
 * Whether node_modules holds what package-lock.json says, by npm's own account of what it installed. npm writes that last, so
 * that an installation which was broken off does not count.
 */
function installedIsLocked() {
  const account = join(ROOT, 'node_modules/.package-lock.json');
  if (!existsSync(account) || !existsSync(NODE_24)) return false;
  const installed = JSON.parse(readFileSync(account, 'utf8')).packages;
  const locked = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(locked).every(([path, { version, optional, link }]) => {
    if (!path.includes('node_modules/') || link) return true;
    return installed[path] ? installed[path].version === version : optional;
  });
}

/**
 * Runs a program to its end, passing signals on.
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 * @returns {Promise<number>} its exit code, or 128 + the signal that ended it, as shells say it
 */
function execute(command, args, options) {
  return new Promise((resolve, reject) => {
    // Ctrl-C at a terminal reaches the child by itself, and npm passes it to us once more: the child must see it once.
    const onInterrupt = () => hasTerminal() || child.kill('SIGINT');
    const onEnd = (signal) => child.kill(signal);
    // Before the start, so that no signal falls between the two.
    process.on('SIGINT', onInterrupt).on('SIGTERM', onEnd).on('SIGHUP', onEnd);
    const child = spawn(command, args, options);
    const settle = (done, value) => {
      process.off('SIGINT', onInterrupt).off('SIGTERM', onEnd).off('SIGHUP', onEnd);
      done(value);
    };
    child.on('error', ({ message }) => settle(reject, new Refusal(`${command} could not be started: ${message}.`)));
    child.on('exit', (code, signal) => settle(resolve, code ?? 128 + constants.signals[signal]));
  });
}

/** Whether a terminal controls this process; then its Ctrl-C goes to the whole process group. */
function hasTerminal() {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
