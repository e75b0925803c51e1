/** Languages of one's own, from the command line into a daemon that goes on running. */
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type Docker from 'dockerode';
import tar from 'tar-stream';
import { Client } from '../../src/client/client.ts';
import { findEngine } from '../../src/engine/discovery.ts';
import type { RuntimeInfo, RuntimeList } from '../../src/protocol/index.ts';
import { Cli } from '../support/cli.ts';
import { DaemonClient } from '../support/live-daemon.ts';
import { containersOf, until } from '../support/test-pool.ts';

const RUBY = fileURLToPath(new URL('../../../examples/runtimes/ruby', import.meta.url));
const IDS = ['greet', 'hail', 'ruby'];
const DOCKERFILE = 'ARG BASE\nFROM ${BASE}\nCOPY greet /opt/greet\n';
const RUNTIME = {
  id: 'greet',
  name: 'Greet',
  version: '1',
  extensions: ['.greet'],
  entry: 'main.greet',
  run: { argv: ['sh', '/opt/greet', '${entry}'] },
  limits: { memory: '64MiB' },
};
/** Says its version, waits for a line, and says that and the program. */
const greet = (version: string) => `echo ${version} waits\nread line\necho "${version} $line $(cat "$1")"\n`;

describe('a language of one’s own', function () {
  this.timeout(600_000);
  let docker: Docker;
  let cli: Cli;
  let folder: string;

  before(async () => {
    ({ docker } = await findEngine(''));
  });

  beforeEach(async () => {
    cli = await Cli.create({ CODERUNNER_POOL_SIZE: '1' });
    folder = await mkdtemp(join(tmpdir(), 'coderunner-runtimes-'));
    await language({});
  });

  afterEach(async () => {
    for (const id of IDS) await cli.run(['runtimes', 'remove', id]);
    await cli[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
    await prune();
    assert.deepEqual(await images(), [], 'images are left');
  });

  /** Writes the folder anew. Its files are its own, so that the engine has built nothing of it before. */
  async function language({
    version = 'one',
    dockerfile = DOCKERFILE,
    runtime = {},
    example = 'Ada\n',
  }): Promise<void> {
    await mkdir(join(folder, 'examples'), { recursive: true });
    await writeFile(join(folder, 'runtime.json'), JSON.stringify({ ...RUNTIME, ...runtime }, null, 2));
    await writeFile(join(folder, 'Dockerfile'), dockerfile);
    await writeFile(join(folder, 'greet'), `# ${folder}\n${greet(version)}`);
    await writeFile(join(folder, 'examples', 'hello.greet'), example);
  }

  async function add(...args: string[]) {
    const ended = await cli.run(['runtimes', 'add', folder, ...args]);
    return { ...ended, stderr: ended.stderr.replaceAll(`${folder}/`, '') };
  }

  async function daemon(): Promise<DaemonClient> {
    await cli.run(['start']);
    const { url, token } = JSON.parse(await readFile(join(cli.dataDir, 'daemon.json'), 'utf8'));
    return new DaemonClient(url, token);
  }

  async function languages(client: DaemonClient): Promise<RuntimeInfo[]> {
    return (await client.json<RuntimeList>('GET', '/v1/runtimes')).runtimes;
  }

  async function images(): Promise<string[]> {
    const found = await Promise.all(
      IDS.map((id) => docker.listImages({ filters: { label: [`coderunner.image=${id}`] } })),
    );
    return found.flat().flatMap(({ RepoTags }) => RepoTags ?? []);
  }

  async function prune(): Promise<void> {
    for (const id of IDS)
      await docker.pruneImages({ filters: { dangling: ['true'], label: [`coderunner.image=${id}`] } });
  }

  const added = () => readdir(join(cli.dataDir, 'runtimes'));
  const files = [{ path: 'main.greet', content: 'Ada' }];

  it('comes and goes while the daemon runs, and a program keeps the language that it began in', async () => {
    const client = await daemon();
    await using stream = await client.stream();
    const first = await add();
    assert.equal(first.code, 0, first.stderr);
    assert.match(
      first.stderr,
      /Added Greet 1 \(greet, \.greet\)\.\nTrying examples\/hello\.greet:\none waits\none {2}Ada\n/,
    );
    await stream.until((event) => event.type === 'runtimes.changed');
    const instance = await readFile(join(cli.dataDir, 'instance'), 'utf8');
    const waiting = async () =>
      (await client.json<{ runtimes: { runtime: string; idle: number }[] }>('GET', '/v1/pool')).runtimes.find(
        ({ runtime }) => runtime === 'greet',
      )?.idle;
    await until(async () => (await waiting()) === 1);
    const told = Promise.withResolvers<void>();
    await using editor = new Client({ locate: async () => client, onRuntimesChanged: told.resolve });
    const contents = files.map(({ path, content }) => ({ path, content: Buffer.from(content) }));
    const old = await editor.start({ runtime: 'greet', files: contents }, { onOutput() {} });
    await client.printed(old.id, 'one waits');

    await language({ version: 'two', runtime: { version: '2' } });
    const second = await add();
    assert.equal(second.code, 0, second.stderr);
    await told.promise;
    const later = await client.start({ runtime: 'greet', files });
    for (const { id } of [old, later]) await client.fetch('POST', `/v1/runs/${id}/stdin?eof=1`, 'hello\n');
    assert.equal((await client.follow(old.id)).stdout, 'one waits\none hello Ada\n');
    assert.equal((await client.follow(later.id)).stdout, 'two waits\ntwo hello Ada\n');
    assert.deepEqual(
      (await languages(client))
        .filter(({ id }) => id === 'greet')
        .map(({ version, origin, state }) => [version, origin, state]),
      [['2', 'own', 'ready']],
    );

    assert.equal((await cli.run(['runtimes', 'remove', 'greet'])).code, 0);
    assert.ok(!(await languages(client)).some(({ id }) => id === 'greet'));
    assert.equal((await client.refusal('POST', '/v1/runs', { runtime: 'greet', files })).code, 'unknown_runtime');
    await until(async () => (await containersOf(docker, instance)).length === 0);
    assert.deepEqual(await added(), []);
  });

  it('may have another name, and stands on an image that knows nothing of sandboxes', async () => {
    const foreign = [
      'ARG BASE',
      'FROM ${BASE} AS made',
      'RUN mkdir /out && cd / && tar -c usr bin lib $(ls -d lib64 || true) | tar -x -C /out',
      'FROM scratch',
      'COPY --from=made /out/ /',
      'COPY greet /opt/greet',
      'USER 1234:1234',
      'WORKDIR /opt',
      'HEALTHCHECK --interval=1s CMD false',
      'CMD ["sh"]',
      'ENTRYPOINT ["/bin/false"]',
    ].join('\n');
    await language({ dockerfile: foreign });
    const ended = await add('--as', 'hail');
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(await added(), ['hail']);
    await cli.file('main.greet', 'Ada');
    const run = await cli.run(['run', 'main.greet'], 'hello\n');
    assert.deepEqual([run.code, run.stdout.toString()], [0, 'one waits\none hello Ada\n'], run.stderr);
  });

  it('is refused with all its mistakes and their places, and leaves nothing', async () => {
    await language({ runtime: { extension: ['.x'], entry: 5 }, dockerfile: 'FROM debian\nRUM true\n' });
    const ended = await add();
    assert.equal(ended.code, 125);
    assert.match(ended.stderr, /^runtime\.json:\d+:\d+: entry is 5, but takes text\.$/m);
    assert.match(ended.stderr, /^runtime\.json:\d+:3: It has "extension", which nobody knows\.$/m);
    assert.match(ended.stderr, /^Dockerfile:2:1: RUM is no instruction of a Dockerfile; did you mean "RUN"\?$/m);
    assert.match(ended.stderr, /^coderunner: bad_runtime: /m);
    assert.deepEqual(await added(), []);
    const checked = await cli.run(['runtimes', 'check', folder]);
    assert.deepEqual([checked.code, checked.stdout.toString().trim().split('\n').length], [1, 3]);
    const asJson = await cli.run(['runtimes', 'check', '--json', folder]);
    assert.deepEqual(
      JSON.parse(asJson.stdout.toString()).map(({ line }: { line: number }) => line),
      [8, 19, 2],
    );
  });

  it('is refused with the line of the Dockerfile where its image cannot be built', async () => {
    await language({ dockerfile: `${DOCKERFILE}\n# What fails:\nRUN echo on the way \\\n && exit 7\n` });
    const ended = await add();
    assert.equal(ended.code, 125);
    assert.match(ended.stderr, /^coderunner: build_failed: The image of greet could not be built: Dockerfile:6: /m);
    assert.deepEqual([await added(), await images()], [[], []]);
  });

  it('stays as it was where its new version does not work', async () => {
    assert.equal((await add()).code, 0);
    await language({ version: 'two', runtime: { run: { argv: ['sh', '-c', 'echo no such thing; exit 3'] } } });
    const ended = await add();
    assert.equal(ended.code, 125);
    assert.match(ended.stderr, /no such thing\n/);
    assert.match(ended.stderr, /bad_runtime: The example does not work \(exit code 3\)/);
    assert.deepEqual(await added(), ['greet']);
    await cli.file('main.greet', 'Ada');
    const run = await cli.run(['run', 'main.greet'], 'hello\n');
    assert.deepEqual([run.stdout.toString(), run.stderr], ['one waits\none hello Ada\n', '']);
  });

  it('may not stand on an image with volumes, which are outside of all limits', async () => {
    const name = `coderunner-test-volumes:${process.pid}`;
    const context = tar.pack();
    context.entry({ name: 'Dockerfile' }, 'FROM scratch\nCOPY Dockerfile /\nVOLUME /data\n');
    context.finalize();
    const built = await docker.buildImage(context as unknown as NodeJS.ReadableStream, { t: name, forcerm: true });
    for await (const _ of built);
    try {
      await language({ dockerfile: `FROM ${name}\n` });
      const ended = await add();
      assert.match(ended.stderr, /bad_runtime: The image that greet stands on has volumes \(\/data\)/);
      assert.deepEqual([await added(), await images()], [[], []]);
    } finally {
      await docker.getImage(name).remove({ force: true });
    }
  });

  it('that CodeRunner documents works: Ruby, with its examples', async () => {
    const ended = await cli.run(['runtimes', 'add', RUBY]);
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, /\nHello from Ruby 3\.\d+\.\d+\n/);
    await cp(join(RUBY, 'examples'), cli.folder, { recursive: true });
    const sum = await cli.run(['run', 'sum.rb'], '1\n2.5\n');
    assert.deepEqual([sum.code, sum.stdout.toString()], [0, '2 numbers, together 3.5\n'], sum.stderr);
    const words = await cli.run(['run', 'words.rb', '--', 'to be', 'not', 'to be']);
    assert.equal(words.stdout.toString(), '2 to be\n1 not\n');
    await cli.file('hungry.rb', 'x = "x"\nloop { x << x }\n');
    assert.equal((await cli.run(['run', 'hungry.rb'])).code, 137);
  });
});
