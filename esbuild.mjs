/**
 * Bundles the three programs: the daemon with its command line, the VS Code extension, and the console.
 *
 *   node esbuild.mjs                   builds once
 *   node esbuild.mjs --watch           builds at every change, until it is stopped
 *   node esbuild.mjs --release FOLDER  builds below FOLDER what is given to people: without source maps
 */
import { cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import esbuild from 'esbuild';

const ROOT = dirname(fileURLToPath(import.meta.url));
const SWAGGER_UI = dirname(createRequire(join(ROOT, 'daemon/package.json')).resolve('@fastify/swagger-ui'));
const { values: options } = parseArgs({ options: { watch: { type: 'boolean' }, release: { type: 'string' } } });
/** Where everything is written, by the same paths as in the repository. */
const OUT = resolve(options.release ?? ROOT);
/** Daemons of earlier builds still read parts that they have not needed so far. */
const STALE_AFTER_MS = 24 * 60 * 60_000;

/** @type {import('esbuild').BuildOptions} */
const common = {
  absWorkingDir: ROOT,
  bundle: true,
  sourcemap: options.release === undefined,
  sourcesContent: false,
  legalComments: 'linked',
  write: false,
  logLevel: 'warning',
};

/** @type {import('esbuild').BuildOptions} */
const daemon = {
  ...common,
  entryPoints: [{ in: 'daemon/src/cli/main.ts', out: 'coderunner' }],
  outdir: join(OUT, 'daemon/dist'),
  outExtension: { '.js': '.mjs' },
  // Each command in chunks of its own, so that `run` does not wait until the server is read.
  splitting: true,
  chunkNames: '[name]-[hash]',
  platform: 'node',
  target: 'node24',
  format: 'esm',
  // What the dependencies that are CommonJS expect to have around them.
  banner: {
    js: `#!/usr/bin/env node
import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;`,
  },
  // The form of it that Node takes names its own parts in a way that no bundler can follow.
  alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
  plugins: [
    // dockerode's BuildKit sessions bring gRPC and protobuf: a megabyte that we never call.
    replace('dockerode/lib/session.js', [/^[\s\S]*$/, 'module.exports = undefined;']),
    replace('dockerode/lib/buildkit.js', [/^[\s\S]*$/, 'module.exports = {};']),
    replace(
      'docker-modem/lib/modem.js',
      // An engine behind ssh:// is reached by the ssh of the machine.
      ["ssh = require('./ssh')", 'ssh = undefined'],
      // Each request would be written out in full for a log that nobody keeps.
      [/debug\('Sending: %s', util\.inspect\([\s\S]*?\}\)\);/, ''],
    ),
    // Fastify's own validators and serializers, which the daemon replaces.
    replace('@fastify/ajv-compiler/index.js', [/^[\s\S]*$/, 'module.exports = () => undefined;']),
    replace('@fastify/fast-json-stringify-compiler/index.js', [/^[\s\S]*$/, 'module.exports = () => undefined;']),
    // The page of the API reads its files from its own package; here they are beside the bundle.
    replace('@fastify/swagger-ui/lib/routes.js', ["__dirname, '..', 'static'", "__dirname, 'static'"]),
    after(() => cp(join(SWAGGER_UI, 'static'), join(OUT, 'daemon/dist/static'), { recursive: true })),
    after(removeStaleChunks),
  ],
};

/** @type {import('esbuild').BuildOptions} */
const extension = {
  ...common,
  entryPoints: ['extension/src/extension.ts'],
  // VS Code requires it, while the package's own files are modules.
  outfile: join(OUT, 'extension/dist/extension.cjs'),
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  // A smaller file is read and compiled sooner, which is most of what activation takes.
  minify: true,
  external: ['vscode'],
  // As `require`, which is where VS Code puts its own module in.
  supported: { 'dynamic-import': false },
  plugins: [
    // Two thirds of the code, and loaded when a document first needs it.
    {
      name: 'language client apart',
      setup: ({ onResolve }) =>
        onResolve({ filter: /^\.\/client\.ts$/ }, ({ importer }) =>
          importer === join(ROOT, 'extension/src/language/server.ts')
            ? { path: './language.cjs', external: true }
            : undefined,
        ),
    },
  ],
};

/** @type {import('esbuild').BuildOptions} */
const languageClient = {
  ...extension,
  entryPoints: ['extension/src/language/client.ts'],
  outfile: join(OUT, 'extension/dist/language.cjs'),
  plugins: [
    // VS Code itself checks, by `engines` in package.json, that it is new enough.
    replace('semver/functions/parse.js', [/^[\s\S]*$/, 'module.exports = () => ({});']),
    replace('semver/functions/satisfies.js', [/^[\s\S]*$/, 'module.exports = () => true;']),
  ],
};

/** @type {import('esbuild').BuildOptions} */
const webview = {
  ...common,
  entryPoints: ['webview-ui/src/main.ts', 'webview-ui/src/style.css'],
  outdir: join(OUT, 'webview-ui/dist'),
  platform: 'browser',
  target: 'es2023',
  format: 'esm',
  minify: true,
  loader: { '.ttf': 'file' },
  assetNames: '[name]',
};

/**
 * Changes a dependency's file on its way into the bundle. The build fails when there is nothing to change any more.
 * @param {string} file as an import names it
 * @param {[from: string | RegExp, to: string][]} changes
 * @returns {import('esbuild').Plugin}
 */
function replace(file, ...changes) {
  return {
    name: `replace in ${file}`,
    setup: ({ onLoad }) =>
      onLoad({ filter: new RegExp(`/node_modules/${RegExp.escape(file)}$`) }, async ({ path }) => {
        let contents = await readFile(path, 'utf8');
        for (const [from, to] of changes) {
          const before = contents;
          contents = before.replace(from, to);
          if (contents === before) return { errors: [{ text: `${path} no longer contains ${from}` }] };
        }
        return { contents };
      }),
  };
}

/**
 * Puts each file in its place at once, what others refer to first: whoever starts or runs an earlier build meanwhile never
 * finds half a file, or a file that names one which is not there.
 * @param {import('esbuild').BuildResult} result
 */
async function publish({ outputFiles = [] }) {
  const isEntry = (/** @type {string} */ path) => /\/coderunner\.mjs$/.test(path);
  for (const { path, contents } of outputFiles.toSorted((a, b) => Number(isEntry(a.path)) - Number(isEntry(b.path)))) {
    await mkdir(dirname(path), { recursive: true });
    const next = `${path}.${process.pid}.new`;
    await writeFile(next, contents, { mode: isEntry(path) ? 0o755 : 0o644 });
    await rename(next, path);
  }
}

/**
 * Chunks carry their hash in their name, so earlier builds' stay behind.
 * @param {import('esbuild').BuildResult} result
 */
async function removeStaleChunks({ outputFiles = [] }) {
  const dist = join(OUT, 'daemon/dist');
  const fresh = new Set(outputFiles.map(({ path }) => path));
  for (const name of await readdir(dist)) {
    const path = join(dist, name);
    if (!/\.mjs(\.|$)/.test(name) || fresh.has(path)) continue;
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs > STALE_AFTER_MS) await rm(path);
  }
}

/**
 * Does something once the bundle is written.
 * @param {(result: import('esbuild').BuildResult) => Promise<void>} action
 * @returns {import('esbuild').Plugin}
 */
function after(action) {
  const name = 'after';
  return { name, setup: ({ onEnd }) => onEnd((result) => (result.errors.length === 0 ? action(result) : undefined)) };
}

/**
 * VS Code's problem matcher for watch tasks reads these lines (.vscode/tasks.json).
 * @type {import('esbuild').Plugin}
 */
const announce = {
  name: 'announce',
  setup({ initialOptions, onStart, onEnd }) {
    const { entryPoints } = initialOptions;
    onStart(() => console.log(`[watch] build started: ${entryPoints}`));
    onEnd(() => console.log(`[watch] build finished: ${entryPoints}`));
  },
};

const programs = [daemon, extension, languageClient, webview].map((program) => ({
  ...program,
  plugins: [after(publish), ...(program.plugins ?? [])],
}));
if (options.watch) {
  for (const program of programs) {
    const context = await esbuild.context({ ...program, plugins: [...program.plugins, announce] });
    await context.watch();
  }
} else {
  // esbuild has said what is wrong; a stack trace would only hide it.
  const results = await Promise.allSettled(programs.map((program) => esbuild.build(program)));
  if (results.some(({ status }) => status === 'rejected')) process.exitCode = 1;
}
