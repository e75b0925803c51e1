/**
 * Bundles the three programs: the daemon with its command line, the VS Code extension, and the console.
 *
 *   node esbuild.mjs            builds once
 *   node esbuild.mjs --watch    builds at every change, until it is stopped
 */
import { chmod, cp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import esbuild from 'esbuild';

const ROOT = dirname(fileURLToPath(import.meta.url));
const SWAGGER_UI = dirname(createRequire(join(ROOT, 'daemon/package.json')).resolve('@fastify/swagger-ui'));

/** @type {import('esbuild').BuildOptions} */
const common = {
  absWorkingDir: ROOT,
  bundle: true,
  sourcemap: true,
  sourcesContent: false,
  legalComments: 'linked',
  logLevel: 'warning',
};

/** @type {import('esbuild').BuildOptions} */
const daemon = {
  ...common,
  entryPoints: [{ in: 'daemon/src/cli/main.ts', out: 'coderunner' }],
  outdir: 'daemon/dist',
  outExtension: { '.js': '.mjs' },
  // Each command in chunks of its own, so that `run` does not wait until the server is read.
  splitting: true,
  chunkNames: '[name]-[hash]',
  metafile: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  // What the dependencies that are CommonJS expect to have around them.
  banner: {
    js: `#!/usr/bin/env node
import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;`,
  },
  external: ['./ssh.cjs'],
  plugins: [
    // dockerode's BuildKit sessions bring gRPC and protobuf: a megabyte that we never call.
    replace('dockerode/lib/session.js', /^[\s\S]*$/, 'module.exports = undefined;'),
    replace('dockerode/lib/buildkit.js', /^[\s\S]*$/, 'module.exports = {};'),
    // Only an engine behind ssh:// needs ssh2; it has a file of its own.
    replace('docker-modem/lib/modem.js', "ssh = require('./ssh')", "ssh = (options) => require('./ssh.cjs')(options)"),
    // Fastify's own validators and serializers, which the daemon replaces.
    replace('@fastify/ajv-compiler/index.js', /^[\s\S]*$/, 'module.exports = () => undefined;'),
    replace('@fastify/fast-json-stringify-compiler/index.js', /^[\s\S]*$/, 'module.exports = () => undefined;'),
    // The page of the API reads its files from its own package; here they are beside the bundle.
    replace('@fastify/swagger-ui/lib/routes.js', "__dirname, '..', 'static'", "__dirname, 'static'"),
    after(() => cp(join(SWAGGER_UI, 'static'), join(ROOT, 'daemon/dist/static'), { recursive: true })),
    after(() => chmod(join(ROOT, 'daemon/dist/coderunner.mjs'), 0o755)),
    after(removeStaleChunks),
  ],
};

/** @type {import('esbuild').BuildOptions} */
const ssh = {
  ...common,
  entryPoints: { ssh: 'node_modules/docker-modem/lib/ssh.js' },
  outdir: 'daemon/dist',
  outExtension: { '.js': '.cjs' },
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  minify: true,
  // Native speed-ups of ssh2, which does without them.
  external: ['cpu-features', '*.node'],
};

/** @type {import('esbuild').BuildOptions} */
const extension = {
  ...common,
  entryPoints: ['extension/src/extension.ts'],
  // VS Code requires it, while the package's own files are modules.
  outfile: 'extension/dist/extension.cjs',
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
  outfile: 'extension/dist/language.cjs',
};

/** @type {import('esbuild').BuildOptions} */
const webview = {
  ...common,
  entryPoints: ['webview-ui/src/main.ts', 'webview-ui/src/style.css'],
  outdir: 'webview-ui/dist',
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
 * @param {string | RegExp} from
 * @param {string} to
 * @returns {import('esbuild').Plugin}
 */
function replace(file, from, to) {
  return {
    name: `replace in ${file}`,
    setup: ({ onLoad }) =>
      onLoad({ filter: new RegExp(`/node_modules/${RegExp.escape(file)}$`) }, async ({ path }) => {
        const source = await readFile(path, 'utf8');
        const contents = source.replace(from, to);
        return contents === source ? { errors: [{ text: `${path} no longer contains ${from}` }] } : { contents };
      }),
  };
}

/**
 * Chunks carry their hash in their name, so earlier builds' stay behind.
 * @param {import('esbuild').BuildResult} result
 */
async function removeStaleChunks({ metafile }) {
  const dist = join(ROOT, 'daemon/dist');
  const fresh = new Set(Object.keys(metafile?.outputs ?? {}).map((path) => join(ROOT, path)));
  for (const name of await readdir(dist))
    if (/\.mjs(\.|$)/.test(name) && !fresh.has(join(dist, name))) await rm(join(dist, name));
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

// The parts that a program is split into are named after what is in them: those of another build would stay.
await rm(join(ROOT, 'daemon/dist'), { recursive: true, force: true });
const programs = [daemon, ssh, extension, languageClient, webview];
if (process.argv.includes('--watch')) {
  for (const program of programs) {
    const context = await esbuild.context({ ...program, plugins: [...(program.plugins ?? []), announce] });
    await context.watch();
  }
} else {
  // esbuild has said what is wrong; a stack trace would only hide it.
  const results = await Promise.allSettled(programs.map((program) => esbuild.build(program)));
  if (results.some(({ status }) => status === 'rejected')) process.exitCode = 1;
}
