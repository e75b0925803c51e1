/**
 * One installation, from a manifest to a volume that holds what it names. Start reading at `install`.
 * Nothing in here trusts what runs in the container that installs: it is somebody else's program with a way out.
 */
import { randomInt } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import tar from 'tar-stream';
import { type Agent, type AgentExit, AgentGone, type StageStart } from '../agent/agent.ts';
import { execWithin } from '../bounded.ts';
import { type Config, registryOf } from '../config.ts';
import { type ContainerSpec, RUN_UIDS } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import { Sandbox } from '../pool/sandbox.ts';
import { CHANNEL, CodeRunnerError, formatBytes, formatDuration, STDIN_WINDOW_BYTES } from '../protocol/index.ts';
import { hostCertificates, type Images, PROXY } from '../runtimes/images.ts';
import type { Installation, Runtime } from '../runtimes/runtime.ts';
import { EGRESS_MEMORY, Egress, type EgressProblems } from './egress.ts';
import type { Manifest } from './manifest.ts';

const MiB = 2 ** 20;
const PIDS = 256;
/** Of the container that writes the volume. */
const STORE_MEMORY = 256 * MiB;
/** Files of one layer; a large web project has some 100,000. */
const LAYER_FILES = 300_000;
const TMP_FILES = 100_000;
/** What a package manager may print. */
const OUTPUT_BYTES = 8 * MiB;
/** Where messages that explain a failure are looked for. */
const TAIL_CHARACTERS = 64 * 1024;
/** After so long without a word, a run says that it still installs. */
const QUIET_MS = 5_000;
/** What was printed may be made to keep the daemon busy. */
const MATCH_WITHIN_MS = 100;
/** The last clock is outside the container. */
const OVERTIME_MS = 3_000;
/** Copying what was installed. */
const SAVE_WITHIN_MS = 10 * 60_000;
const WORKSPACE = '/workspace';
const CA_FILE = '.coderunner-ca.crt';
const ENV = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/tmp',
  TMPDIR: '/tmp',
  USER: 'sandbox',
  LANG: 'C.UTF-8',
};

/** Why there are no packages, for the person who started the run. */
export class InstallFailure extends Error {
  override readonly name = 'InstallFailure';
  readonly state: 'install_failed' | 'timed_out' | 'out_of_memory' | 'output_limit';
  readonly error: CodeRunnerError;
  /** How the stage ended, where it did. */
  readonly exit: AgentExit | undefined;

  constructor(state: InstallFailure['state'], error: CodeRunnerError, exit?: AgentExit) {
    super(error.message);
    this.state = state;
    this.error = error;
    this.exit = exit;
  }
}

export interface InstallContext {
  config: Config;
  engine: Engine;
  images: Images;
  runtime: Runtime;
  installation: Installation;
  manifest: Manifest;
  /** Names the network while it installs, and the volume, which must not exist yet. */
  volume: string;
  labels: Record<string, string>;
  signal: AbortSignal;
  print(text: string): void;
}

export interface Installed {
  exit: AgentExit;
  sizeBytes: number;
}

/** What the containers that install may come to use together, in bytes. */
export function memoryToInstall(config: Config): number {
  return config.installMemory + STORE_MEMORY + EGRESS_MEMORY;
}

/**
 * Installs into a new volume. Leaves no container and no network behind, and where it fails no volume.
 * @throws InstallFailure; CodeRunnerError where the engine or the proxy's image fails; the signal's reason when aborted
 */
export async function install(context: InstallContext): Promise<Installed> {
  const { engine, config, images, volume, labels, signal } = context;
  await using stack = new AsyncDisposableStack();
  await prepareProxy(context);
  await engine.createInternalNetwork(volume, labels);
  stack.defer(() => engine.removeNetwork(volume));
  const common = { engine, config, image: images.tag(PROXY), network: volume, labels, signal };
  const [sandbox, egress] = await bothOrNone(Sandbox.create(engine, workshop(context), signal), Egress.start(common));
  stack.use(egress);
  stack.use(sandbox);
  const stop = () => sandbox.agent.close('The installation was stopped.');
  signal.addEventListener('abort', stop, { once: true });
  stack.defer(() => signal.removeEventListener('abort', stop));
  signal.throwIfAborted();
  try {
    const tools = new Tools(sandbox, context);
    await tools.sendFiles();
    await egress.allow(await tools.registries(), config);
    const exit = await tools.install(egress);
    return { exit, sizeBytes: await save(sandbox.agent, context) };
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

async function prepareProxy({ images, signal, print }: InstallContext): Promise<void> {
  if ((await images.state(PROXY)) === 'ready') return;
  print('Building the proxy to the package registries, once.\n');
  await images.buildProxy({ onProgress() {}, signal });
}

/** Both, or neither: one that came up is disposed of where the other did not. */
async function bothOrNone<A extends AsyncDisposable, B extends AsyncDisposable>(
  a: Promise<A>,
  b: Promise<B>,
): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b]);
  if (first.status === 'fulfilled' && second.status === 'fulfilled') return [first.value, second.value];
  for (const one of [first, second]) if (one.status === 'fulfilled') await one.value[Symbol.asyncDispose]();
  throw first.status === 'rejected' ? first.reason : (second as PromiseRejectedResult).reason;
}

/** The container that installs. What it installs is in memory, whose limits the kernel keeps. */
function workshop({ config, images, runtime, labels, volume }: InstallContext): ContainerSpec {
  return {
    image: images.tag(runtime),
    labels,
    command: [],
    user: randomInt(RUN_UIDS),
    memoryBytes: config.installMemory,
    pids: PIDS,
    cpus: config.cpus,
    workspaceBytes: config.layerBytes,
    workspaceFiles: LAYER_FILES,
    tmpBytes: config.layerBytes,
    tmpFiles: TMP_FILES,
    network: volume,
    ...(config.ociRuntime ? { ociRuntime: config.ociRuntime } : {}),
  };
}

/** The package manager in its container. */
class Tools {
  readonly #sandbox: Sandbox;
  readonly #context: InstallContext;
  #tail = '';

  constructor(sandbox: Sandbox, context: InstallContext) {
    this.#sandbox = sandbox;
    this.#context = context;
    // All that may be under way at the end fits into the window of what is saved.
    sandbox.agent.credit(STDIN_WINDOW_BYTES);
  }

  /** The manifest and its companions, and nothing else of the run. */
  async sendFiles(): Promise<void> {
    const { config, manifest } = this.#context;
    // Where no file of the machine's is known, those that came with Node are as good as any.
    const certificates = (await hostCertificates(config)) ?? rootCertificates.join('\n');
    const pack = tar.pack();
    for (const { path, bytes } of manifest.files) pack.entry({ name: path, mode: 0o644 }, bytes);
    pack.entry({ name: CA_FILE, mode: 0o644 }, certificates);
    pack.finalize();
    await this.#sandbox.agent.sendFiles(pack as AsyncIterable<Buffer>);
  }

  /** Where packages come from: what the settings say, else what the tool itself says. */
  async registries(): Promise<URL[]> {
    const { installation, config } = this.#context;
    const mirrors = mirrorsOf(config, installation.tool);
    if (mirrors.length > 0) return mirrors;
    let printed = '';
    const exit = await this.#stage('registries', installation.registries, WORKSPACE, {}, (text) => {
      printed += text;
    });
    const addresses = printed.split('\n').flatMap((line) => (URL.canParse(line.trim()) ? [new URL(line.trim())] : []));
    if (exit.exitCode === 0 && addresses.length > 0) return addresses;
    throw new CodeRunnerError(
      'bad_runtime',
      `${installation.tool} does not say where its packages come from: ${printed.trim()}`,
    );
  }

  /** @throws InstallFailure */
  async install(egress: Egress): Promise<AgentExit> {
    const { config, installation, manifest, print } = this.#context;
    const [mirror] = mirrorsOf(config, installation.tool);
    const env = {
      CODERUNNER_REGISTRY: mirror?.href ?? '',
      CODERUNNER_CA: `${WORKSPACE}/${CA_FILE}`,
      CODERUNNER_INSTALL_SCRIPTS: config.installScripts,
      HTTP_PROXY: egress.url,
      HTTPS_PROXY: egress.url,
      http_proxy: egress.url,
      https_proxy: egress.url,
    };
    const argv = installation.argv.map((item) => (item === '${manifest}' ? manifest.name : item));
    const cwd = manifest.folder === '' ? '/workspace' : `/workspace/${manifest.folder}`;
    const began = performance.now();
    // Some package managers say nothing for minutes.
    const progress = setInterval(() => print(`… ${formatDuration(Math.round(performance.now() - began))}\n`), QUIET_MS);
    const exit = await this.#stage('install', argv, cwd, env, (text) => {
      progress.refresh();
      this.#tail = (this.#tail + text).slice(-TAIL_CHARACTERS);
      print(text);
    }).finally(() => clearInterval(progress));
    if (exit.cause === 'exit' && exit.exitCode === 0) return exit;
    throw explain(exit, this.#tail, egress.problems, this.#context);
  }

  async #stage(
    stage: string,
    argv: readonly string[],
    cwd: string,
    env: Record<string, string>,
    take: (text: string) => void,
  ): Promise<AgentExit> {
    const { agent } = this.#sandbox;
    const { config } = this.#context;
    const decoder = new TextDecoder();
    agent.onOutput = (_channel, bytes) => {
      agent.credit(bytes.length);
      take(decoder.decode(bytes, { stream: true }));
    };
    const wallMs = config.installWall;
    const overtime = setTimeout(() => agent.close(OVERTIME), wallMs + OVERTIME_MS);
    try {
      const ending = agent.runStage({
        ...stageOf(stage, argv, cwd),
        env: { ...ENV, ...env },
        limits: { wallMs, cpuMs: wallMs, outputBytes: OUTPUT_BYTES, fileBytes: config.layerBytes, openFiles: 1024 },
      });
      agent.stdin(new Uint8Array(0), true);
      return await ending;
    } catch (error) {
      if (await this.#sandbox.ranOutOfMemory().catch(() => false)) throw outOfMemory(config);
      if (!(error instanceof AgentGone) || this.#context.signal.aborted) throw error;
      throw error.message === OVERTIME ? tookTooLong(config) : wentAway();
    } finally {
      clearTimeout(overtime);
    }
  }
}

const OVERTIME = 'The sandbox did not end the installation in time.';

function mirrorsOf(config: Config, tool: string): URL[] {
  return config.registries.flatMap((item) => {
    const registry = registryOf(item);
    return registry?.tool === tool ? [registry.url] : [];
  });
}

function stageOf(stage: string, argv: readonly string[], cwd = WORKSPACE): StageStart {
  return {
    stage,
    argv: [...argv],
    env: ENV,
    cwd,
    tty: null,
    warm: null,
    limits: {
      wallMs: SAVE_WITHIN_MS,
      cpuMs: SAVE_WITHIN_MS,
      outputBytes: MiB,
      fileBytes: MiB,
      openFiles: 1024,
    },
  };
}

/** Copies what was installed into a new volume. @returns how many bytes that are */
async function save(source: Agent, context: InstallContext): Promise<number> {
  const { engine, volume, labels } = context;
  await engine.createVolume(volume, labels);
  try {
    return await copy(source, context);
  } catch (error) {
    await engine.removeVolume(volume);
    throw error;
  }
}

/**
 * Everything that was started while it was installed has been killed by now; what packs and what unpacks is Debian's own tar, in
 * two containers, and the daemon only passes the bytes on.
 */
async function copy(source: Agent, context: InstallContext): Promise<number> {
  const { config, manifest, installation, signal } = context;
  await using sandbox = await Sandbox.create(context.engine, storehouse(context), signal);
  const target = sandbox.agent;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(SAVE_WITHIN_MS)]);
  const stop = () => {
    source.close('The packages were not saved in time.');
    target.close('The packages were not saved in time.');
  };
  limit.addEventListener('abort', stop, { once: true });
  limit.throwIfAborted();
  await target.sendFiles(emptyArchive());
  const folder = ['/workspace', manifest.folder, installation.output].filter((part) => part !== '').join('/');
  const packing = stageOf('pack', [TAR, '--create', '--file=-', '--mode=a+rX,u+w', `--directory=${folder}`, '.']);
  const unpacking = stageOf('unpack', [TAR, '--extract', '--file=-', '--no-same-owner', '--directory=/workspace']);
  // An archive has headers; a file with holes would be more than there was room for.
  packing.limits.outputBytes = 2 * config.layerBytes + 64 * MiB;
  unpacking.limits.fileBytes = config.layerBytes;
  let sizeBytes = 0;
  let said = '';
  source.onOutput = (channel, bytes) => {
    if (channel === CHANNEL.stdout) {
      sizeBytes += bytes.length;
      target.stdin(bytes);
    } else {
      source.credit(bytes.length);
      said += bytes.toString('utf8');
    }
  };
  target.onStdinCredit = (bytes) => source.credit(bytes);
  target.onOutput = (_channel, bytes) => {
    said += bytes.toString('utf8');
  };
  target.credit(64 * 1024);
  const unpacked = target.runStage(unpacking);
  unpacked.catch(() => {}); // awaited below, after what feeds it
  const { cause, exitCode } = await source.runStage(packing);
  target.stdin(new Uint8Array(0), true);
  const isWritten = (await unpacked).exitCode === 0;
  limit.removeEventListener('abort', stop);
  if (cause === 'output') throw tooLarge(config);
  if (exitCode === 0 && isWritten) return sizeBytes;
  throw new CodeRunnerError('engine_error', `The installed packages could not be saved: ${said.trim().slice(-500)}`);
}

/** The container that writes the volume, and does nothing else. */
function storehouse({ config, images, runtime, labels, volume }: InstallContext): ContainerSpec {
  return {
    image: images.tag(runtime),
    labels,
    command: [],
    // The one that owns /workspace in the image, and so the volume.
    user: 0,
    memoryBytes: STORE_MEMORY,
    pids: 16,
    cpus: config.cpus,
    workspaceBytes: MiB,
    workspaceFiles: 100,
    tmpBytes: MiB,
    mounts: [{ volume, target: '/workspace', readOnly: false }],
    ...(config.ociRuntime ? { ociRuntime: config.ociRuntime } : {}),
  };
}

function emptyArchive(): AsyncIterable<Buffer> {
  const pack = tar.pack();
  pack.finalize();
  return pack as AsyncIterable<Buffer>;
}

const TAR = '/usr/bin/tar';

function explain(
  exit: AgentExit,
  printed: string,
  problems: EgressProblems,
  { config, installation, manifest }: InstallContext,
): InstallFailure {
  switch (exit.cause) {
    case 'wall':
    case 'cpu':
      return tookTooLong(config, exit);
    case 'oom':
      return outOfMemory(config, exit);
    case 'output':
      return new InstallFailure(
        'output_limit',
        new CodeRunnerError('install_failed', `Stopped: installing printed more than ${formatBytes(OUTPUT_BYTES)}.`),
        exit,
      );
    case 'exit':
    case 'signal': {
      const error =
        unreachable(problems, installation.tool) ??
        (/no space left on device|ENOSPC|file too large|EFBIG/i.test(printed) ? tooLarge(config).error : undefined) ??
        known(printed, installation) ??
        new CodeRunnerError('install_failed', `The packages of ${manifest.name} could not be installed.`, {
          hint: `What ${installation.tool} printed says why.`,
        });
      return new InstallFailure('install_failed', error, exit);
    }
  }
}

/** What the proxy saw tells more surely than what the tool makes of it. */
function unreachable({ refused, unreachable: lost }: EgressProblems, tool: string): CodeRunnerError | undefined {
  if (lost.size > 0) {
    return new CodeRunnerError(
      'registry_unreachable',
      `The package registry ${[...lost].join(', ')} cannot be reached.`,
    );
  }
  if (refused.size > 0) {
    const hosts = [...refused].join(', ');
    return new CodeRunnerError(
      'registry_unreachable',
      `${tool} asked ${hosts}, which is none of the registries that may be used here.`,
      {
        hint: `If packages come from there, say so to the daemon: CODERUNNER_REGISTRIES=${tool}=https://….`,
      },
    );
  }
  return undefined;
}

const UNTRUSTED =
  /self.signed.certificate|unable to (?:get|verify).{0,40}certificate|certificate.verif|unknown authority|SSL certificate problem/i;

function known(printed: string, { failures, tool }: Installation): CodeRunnerError | undefined {
  if (UNTRUSTED.test(printed)) {
    return new CodeRunnerError(
      'registry_unreachable',
      `${tool} does not trust the certificate of the package registry.`,
      {
        hint: 'The network inspects TLS with an authority of its own: name the file with its certificate in CODERUNNER_CA_FILE.',
      },
    );
  }
  for (const { pattern, message, hint } of failures) {
    const match = execWithin(MATCH_WITHIN_MS, pattern, printed);
    if (!match) continue;
    const sentence = message.replaceAll(/\$(\d)/g, (_, group: string) => match[Number(group)] ?? '');
    return new CodeRunnerError('install_failed', sentence, hint === undefined ? {} : { hint });
  }
  return undefined;
}

function tookTooLong(config: Config, exit?: AgentExit): InstallFailure {
  const message = `Stopped: installing the packages took longer than ${formatDuration(config.installWall)} (CODERUNNER_INSTALL_WALL).`;
  return new InstallFailure('timed_out', new CodeRunnerError('install_failed', message), exit);
}

function wentAway(): InstallFailure {
  const message = 'The container that installs the packages went away, or the container engine did.';
  return new InstallFailure('install_failed', new CodeRunnerError('engine_error', message));
}

function outOfMemory(config: Config, exit?: AgentExit): InstallFailure {
  const message = `Stopped: installing the packages used more than ${formatBytes(config.installMemory)} of memory (CODERUNNER_INSTALL_MEMORY).`;
  return new InstallFailure('out_of_memory', new CodeRunnerError('install_failed', message), exit);
}

function tooLarge(config: Config): InstallFailure {
  const message = `The packages take more than ${formatBytes(config.layerBytes)} or ${LAYER_FILES.toLocaleString('en')} files (CODERUNNER_LAYER_BYTES).`;
  return new InstallFailure('install_failed', new CodeRunnerError('install_failed', message));
}
