/** Images are built when, and only when, what they are made of has changed; on the real engine. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { CodeRunnerError } from '../../src/protocol/index.ts';
import { type BuildProgress, Images } from '../../src/runtimes/images.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';
import { EngineProxy } from '../support/engine-proxy.ts';
import { OwnEngine } from '../support/own-engine.ts';
import { until } from '../support/test-pool.ts';

const DOCKERFILE = 'ARG BASE\nFROM ${BASE}\nCOPY hello.txt /hello.txt\n';

describe('the images', () => {
  let tiny: Tiny;

  before(async function () {
    this.timeout(600_000);
    await using first = await Tiny.create();
    await first.build(); // and with it the base, where it is not there
  });

  beforeEach(async () => {
    tiny = await Tiny.create();
  });

  afterEach(() => tiny[Symbol.asyncDispose]());

  it('are built once, with progress, and not again', async () => {
    assert.equal(await tiny.state(), 'not_built');
    assert.deepEqual(await tiny.build(), ['tiny']);
    assert.equal(await tiny.state(), 'ready');
    const steps = [...new Set(tiny.progress.flatMap(({ step }) => step ?? []))];
    const { steps: last = 0 } = tiny.progress.at(-1) ?? {};
    assert.ok(last >= DOCKERFILE.trim().split('\n').length);
    assert.deepEqual(
      steps,
      Array.from({ length: last }, (_, index) => index + 1),
    );
    assert.ok(tiny.progress.every(({ image }) => image === 'tiny'));
    tiny.progress.length = 0;
    assert.deepEqual(await tiny.build(), []);
    assert.deepEqual(tiny.progress, []);
  });

  it('are built again when a source has changed, and the old one is removed', async () => {
    await tiny.build();
    const before = await tiny.tag();
    await tiny.write('hello.txt', 'changed');
    assert.equal(await tiny.state(), 'not_built');
    assert.deepEqual(await tiny.build(), ['tiny']);
    assert.notEqual(await tiny.tag(), before);
    const images = await tiny.images();
    assert.equal(await images.exists(before), false);
    assert.equal(await images.exists(await tiny.tag()), true);
  });

  it('stay while another installation uses them', async () => {
    await using neighbour = await Tiny.create({}, NEIGHBOUR);
    await neighbour.write('hello.txt', 'the same');
    await tiny.write('hello.txt', 'the same');
    await tiny.build();
    const shared = await tiny.tag();
    assert.equal(await neighbour.tag(), shared);
    assert.deepEqual(await neighbour.build(), [], 'it takes the one that is there');
    await tiny.write('hello.txt', 'changed');
    await tiny.build();
    assert.equal(await neighbour.state(), 'ready');
    await neighbour.write('hello.txt', 'changed too');
    await neighbour.build();
    const images = await tiny.images();
    assert.equal(await images.exists(shared), false, 'nobody uses it any more');
    assert.equal(await tiny.state(), 'ready');
    assert.equal(await neighbour.state(), 'ready');
  });

  it('may be built by two at the same time', async () => {
    await using neighbour = await Tiny.create({}, NEIGHBOUR);
    for (const one of [tiny, neighbour]) {
      await one.write('hello.txt', 'built twice');
      await one.write('Dockerfile', `${DOCKERFILE}RUN sleep 0.2\n`);
    }
    assert.deepEqual(await Promise.all([tiny.build(), neighbour.build()]), [['tiny'], ['tiny']]);
    assert.equal(await tiny.tag(), await neighbour.tag());
    assert.equal(await tiny.state(), 'ready');
    assert.equal(await neighbour.state(), 'ready');
  });

  it('are not built again for what is not in them', async () => {
    await tiny.build();
    await tiny.write('examples/more.txt', 'an example');
    await tiny.write('test/more.txt', 'a test');
    await tiny.write('runtime.json', JSON.stringify({ ...RUNTIME, name: 'Tinier' }));
    assert.equal(await tiny.state(), 'ready');
  });

  it('change when a file becomes executable', async () => {
    const before = await tiny.tag();
    await tiny.write('hello.txt', 'hello', 0o755);
    assert.notEqual(await tiny.tag(), before);
  });

  it('that fail say where, with their last lines', async () => {
    await tiny.write('Dockerfile', `${DOCKERFILE}RUN echo on the way && exit 7\n`);
    const error = await tiny.failure();
    assert.equal(error.code, 'build_failed');
    assert.match(error.message, /image of tiny.*code: 7/);
    assert.ok((error.details as string[]).includes('on the way'));
    assert.equal(await tiny.state(), 'not_built');
  });

  it('say what the engine cannot read of their Dockerfile, or which line it failed at', async () => {
    await tiny.write('Dockerfile', `${DOCKERFILE}ENV lonely\n`);
    assert.match(
      (await tiny.failure()).message,
      /^The image of tiny could not be built: .*ENV must have two arguments/,
    );
    await tiny.write('Dockerfile', `${DOCKERFILE}\nRUN true \\\n  && exit 7\nRUN true\n`);
    assert.match((await tiny.failure()).message, /^The image of tiny could not be built: .*\/tiny\/Dockerfile:5: /);
  });

  it('say that the disk is full', async () => {
    await tiny.write('Dockerfile', `${DOCKERFILE}RUN cat /hello.txt > /dev/full\n`);
    const error = await tiny.failure();
    assert.equal(error.code, 'disk_full');
    assert.match(error.hint, /docker system df/);
  });

  it('say that a download is not possible', async () => {
    const apt =
      'apt-get -o Acquire::Retries=0 -o APT::Update::Error-Mode=any -o Acquire::http::Proxy=http://127.0.0.1:1 update';
    await tiny.write('Dockerfile', `${DOCKERFILE}RUN ${apt}\n`);
    const error = await tiny.failure();
    assert.equal(error.code, 'build_failed');
    assert.match(error.message, /could not be downloaded/);
    assert.match(error.hint, /network/);
  });

  it('can be cancelled, and leave no container behind', async () => {
    await tiny.write('Dockerfile', `${DOCKERFILE}RUN echo begun && sleep infinity\n`);
    const stop = new AbortController();
    const reason = new Error('cancelled by the test');
    const building = tiny.build({
      signal: stop.signal,
      onProgress: ({ text }) => text === 'begun' && stop.abort(reason),
    });
    await assert.rejects(building, reason);
    assert.equal(await tiny.state(), 'not_built');
    await until(async () => (await tiny.containers()).length === 0);
  });

  it('say that the engine went away meanwhile', async () => {
    await using proxy = await EngineProxy.start();
    await using other = await Tiny.create({ engine: proxy.address });
    await other.write('Dockerfile', `${DOCKERFILE}RUN echo begun && sleep infinity\n`);
    const building = other.build({ onProgress: ({ text }) => text === 'begun' && void proxy.cut() });
    await assert.rejects(building, (error) => error instanceof CodeRunnerError && error.code === 'engine_unavailable');
    await proxy.restore();
    await until(async () => (await other.containers()).length === 0);
  });

  // Another Docker, which has no image yet, takes root and Linux.
  if (OwnEngine.isPossible) {
    it('say that there is no base, why, and what to do', async () => {
      await using engine = await OwnEngine.start();
      await using other = await Tiny.create({ engine: engine.address, baseImage: 'localhost:1/nobody/debian:none' });
      const path = process.env.PATH;
      process.env.PATH = '';
      try {
        const error = await other.failure();
        assert.equal(error.code, 'base_image_unavailable');
        assert.match(error.message, /localhost:1\/nobody\/debian:none could neither be pulled \(.+\) nor built here/);
        assert.match(error.hint, /mmdebstrap/);
      } finally {
        process.env.PATH = path;
      }
    });
  }
});

/** Another checkout on the same engine. */
const NEIGHBOUR = 'abcdef012345';

const RUNTIME = {
  id: 'tiny',
  name: 'Tiny',
  version: '1',
  extensions: ['.tiny'],
  entry: 'main.tiny',
  run: { argv: ['cat', '${entry}'] },
};

/** A language whose image takes no time, in a folder and under a name of its own. */
class Tiny implements AsyncDisposable {
  readonly progress: BuildProgress[] = [];
  readonly #root: string;
  readonly #engine: Engine;
  readonly #config: ReturnType<typeof loadConfig>;
  readonly #installation: string | undefined;

  private constructor(
    root: string,
    engine: Engine,
    config: ReturnType<typeof loadConfig>,
    installation: string | undefined,
  ) {
    this.#root = root;
    this.#engine = engine;
    this.#config = config;
    this.#installation = installation;
  }

  /** @param installation whose it is; the one under test where it is left out */
  static async create(settings: Partial<ReturnType<typeof loadConfig>> = {}, installation?: string): Promise<Tiny> {
    const config = loadConfig(process.env, settings);
    const root = await mkdtemp(join(tmpdir(), 'coderunner-runtimes-'));
    const tiny = new Tiny(root, await Engine.connect(config), config, installation);
    await tiny.write('runtime.json', JSON.stringify(RUNTIME));
    await tiny.write('Dockerfile', DOCKERFILE);
    await tiny.write('hello.txt', root); // its own, so that the engine's cache has nothing of it
    return tiny;
  }

  async write(path: string, text: string, mode = 0o644): Promise<void> {
    const file = join(this.#root, 'tiny', path);
    await mkdir(join(file, '..'), { recursive: true });
    await rm(file, { force: true });
    await writeFile(file, text, { mode });
  }

  /** As a daemon that starts now would see them. */
  async images(): Promise<Images> {
    const images = new Images(this.#config, () => this.#engine, this.#installation);
    await images.prepare([await this.#runtime()]);
    return images;
  }

  async tag(): Promise<string> {
    return (await this.images()).tag({ id: 'tiny' });
  }

  async state(): Promise<string> {
    return (await this.images()).state({ id: 'tiny' });
  }

  async build({
    signal = new AbortController().signal,
    onProgress = () => {},
  }: {
    signal?: AbortSignal;
    onProgress?: (progress: BuildProgress) => unknown;
  } = {}): Promise<string[]> {
    return (await this.images()).build([await this.#runtime()], {
      signal,
      onProgress: (progress) => {
        this.progress.push(progress);
        onProgress(progress);
      },
    });
  }

  async failure(): Promise<CodeRunnerError> {
    const error = await this.build().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof CodeRunnerError, `${error}`);
    return error;
  }

  /** The containers in which its steps are run. */
  async containers(): Promise<string[]> {
    const containers = await this.#engine.docker.listContainers({
      all: true,
      filters: { label: ['coderunner.image=tiny'] },
    });
    return containers.map(({ Id }) => Id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { docker } = this.#engine;
    for (const { RepoTags } of await docker.listImages({ filters: { label: ['coderunner.image=tiny'] } }))
      for (const tag of RepoTags ?? []) if (tag !== '<none>:<none>') await docker.getImage(tag).remove({ force: true });
    // The neighbour is nobody: what it shares must not be kept for it.
    for (const { RepoTags } of await docker.listImages({ filters: { label: ['coderunner.image'] } }))
      for (const tag of RepoTags ?? []) if (tag.endsWith(`-${NEIGHBOUR}`)) await docker.getImage(tag).remove();
    await docker.pruneImages({ filters: { dangling: ['true'], label: ['coderunner.image=tiny'] } });
    await this.#engine[Symbol.asyncDispose]();
    await rm(this.#root, { recursive: true });
  }

  async #runtime(): Promise<Runtime> {
    const { runtimes, broken } = await loadRuntimes({ ...this.#config, runtimesPath: this.#root });
    assert.deepEqual(broken, []);
    return runtimes.find(({ id }) => id === 'tiny') as Runtime;
  }
}
