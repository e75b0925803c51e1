/**
 * The only way out of a container that installs: a network of its own, on which there is nothing but a proxy that lets
 * requests to registries through. Debian's tinyproxy, in a container as hardened as any.
 */
import { randomInt } from 'node:crypto';
import tar from 'tar-stream';
import type { Config } from '../config.ts';
import { RUN_UIDS } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import { Sandbox } from '../pool/sandbox.ts';
import { CHANNEL, CodeRunnerError } from '../protocol/index.ts';

const PORT = 8888;
/** Docker's own network, which leads outside. Podman calls it otherwise. */
const OUTSIDE = { Docker: 'bridge', Podman: 'podman' };
const MiB = 2 ** 20;
const OUTPUT_BYTES = 16 * MiB;
/** Of the proxy's container, in bytes. */
export const EGRESS_MEMORY = 64 * MiB;
const MOST_PROBLEMS = 5;

/** What the proxy refused or could not reach, as `host` or `host:port`. */
export interface EgressProblems {
  readonly refused: ReadonlySet<string>;
  readonly unreachable: ReadonlySet<string>;
}

export interface EgressOptions {
  engine: Engine;
  config: Config;
  image: string;
  network: string;
  labels: Record<string, string>;
  signal: AbortSignal;
}

/** A proxy that runs; the container is gone when it was disposed of. */
export class Egress implements AsyncDisposable {
  readonly #sandbox: Sandbox;
  readonly #address: string;
  readonly problems = { refused: new Set<string>(), unreachable: new Set<string>() };

  private constructor(sandbox: Sandbox, address: string) {
    this.#sandbox = sandbox;
    this.#address = address;
  }

  /** Starts the container on the network; it lets nothing through before {@link Egress.allow}. */
  static async start({ engine, config, image, network, labels, signal }: EgressOptions): Promise<Egress> {
    const spec = {
      image,
      labels,
      command: [],
      user: randomInt(RUN_UIDS),
      memoryBytes: EGRESS_MEMORY,
      pids: 32,
      cpus: config.cpus,
      workspaceBytes: MiB,
      workspaceFiles: 100,
      tmpBytes: MiB,
      network,
      resolvesNames: true,
      ...(config.ociRuntime ? { ociRuntime: config.ociRuntime } : {}),
    };
    const sandbox = await Sandbox.create(engine, spec, signal);
    try {
      const address = await engine.addressOf(sandbox.id, network);
      await engine.connectNetwork(engine.name.startsWith('Podman') ? OUTSIDE.Podman : OUTSIDE.Docker, sandbox.id);
      return new Egress(sandbox, address);
    } catch (error) {
      await sandbox.dispose();
      throw error;
    }
  }

  /** Where tools find the proxy. */
  get url(): string {
    return `http://${this.#address}:${PORT}`;
  }

  /**
   * Lets requests to these registries through, and nothing else. Resolves when the proxy serves.
   * @throws CodeRunnerError engine_error
   */
  async allow(registries: readonly URL[], config: Config): Promise<void> {
    const { agent } = this.#sandbox;
    await agent.sendFiles(
      archive({ 'tinyproxy.conf': this.#settings(registries, config), allow: allowList(registries) }),
    );
    const serving = Promise.withResolvers<void>();
    let line = '';
    agent.onOutput = (channel, bytes) => {
      agent.credit(bytes.length);
      if (channel !== CHANNEL.stdout && channel !== CHANNEL.stderr) return;
      const lines = (line + bytes.toString('utf8')).split('\n');
      line = lines.pop() ?? '';
      for (const text of lines) {
        if (text.includes('Accepting connections')) serving.resolve();
        this.#note(text);
      }
    };
    agent.credit(64 * 1024);
    const wallMs = config.installWall * 2;
    const ended = agent.runStage({
      stage: 'proxy',
      argv: ['/usr/bin/tinyproxy', '-d', '-c', '/workspace/tinyproxy.conf'],
      env: {},
      cwd: '/workspace',
      tty: null,
      warm: null,
      limits: { wallMs, cpuMs: wallMs, outputBytes: OUTPUT_BYTES, fileBytes: MiB, openFiles: 1024 },
    });
    await Promise.race([
      serving.promise,
      ended.then(
        () => Promise.reject(new CodeRunnerError('engine_error', 'The proxy to the package registries did not start.')),
        (error) => Promise.reject(error),
      ),
    ]);
    ended.catch(() => {}); // it ends when it is disposed of
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#sandbox.dispose();
  }

  /** What tinyproxy logs of requests that lead nowhere. */
  #note(line: string): void {
    const refused = /refused on filtered (?:url|domain) "(?:\w+:\/\/)?([\w.:[\]-]+)/.exec(line)?.[1];
    addSome(this.problems.refused, refused);
    const unreachable =
      /Could not (?:establish a connection to|retrieve address info for|retrieve info for) "?([\w.-]+)/i.exec(
        line,
      )?.[1] ?? /Unable to connect to (?:upstream proxy|host) "?([\w.-]+)/i.exec(line)?.[1];
    addSome(this.problems.unreachable, unreachable);
  }

  #settings(registries: readonly URL[], config: Config): string {
    const ports = new Set(registries.filter(({ protocol }) => protocol === 'https:').map((url) => url.port || '443'));
    const upstream = config.registryProxy;
    return [
      `Port ${PORT}`,
      `Listen ${this.#address}`,
      'Timeout 120',
      'MaxClients 100',
      'LogLevel Info',
      'DisableViaHeader Yes',
      'FilterURLs On',
      'FilterType ere',
      'FilterDefaultDeny Yes',
      'Filter "/workspace/allow"',
      // 0: no CONNECT at all, where no registry speaks TLS
      ...(ports.size > 0 ? [...ports].map((port) => `ConnectPort ${port}`) : ['ConnectPort 0']),
      ...(upstream ? [`Upstream http ${upstream.replace(/^http:\/\//, '').replace(/\/$/, '')}`] : []),
      '',
    ].join('\n');
  }
}

/** The first few tell enough; a script can ask for a million, and they end in a sentence. */
function addSome(names: Set<string>, name: string | undefined): void {
  if (name !== undefined && names.size < MOST_PROBLEMS) names.add(name.slice(0, 255));
}

/** One expression a registry, for what tinyproxy compares: `host:port` of a tunnel, else the whole address. */
function allowList(registries: readonly URL[]): string {
  const literal = (text: string) => text.replace(/[.\\+*?^${}()|[\]]/g, '\\$&');
  return registries
    .map(({ protocol, hostname, port }) =>
      protocol === 'https:'
        ? `^${literal(hostname)}:${port || '443'}$\n`
        : `^http://${literal(hostname)}${port ? `:${port}` : '(:80)?'}/\n`,
    )
    .join('');
}

function archive(files: Record<string, string>): AsyncIterable<Uint8Array> {
  const pack = tar.pack();
  for (const [name, text] of Object.entries(files)) pack.entry({ name, mode: 0o644 }, text);
  pack.finalize();
  return pack as AsyncIterable<Buffer>;
}
