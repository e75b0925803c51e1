import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, ListenOptions } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Attempt, findEngine, isEngineAbsent, places } from '../../src/engine/discovery.ts';
import { CodeRunnerError } from '../../src/protocol/index.ts';

describe('where a container engine is looked for', () => {
  let home: string;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'coderunner-home-'));
  });

  afterEach(() => rm(home, { recursive: true }));

  async function dockerContext(name: string, meta: unknown): Promise<string> {
    const id = createHash('sha256').update(name).digest('hex');
    await write(join(home, '.docker', 'contexts', 'meta', id, 'meta.json'), JSON.stringify(meta));
    return id;
  }

  it('the setting comes before everything else, and is the only place', async () => {
    const env = { DOCKER_HOST: 'unix:///b', DOCKER_CONTEXT: 'c', CONTAINER_HOST: 'unix:///d' };
    const [place, ...others] = places('unix:///a', env, home);
    assert.equal(place?.address, 'unix:///a');
    assert.deepEqual(others, []);
  });

  it('DOCKER_HOST comes before contexts, a context before CONTAINER_HOST', async () => {
    await dockerContext('far', { Endpoints: { docker: { Host: 'tcp://far:2376' } } });
    const context = { DOCKER_CONTEXT: 'far', CONTAINER_HOST: 'unix:///podman' };
    assert.equal(places('', { DOCKER_HOST: 'unix:///host', ...context }, home)[0]?.address, 'unix:///host');
    assert.equal(places('', context, home)[0]?.address, 'tcp://far:2376');
    assert.equal(places('', { CONTAINER_HOST: 'unix:///podman' }, home)[0]?.address, 'unix:///podman');
  });

  it('the context that `docker context use` chose is found in its configuration', async () => {
    await write(join(home, '.docker', 'config.json'), JSON.stringify({ currentContext: 'desktop-linux' }));
    await dockerContext('desktop-linux', { Endpoints: { docker: { Host: 'unix:///home/ann/desktop.sock' } } });
    const found = places('', {}, home);
    assert.deepEqual(
      found.map(({ address }) => address),
      ['unix:///home/ann/desktop.sock'],
    );
    assert.match(found[0]?.source ?? '', /desktop-linux/);
  });

  it('a context brings its own certificates', async () => {
    const id = await dockerContext('far', { Endpoints: { docker: { Host: 'tcp://far:2376' } } });
    const folder = join(home, '.docker', 'contexts', 'tls', id, 'docker');
    await write(join(folder, 'ca.pem'), '');
    assert.equal(places('', { DOCKER_CONTEXT: 'far' }, home)[0]?.certificates, folder);
  });

  it('certificates go with an address on the network, where TLS is asked for', () => {
    const tls = { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/certs' };
    assert.equal(places('', { DOCKER_HOST: 'tcp://far:2376', ...tls }, home)[0]?.certificates, '/certs');
    assert.equal(
      places('', { DOCKER_HOST: 'tcp://far:2376', DOCKER_TLS_VERIFY: '1' }, home)[0]?.certificates,
      join(home, '.docker'),
    );
    assert.equal(places('', { DOCKER_HOST: 'unix:///x', ...tls }, home)[0]?.certificates, undefined);
    assert.equal(places('', { DOCKER_HOST: 'tcp://far:2375' }, home)[0]?.certificates, undefined);
  });

  it('a context that does not exist is no reason to run programs elsewhere', async () => {
    const [attempt, ...others] = await attempts('', { env: { DOCKER_CONTEXT: 'gone' }, home });
    assert.match(attempt?.source ?? '', /"gone"/);
    assert.equal(attempt?.problem, 'it names no engine');
    assert.deepEqual(others, []);
  });

  it('the default context, a broken configuration and none at all mean the usual sockets', async () => {
    const usual = places('', { XDG_RUNTIME_DIR: '/run/user/7' }, home).map(({ address }) => address);
    assert.equal(usual[0], 'unix:///var/run/docker.sock');
    for (const address of [
      'unix:///run/user/7/docker.sock',
      `unix://${home}/.docker/run/docker.sock`,
      `unix://${home}/.docker/desktop/docker.sock`,
      'unix:///run/user/7/podman/podman.sock',
      'unix:///run/podman/podman.sock',
    ]) {
      assert.ok(usual.includes(address), address);
    }
    await write(join(home, '.docker', 'config.json'), JSON.stringify({ currentContext: 'default' }));
    assert.ok(places('', {}, home).length > 1);
    await write(join(home, '.docker', 'config.json'), '{ broken');
    assert.ok(places('', {}, home).length > 1);
  });

  describe('and whether it answers', () => {
    let server: Server | undefined;
    let socket: string;

    beforeEach(() => {
      socket = join(home, 'engine.sock');
    });

    afterEach(() => {
      server?.closeAllConnections();
      server?.close();
      server = undefined;
    });

    async function listen(listener: RequestListener, at: ListenOptions = { path: socket }): Promise<Server> {
      const started = createServer(listener).listen(at);
      server = started;
      await once(started, 'listening');
      return started;
    }

    const pong: RequestListener = (request, response) => {
      response.statusCode = request.url === '/_ping' ? 200 : 404;
      response.end('OK');
    };

    it('an engine on a socket is found', async () => {
      await listen(pong);
      const { place } = await findEngine('', { env: { DOCKER_HOST: `unix://${socket}` }, home });
      assert.equal(place.source, 'DOCKER_HOST');
    });

    it('an engine on the network is found', async () => {
      const { port } = (await listen(pong, { host: '127.0.0.1', port: 0 })).address() as AddressInfo;
      const { place } = await findEngine(`tcp://127.0.0.1:${port}`);
      assert.equal(place.address, `tcp://127.0.0.1:${port}`);
    });

    it('a setting is followed although DOCKER_HOST means another engine', async () => {
      await listen(pong);
      const before = process.env.DOCKER_HOST;
      process.env.DOCKER_HOST = 'tcp://127.0.0.1:1';
      try {
        const { docker } = await findEngine(`unix://${socket}`);
        assert.equal(String(await docker.ping()), 'OK');
      } finally {
        if (before === undefined) delete process.env.DOCKER_HOST;
        else process.env.DOCKER_HOST = before;
      }
    });

    it('among the usual sockets the first that answers is taken', async () => {
      const rootless = join(home, 'docker.sock');
      await listen(pong, { path: rootless });
      const found = await findEngine('', { env: { XDG_RUNTIME_DIR: home }, home });
      assert.ok(['unix:///var/run/docker.sock', `unix://${rootless}`].includes(found.place.address));
    });

    it('a socket that is not there is told', async () => {
      const [attempt] = await attempts(`unix://${socket}`);
      assert.equal(attempt?.problem, 'nothing is there');
    });

    // Windows has pipes, which are in no folder.
    if (process.platform !== 'win32') {
      it('a socket in a folder that the user may not enter is told', async () => {
        const closed = join(home, 'closed');
        await mkdir(closed, { mode: 0 });
        const address = `unix://${join(closed, 'engine.sock')}`;
        const error = await asNobody(() => failure(address));
        assert.equal((error.details as Attempt[])[0]?.problem, 'this user may not enter its folder');
        assert.match(error.message, /this user may not enter its folder/);
        assert.match(error.hint, /rootless/);
        assert.equal(isEngineAbsent(error), false);
      });

      it('a closed folder of a usual socket may be empty, and says nothing of an engine', () => {
        const problem = 'this user may not enter its folder';
        const usual = { source: 'a usual socket', address: 'unix:///run/podman/podman.sock', problem };
        assert.ok(isEngineAbsent(new CodeRunnerError('engine_unavailable', '', { details: [usual] })));
        const named = { ...usual, source: 'DOCKER_HOST' };
        assert.ok(!isEngineAbsent(new CodeRunnerError('engine_unavailable', '', { details: [named] })));
      });
    }

    if (process.platform !== 'win32') {
      describe('by ssh', () => {
        const before = process.env.PATH;
        afterEach(() => {
          process.env.PATH = before;
        });

        /** Puts a program in the place of this machine's ssh. */
        async function ssh(program: string): Promise<void> {
          await writeFile(join(home, 'ssh'), `#!${process.execPath}\n${program}`, { mode: 0o755 });
          process.env.PATH = home;
        }

        it('an engine on another machine is found, for all that is asked of it', async () => {
          await listen(pong);
          await ssh(`
            require('node:fs').writeFileSync(__filename + '.asked', process.argv.slice(2).join(' '));
            const engine = require('node:net').connect(${JSON.stringify(socket)});
            process.stdin.pipe(engine).pipe(process.stdout);`);
          const { docker, http } = await findEngine('ssh://ann@far:2222', { withinMs: 10_000 });
          assert.equal(String(await docker.ping()), 'OK');
          http.close(new Error('The test is over.'));
          const asked = await readFile(join(home, 'ssh.asked'), 'utf8');
          assert.equal(asked, '-T -o BatchMode=yes -p 2222 -- ann@far docker system dial-stdio');
        });

        it('what ssh says when it fails is told', async () => {
          await ssh(`console.error('far: no such host'); process.exitCode = 255;`);
          const [attempt] = await attempts('ssh://far', { withinMs: 10_000 });
          assert.equal(attempt?.problem, 'far: no such host');
        });

        it('a machine without ssh is told', async () => {
          process.env.PATH = home;
          const [attempt] = await attempts('ssh://far');
          assert.match(attempt?.problem ?? '', /^ssh cannot be started/);
        });

        it('a machine where too many files are open is told', async function () {
          if (process.platform === 'win32') this.skip();
          // In a process of its own, which has none left for the pipes to an ssh.
          const program = `
            import { openSync } from 'node:fs';
            import { findEngine } from ${JSON.stringify(new URL('../../src/engine/discovery.ts', import.meta.url).href)};
            try { for (;;) openSync('/dev/null'); } catch {}
            await findEngine('ssh://far').catch(({ details }) => console.log(details[0].problem));`;
          const asModule = ['--input-type=module', '--eval', program];
          const limited = ['-c', 'ulimit -n 100; exec "$0" "$@"', process.execPath, ...asModule];
          const { stdout, stderr } = spawnSync('/bin/sh', limited, { encoding: 'utf8' });
          assert.equal(stdout, 'ssh cannot be started: too many files are open\n', stderr);
        });
      });
    }

    it('a socket that an engine left behind is told', async () => {
      const left = await leftBehind(socket);
      const [attempt] = await attempts(`unix://${left}`);
      assert.match(attempt?.problem ?? '', /not running/);
    });

    it('an engine that hangs is told', async () => {
      await listen(() => {});
      const [attempt] = await attempts(`unix://${socket}`, { withinMs: 50 });
      assert.equal(attempt?.problem, 'it does not answer in time');
    });

    it('something that is no engine is told', async () => {
      await listen((_request, response) => response.writeHead(418).end('I am a teapot'));
      const [attempt] = await attempts(`unix://${socket}`);
      assert.match(attempt?.problem ?? '', /418/);
    });

    it('an address that is none is told', async () => {
      const [attempt] = await attempts('gopher://engine');
      assert.match(attempt?.problem ?? '', /no address of an engine/);
      const [other] = await attempts('somewhere');
      assert.match(other?.problem ?? '', /no address of an engine/);
    });

    it('a place that was named wrongly is to be corrected where it was named', async () => {
      const noAddress = await failure('', { env: { DOCKER_HOST: 'gopher://engine' }, home });
      assert.match(noAddress.hint, /^Correct DOCKER_HOST/);
      const noContext = await failure('', { env: { DOCKER_CONTEXT: 'gone' }, home });
      assert.match(noContext.message, /The container engine of docker's context "gone" cannot be used/);
      assert.match(noContext.hint, /^Correct docker's context "gone"/);
    });

    it('missing certificates are told', async () => {
      const env = { DOCKER_HOST: 'tcp://127.0.0.1:1', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: home };
      const [attempt] = await attempts('', { env, home });
      assert.match(attempt?.problem ?? '', /ca\.pem/);
    });
  });
});

/** What was tried in vain. */
async function attempts(setting: string, options: Parameters<typeof findEngine>[1] = {}): Promise<Attempt[]> {
  return (await failure(setting, options)).details as Attempt[];
}

async function failure(setting: string, options: Parameters<typeof findEngine>[1] = {}): Promise<CodeRunnerError> {
  try {
    await findEngine(setting, options);
  } catch (error) {
    assert.ok(error instanceof CodeRunnerError);
    assert.equal(error.code, 'engine_unavailable');
    return error;
  }
  assert.fail('an engine was found');
}

const NOBODY = 65_534;

/** Does something without root's right to enter every folder. */
async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  const user = process.geteuid?.();
  if (user !== 0) return work();
  process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid?.(user);
  }
}

/** A socket file that nobody listens on any more; closing a server would remove it. */
async function leftBehind(path: string): Promise<string> {
  const script = `const s=require('net').createServer().listen(${JSON.stringify(path)},()=>process.kill(process.pid,'SIGKILL'))`;
  // It kills itself, so that it cannot tidy up.
  const { signal } = spawnSync(process.execPath, ['-e', script]);
  assert.equal(signal, 'SIGKILL');
  return path;
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
