/**
 * The images of the languages: one Debian base, one with the agent, and of both one image a language. An image's tag is the
 * hash of all that it is built from, so it is built only when that changed, and two versions of CodeRunner never mix theirs
 * up.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough, Readable } from 'node:stream';
import type Docker from 'dockerode';
import tar from 'tar-stream';
import { BUNDLED_RUNTIMES, type Config } from '../config.ts';
import type { Engine } from '../engine/engine.ts';
import { CodeRunnerError } from '../protocol/index.ts';
import { lineOfStep, withAgent } from './dockerfile.ts';
import { describeFlaw } from './flaw.ts';
import type { Runtime } from './runtime.ts';
import { imageName, SERVICES_FOLDER, type Service } from './service.ts';

/** The Debian base when it was built here from packages, where no registry answers. */
export const OWN_DEBIAN = 'coderunner/debian:trixie';
const DEBIAN_RELEASE = 'trixie';
const IMAGE_LABEL = 'coderunner.image';
/** Several installations may share an engine, and images; each marks those that it uses with a tag that ends with its name. */
const INSTALLATION = createHash('sha256').update(BUNDLED_RUNTIMES).digest('hex').slice(0, 12);
/**
 * The images that those of the languages are made from. The agent has its own, so that another agent leaves a language's
 * packages as they are.
 */
const BASE = { id: 'base' };
const AGENT = { id: 'agent' };
/** What lets the containers that install packages reach the registries, and nothing else. */
export const PROXY = { id: 'proxy' };
const LAST_LINES = 20;

/** An image of ours: one of those above, or a language's, alone or with services on it. */
type ImageOf = Pick<Runtime, 'id'> & { readonly services?: readonly Pick<Service, 'id'>[] };

/** What a person may be shown while images are built. */
export interface BuildProgress {
  /** `base`, `agent`, or the name of a language's image. */
  image: string;
  /** The Dockerfile's step, where it is known. */
  step?: number;
  steps?: number;
  text: string;
}

export interface BuildOptions {
  onProgress(progress: BuildProgress): void;
  signal: AbortSignal;
  /** Builds also what is there already, and takes no step from the engine's cache. */
  force?: boolean;
  /** Leaves images of ours that these replace, for one who may go back to them. */
  keepReplaced?: boolean;
}

/** What the engine is sent to build an image from. */
interface Context {
  dockerfile: string;
  files: ContextFile[];
  /** Where the Dockerfile is, for people. */
  source: string;
}

interface ContextFile {
  path: string;
  bytes: Buffer;
  executable: boolean;
}

export class Images {
  readonly #config: Config;
  readonly #engine: () => Engine;
  readonly #installation: string;
  /** By {@link imageName}. */
  readonly #tags = new Map<string, string>();
  /** Images that were there when last asked; they are asked for again when a container could not be made. */
  readonly #ready = new Set<string>();
  /** Being looked for, by tag. */
  readonly #claims = new Map<string, Promise<boolean>>();

  /**
   * @param engine the present one; throws where there is none
   * @param installation who builds and uses the images, 12 hexadecimal digits
   */
  constructor(config: Config, engine: () => Engine, installation: string = INSTALLATION) {
    this.#config = config;
    this.#engine = engine;
    this.#installation = installation;
  }

  /** Works out the tags; to be called before anything else, and when there are other languages or images. */
  async prepare(runtimes: readonly Runtime[]): Promise<void> {
    this.#ready.clear();
    const set = (name: string, standsOn: string, files: ContextFile[]) => {
      const hash = digest([{ path: 'stands-on', bytes: Buffer.from(standsOn), executable: false }, ...files]);
      this.#tags.set(name, `coderunner/${name.replaceAll('+', '-')}:${hash}`);
    };
    set('base', this.#config.baseImage, await bundledFiles('base'));
    set('agent', this.tag(BASE), await bundledFiles('agent'));
    set('proxy', this.tag(AGENT), await bundledFiles('proxy'));
    for (const runtime of runtimes) {
      set(runtime.id, this.tag(AGENT), (await this.#context(runtime)).files);
      for (const services of combinations(runtime.offers)) {
        const below = { id: runtime.id, services: services.slice(0, -1) };
        set(imageName({ id: runtime.id, services }), this.tag(below), await serviceFiles(services.at(-1) as Service));
      }
    }
  }

  /** The image of a runtime, with its services, by name and hash. */
  tag(image: ImageOf): string {
    const tag = this.#tags.get(imageName(image));
    if (tag === undefined) throw new Error(`The tag of ${imageName(image)} was not prepared.`);
    return tag;
  }

  /** Whether the image is there. @throws CodeRunnerError engine_unavailable, engine_error */
  async state(image: ImageOf): Promise<'ready' | 'not_built'> {
    const tag = this.tag(image);
    if (this.#ready.has(tag)) return 'ready';
    // Those who ask meanwhile are answered with who asked first, and in their order: runs that were started one after the other stay so.
    const claim = this.#claims.get(tag) ?? this.#claim(tag).finally(() => this.#claims.delete(tag));
    this.#claims.set(tag, claim);
    if (!(await claim)) return 'not_built';
    this.#ready.add(tag);
    return 'ready';
  }

  /** Asks the engine again the next time. */
  doubt(image: ImageOf): void {
    this.#ready.delete(this.tag(image));
  }

  /**
   * Builds what is missing, base and agent first, one after the other, and removes images of ours that they replace.
   * @returns the names of what was built
   * @throws CodeRunnerError base_image_unavailable, build_failed; the signal's reason when aborted
   */
  async build(runtimes: readonly Runtime[], options: BuildOptions): Promise<string[]> {
    const { force = false } = options;
    const built: string[] = [];
    const missing = async (image: ImageOf) => force || (await this.state(image)) === 'not_built';
    const build = async (image: ImageOf, buildargs: Record<string, string>, context: Context) => {
      await this.#buildOne(image, buildargs, context, options);
      built.push(imageName(image));
    };
    const wanted: Runtime[] = [];
    for (const runtime of runtimes) if (await missing(runtime)) wanted.push(runtime);
    if (wanted.length === 0) return built;
    const args = { BASE: this.tag(BASE), AGENT: this.tag(AGENT) };
    if (await missing(BASE))
      await build(BASE, { DEBIAN: await this.#debian(options) }, context('base', await bundledFiles('base')));
    if (await missing(AGENT)) await build(AGENT, { BASE: args.BASE }, context('agent', await bundledFiles('agent')));
    const authorities = await certificates(this.#config);
    for (const runtime of wanted) {
      const { id, services } = runtime;
      if (await missing({ id })) {
        const own = await this.#context(runtime);
        await build({ id }, args, { ...own, files: [...own.files, ...authorities] });
        await this.#refuseVolumes(runtime);
      }
      for (const [index, service] of services.entries()) {
        const image = { id, services: services.slice(0, index + 1) };
        if (!(await missing(image))) continue;
        const below = this.tag({ id, services: services.slice(0, index) });
        const files = [...(await serviceFiles(service)), ...authorities];
        const buildargs = { ...args, IMAGE: below, LANGUAGE: id };
        await build(image, buildargs, context(`${SERVICES_FOLDER}/${service.id}`, files));
      }
    }
    if (!options.keepReplaced) await this.#removeReplaced();
    return built;
  }

  /**
   * Builds the image of {@link PROXY} where it is not there; what it stands on is, once a language is.
   * @throws CodeRunnerError build_failed; the signal's reason when aborted
   */
  async buildProxy(options: BuildOptions): Promise<void> {
    if ((await this.state(PROXY)) === 'ready') return;
    const args = { BASE: this.tag(BASE), AGENT: this.tag(AGENT) };
    await this.#buildOne(PROXY, args, context(PROXY.id, await bundledFiles(PROXY.id)), options);
  }

  /** A user's own is built as `docker build FOLDER` does; those that came with CodeRunner share files with their neighbours. */
  async #context(runtime: Runtime): Promise<Context> {
    if (runtime.origin === 'bundled') return context(runtime.id, await imageFiles(runtime));
    const dockerfile = 'Dockerfile';
    const files = (await ownFiles(runtime.folder)).map((file) =>
      file.path === dockerfile
        ? { ...file, bytes: Buffer.from(withAgent(file.bytes.toString(), this.tag(AGENT))) }
        : file,
    );
    return { dockerfile, files, source: join(runtime.folder, dockerfile) };
  }

  /**
   * Volumes would be folders outside of a sandbox's limits, which outlive it.
   * @throws CodeRunnerError bad_runtime where what a user's own stands on has some
   */
  async #refuseVolumes(runtime: Runtime): Promise<void> {
    if (runtime.origin === 'bundled') return;
    const image = this.#engine().docker.getImage(this.tag(runtime));
    const volumes = Object.keys((await image.inspect()).Config.Volumes ?? {});
    if (volumes.length === 0) return;
    const tag = this.tag(runtime);
    this.#ready.delete(tag);
    for (const name of [`${tag}-${this.#installation}`, tag]) await removeImage(this.#engine().docker, name);
    throw new CodeRunnerError(
      'bad_runtime',
      `The image that ${runtime.id} stands on has volumes (${volumes.join(', ')}), which would let programs write outside of the limits of their sandbox.`,
      { hint: 'Choose another image in its FROM.' },
    );
  }

  /**
   * Removes the images of a language that was removed, also those with services. What another installation or a container uses
   * stays.
   */
  async forget(id: string): Promise<void> {
    await this.#removeUnused((name) => name === id || name.startsWith(`${id}+`));
  }

  async #buildOne(
    image: ImageOf,
    buildargs: Record<string, string>,
    { dockerfile, files, source }: Context,
    { onProgress, signal, force = false }: BuildOptions,
  ): Promise<void> {
    signal.throwIfAborted();
    const last: string[] = [];
    const name = imageName(image);
    const progress: BuildProgress = { image: name, text: '' };
    try {
      const stream = (await this.#engine().docker.buildImage(pack(files), {
        t: this.tag(image),
        dockerfile,
        buildargs,
        labels: { [IMAGE_LABEL]: name },
        forcerm: true,
        nocache: force,
        abortSignal: signal,
      } as object)) as unknown as Readable;
      await this.#follow(stream, signal, (text) => {
        const step = /^Step (\d+)\/(\d+) : /.exec(text);
        if (step) Object.assign(progress, { step: Number(step[1]), steps: Number(step[2]) });
        last.push(text);
        if (last.length > LAST_LINES) last.shift();
        onProgress({ ...progress, text });
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const text = files.find(({ path }) => path === dockerfile)?.bytes.toString() ?? '';
      const { step = 0, steps = 0 } = progress;
      throw buildFailure(name, error as Error, last, {
        file: source,
        line: failedLine(error as Error, text, step, steps),
      });
    }
    await this.#claim(this.tag(image));
    this.#ready.add(this.tag(image));
  }

  /** The Debian that all stand on: the one that is there, the one of a registry, or one built from Debian's packages. */
  async #debian(options: BuildOptions): Promise<string> {
    const { baseImage } = this.#config;
    for (const name of [baseImage, OWN_DEBIAN]) if (await this.exists(name)) return name;
    const say = (text: string) => options.onProgress({ image: 'base', text });
    try {
      say(`Pulling ${baseImage}`);
      const stream = (await this.#engine().docker.pull(baseImage, {
        abortSignal: options.signal,
      })) as unknown as Readable;
      await this.#follow(stream, options.signal, say);
      return baseImage;
    } catch (error) {
      if (options.signal.aborted) throw options.signal.reason;
      say(`No registry gave ${baseImage}: building it from Debian's packages`);
      await this.#debootstrap(options.signal, say, error as Error);
      return OWN_DEBIAN;
    }
  }

  async #debootstrap(signal: AbortSignal, say: (text: string) => void, pullError: Error): Promise<void> {
    // A request that breaks off is what keeps the engine from making an image of half a system.
    const broken = new AbortController();
    const either = AbortSignal.any([signal, broken.signal]);
    try {
      const child = spawn('mmdebstrap', ['--variant=minbase', DEBIAN_RELEASE, '-'], {
        stdio: ['ignore', 'pipe', 'pipe'],
        signal: either,
      });
      let lastLine = '';
      createInterface({ input: child.stderr }).on('line', (text) => {
        lastLine = text;
        say(text);
      });
      await once(child, 'spawn');
      const archive = new PassThrough();
      child.stdout.pipe(archive, { end: false });
      // It tidies up before it ends, and would wait for a reader of what it has left to say.
      either.addEventListener('abort', () => child.stdout.destroy());
      const [repo, tag] = OWN_DEBIAN.split(':') as [string, string];
      const request = this.#engine().docker.importImage(archive, { repo, tag, abortSignal: either } as object);
      await Promise.all([
        request.then((progress) => this.#follow(progress as unknown as Readable, either, say)),
        once(child, 'close').then(([code]) => {
          if (code !== 0) throw new Error(`mmdebstrap ended with ${code}: ${lastLine}`);
          archive.end();
        }),
      ]);
    } catch (error) {
      broken.abort();
      if (signal.aborted) throw signal.reason;
      throw new CodeRunnerError(
        'base_image_unavailable',
        `The base image ${this.#config.baseImage} could neither be pulled (${pullError.message.trim()}) nor built here (${(error as Error).message}).`,
        { cause: error },
      );
    }
  }

  /** Reads the engine's lines of progress to their end; its errors come in them too. */
  async #follow(stream: Readable, signal: AbortSignal, onText: (text: string) => void): Promise<void> {
    const stop = () => stream.destroy(new Error('aborted'));
    signal.addEventListener('abort', stop, { once: true });
    try {
      signal.throwIfAborted();
      for await (const line of createInterface({ input: stream })) {
        if (line.trim() === '') continue;
        const event = JSON.parse(line) as { stream?: string; status?: string; error?: string };
        if (event.error !== undefined) throw new Error(event.error);
        const text = (event.stream ?? event.status ?? '').trimEnd();
        if (text !== '') onText(text);
      }
      signal.throwIfAborted();
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Whether the engine has an image of that name, ours or not. */
  async exists(name: string): Promise<boolean> {
    try {
      await this.#engine().docker.getImage(name).inspect();
      return true;
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) return false;
      throw error;
    }
  }

  /**
   * Marks an image as used by this installation; in one step with finding out whether it is there, so that nobody removes it
   * in between.
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  async #claim(tag: string): Promise<boolean> {
    const [repo, hash] = tag.split(':') as [string, string];
    return this.#engine().tagImage(tag, repo, `${hash}-${this.#installation}`);
  }

  /** Images of languages that there are, as they were before. */
  async #removeReplaced(): Promise<void> {
    await this.#removeUnused((name) => this.#tags.has(name));
  }

  /**
   * Images that this installation used with another hash than now, and that no other uses. One that a container still uses
   * stays.
   * @param concerns told what an image is of: `python`, `python+mariadb`
   */
  async #removeUnused(concerns: (name: string) => boolean): Promise<void> {
    const { docker } = this.#engine();
    const present = new Set(this.#tags.values());
    /** Who uses what. */
    const users = new Map<string, string[]>();
    for (const { RepoTags, Labels } of await docker.listImages({ filters: { label: [IMAGE_LABEL] } })) {
      if (!concerns(Labels[IMAGE_LABEL] ?? '')) continue;
      for (const claim of RepoTags ?? []) {
        // Podman says whose registry it is: its own, or the one that Docker would mean.
        const [, tag, user] = /^(?:localhost\/|[^/]+\.[^/]+\/)?(.+:[0-9a-f]{12})-([0-9a-f]{12})$/.exec(claim) ?? [];
        if (tag === undefined || user === undefined || present.has(tag)) continue;
        users.set(tag, [...(users.get(tag) ?? []), user]);
      }
    }
    for (const [tag, claimed] of users) {
      if (!claimed.includes(this.#installation)) continue;
      // The claim last: where a container still uses the image it stays, and with it the knowledge that this is to be removed.
      const unused = [...(claimed.length === 1 ? [tag] : []), `${tag}-${this.#installation}`];
      for (const name of unused) await removeImage(docker, name);
    }
  }
}

/**
 * Takes a name off an image, and with its last name the image; where a container uses it, or somebody else was faster, it is
 * left as it is.
 */
async function removeImage(docker: Docker, name: string): Promise<void> {
  try {
    await docker.getImage(name).remove();
  } catch (error) {
    const { statusCode } = error as { statusCode?: number };
    if (statusCode !== 404 && statusCode !== 409) throw error;
  }
}

/**
 * What went wrong, and the way out where the cause is known. The engine tells causes only by what the programs of a build
 * print.
 */
function buildFailure(
  image: string,
  error: Error,
  last: string[],
  { file, line }: { file: string; line: number | undefined },
): CodeRunnerError {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined) {
    const message = `The container engine went away while the image of ${image} was built (${code}).`;
    return new CodeRunnerError('engine_unavailable', message, { cause: error });
  }
  const printed = [...last, error.message].join('\n');
  const known = KNOWN_CAUSES.find(({ signs }) => signs.test(printed));
  const message = known?.sentence ?? error.message.trim();
  const why = line === undefined ? message : describeFlaw({ file, line, message });
  return new CodeRunnerError(known?.code ?? 'build_failed', `The image of ${image} could not be built: ${why}`, {
    details: last,
    cause: error,
    ...(known ? { hint: known.hint } : {}),
  });
}

/** The line of the Dockerfile that an engine could not read, or whose step failed. */
function failedLine({ message }: Error, source: string, step: number, steps: number): number | undefined {
  const unread = /\bparse error (?:on )?line (\d+)/.exec(message)?.[1];
  return unread === undefined ? lineOfStep(source, step, steps) : Number(unread);
}

const KNOWN_CAUSES = [
  {
    signs: /no space left on device/i,
    code: 'disk_full',
    sentence: 'the disk of the container engine is full.',
    hint: 'Free some space there: `docker system df` shows what takes it, `docker system prune` removes what is not used; Podman has both, too.',
  },
  {
    signs: /self.signed.certificate|unable to (get|verify).{0,40}certificate|certificate verif/i,
    code: 'build_failed',
    sentence: 'a download was refused because of its certificate.',
    hint: 'The network inspects TLS with an authority of its own: name the file with its certificate in CODERUNNER_CA_FILE.',
  },
  {
    signs:
      /temporary failure|could not resolve|unable to connect|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|network is unreachable/i,
    code: 'build_failed',
    sentence: 'something that it needs could not be downloaded.',
    hint: 'See to it that containers of the engine reach the network, then try again; the last lines are in `details`.',
  },
] as const;

function bundledFiles(image: string): Promise<ContextFile[]> {
  return filesBelow(BUNDLED_RUNTIMES, image);
}

/** A build from the Dockerfile of a folder. */
function context(folder: string, files: ContextFile[]): Context {
  const dockerfile = `${folder}/Dockerfile`;
  return { dockerfile, files, source: join(BUNDLED_RUNTIMES, dockerfile) };
}

/** All that can be chosen of them, in their order, a smaller choice before those that it begins; not nothing. */
function combinations<T>(items: readonly T[]): T[][] {
  const sets: T[][] = [[]];
  for (const item of items) sets.push(...sets.map((set) => [...set, item]));
  return sets.slice(1);
}

async function serviceFiles({ id }: Pick<Service, 'id'>): Promise<ContextFile[]> {
  const folder = `${SERVICES_FOLDER}/${id}`;
  const files = await bundledFiles(folder);
  return files.filter(({ path }) => path !== `${folder}/service.json`);
}

/** The files of a language's folder, and of those of its neighbours that its Dockerfile copies from. */
async function imageFiles(runtime: Runtime): Promise<ContextFile[]> {
  const root = join(runtime.folder, '..');
  const own = await filesBelow(root, runtime.id);
  const dockerfile = own.find(({ path }) => path === `${runtime.id}/Dockerfile`)?.bytes.toString() ?? '';
  const copied = dockerfile
    .matchAll(/^COPY (?!--from=)(?:--\S+ )*([a-z][\w-]*)\//gm)
    .map(([, folder]) => folder as string);
  const folders = new Set((await readdir(root)).filter((name) => name !== runtime.id));
  const neighbours = [...new Set(copied).intersection(folders)].sort();
  const theirs = await Promise.all(neighbours.map((folder) => filesBelow(root, folder)));
  const files = [...own, ...theirs.flat()];
  return files.filter(
    ({ path }) => !/^[^/]+\/(?:runtime\.json|Dockerfile)$/.test(path) || path === `${runtime.id}/Dockerfile`,
  );
}

/** The files of a user's own language, with paths from its folder on. */
async function ownFiles(folder: string): Promise<ContextFile[]> {
  const name = basename(folder);
  const files = await filesBelow(dirname(folder), name);
  return files
    .map((file) => ({ ...file, path: file.path.slice(name.length + 1) }))
    .filter(({ path }) => path !== 'runtime.json');
}

/** Neither examples, tests nor what a build leaves behind go into an image, so changing them builds nothing. */
const NOT_IN_IMAGES = /^(services\/)?[^/]+\/((examples|test|fuzz)\/|README)|\/(build|node_modules|__pycache__)\//;

/** The files below a folder that images are built from, sorted, with paths from `root` on. */
async function filesBelow(root: string, folder: string): Promise<ContextFile[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !NOT_IN_IMAGES.test(path))
    .sort();
  return Promise.all(
    paths.map(async (path) => {
      const file = join(root, path);
      return { path, bytes: await readFile(file), executable: ((await stat(file)).mode & 0o100) !== 0 };
    }),
  );
}

/**
 * The host's certificate authorities, for build steps that download where the network inspects TLS. They are no part of the
 * hash, and stay in no image.
 */
async function certificates(config: Config): Promise<ContextFile[]> {
  const bytes = await hostCertificates(config);
  return bytes
    ? [{ path: '.ca/ca-bundle.crt', bytes, executable: false }]
    : [{ path: '.ca/none', bytes: Buffer.alloc(0), executable: false }];
}

/** The authorities that this machine trusts, as PEM; undefined where no file of them is known. */
export async function hostCertificates({ caFile }: Pick<Config, 'caFile'>): Promise<Buffer | undefined> {
  const candidates = [
    caFile,
    process.env.NODE_EXTRA_CA_CERTS,
    process.env.SSL_CERT_FILE,
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/pki/tls/certs/ca-bundle.crt',
  ];
  for (const path of candidates) {
    const bytes = path ? await readFile(path).catch(() => undefined) : undefined;
    if (bytes) return bytes;
  }
  return undefined;
}

function digest(files: ContextFile[]): string {
  const hash = createHash('sha256');
  for (const { path, bytes, executable } of files)
    hash.update(`${path}\0${executable}\0${bytes.length}\0`).update(bytes);
  return hash.digest('hex').slice(0, 12);
}

function pack(files: ContextFile[]): Readable {
  const archive = tar.pack();
  for (const { path, bytes, executable } of files)
    archive.entry({ name: path, mode: executable ? 0o755 : 0o644 }, bytes);
  archive.finalize();
  return Readable.from(archive as AsyncIterable<Buffer>);
}
