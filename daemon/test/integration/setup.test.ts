/** The set-up, as people start it. What it does on a machine that has nothing at all, only a machine that has nothing shows. */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { type Machine, planEngine } from '../../../tools/engine.ts';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { Images } from '../../src/runtimes/images.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import { afterwards, cleanUpAfterEach, temporaryFolder } from '../support/daemon.ts';

const ROOT = join(import.meta.dirname, '../../..');
const COMMAND = join(ROOT, 'daemon/bin/coderunner.mjs');

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Starts a set-up in a folder, by itself: no npm around it. */
function start(folder: string, args: string[] = [], env: NodeJS.ProcessEnv = {}): Child {
  const child = spawn(process.execPath, [join(folder, 'setup.mjs'), ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: folder,
    env: { ...process.env, npm_execpath: undefined, INIT_CWD: undefined, ...env },
  });
  afterwards(() => child.kill('SIGKILL'));
  return child;
}

async function end(child: Child): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code, stdout, stderr };
}

describe('set-up', () => {
  cleanUpAfterEach();

  it('has nothing to do and nothing to say the second time, also when two are started at once', async () => {
    const ends = await Promise.all([end(start(ROOT)), end(start(ROOT))]);
    for (const { code, stdout, stderr } of ends) {
      assert.equal(code, 0, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, /^(Another set-up works here; waiting for it to end\n)?$/);
    }
  });

  it('leaves an engine alone that somebody named, and says who named it', async () => {
    const { code, stderr } = await end(start(ROOT, [], { DOCKER_HOST: 'unix:///nowhere/docker.sock' }));
    assert.equal(code, 1);
    assert.match(stderr, /unix:\/\/\/nowhere\/docker\.sock \(DOCKER_HOST\) cannot be used/);
    assert.doesNotMatch(stderr, /\n\s+at /, 'no stack trace');
  });

  it('runs a file of the folder in which the person is, and leaves stdout and the exit code to the program', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'three.py'), 'import sys\nprint(*sys.argv[1:], sep="|")\nsys.exit(3)\n');
    const env = { INIT_CWD: folder, CODERUNNER_DATA_DIR: join(folder, 'data'), CODERUNNER_POOL_SIZE: '0' };
    afterwards(() => promisify(execFile)(process.execPath, [COMMAND, 'stop'], { env: { ...process.env, ...env } }));
    const { code, stdout, stderr } = await end(start(ROOT, ['run', 'three.py', 'a b', '--c'], env));
    assert.equal(stdout, 'a b|--c\n', stderr);
    assert.equal(code, 3);
  });

  it('explains itself when no file is named', async () => {
    const { code, stdout } = await end(start(ROOT, ['run']));
    assert.equal(code, 0);
    assert.match(stdout, /npm start -- FILE/);
  });

  it('changes nothing on a machine without an engine when that is refused, and says what it would have run', async () => {
    await using engine = await Engine.connect(loadConfig());
    const { code, output } = await onMachineWithoutEngine(engine, ['CODERUNNER_NO_INSTALL=1']);
    assert.equal(code, 1);
    assert.match(output, /^There is no container engine; Docker can be installed .* CODERUNNER_NO_INSTALL is set/);
    assert.match(output, /^ {4}.*apt-get install -y --no-install-recommends docker\.io iptables$/m);
    assert.match(output, /Then start again\.\n$/);
  });

  describe('of the packages', () => {
    /** A clone in which npm does what a shell script says. */
    async function clone(npm: string): Promise<{ folder: string; env: NodeJS.ProcessEnv }> {
      const folder = await temporaryFolder();
      await copyFile(join(ROOT, 'setup.mjs'), join(folder, 'setup.mjs'));
      await writeFile(join(folder, 'package-lock.json'), '{"packages":{}}');
      await mkdir(join(folder, 'bin'));
      await writeFile(join(folder, 'bin/npm'), `#!/bin/sh\n${npm}\n`);
      await chmod(join(folder, 'bin/npm'), 0o755);
      return { folder, env: { PATH: `${join(folder, 'bin')}${delimiter}${process.env.PATH}` } };
    }

    it('says what to do when they cannot be installed, and fails', async () => {
      const { folder, env } = await clone('echo "the registry does not answer" >&2; exit 9');
      const { code, stdout, stderr } = await end(start(folder, ['run', 'hello.py'], env));
      assert.equal(code, 9);
      assert.equal(stdout, '');
      assert.match(
        stderr,
        /^Installing packages.*\nthe registry does not answer\nThe packages could not be installed; .* Starting again goes on/,
      );
    });

    it('waits for another set-up in the same folder, and goes on when that one is killed', async () => {
      const { folder, env } = await clone('echo "npm $1" >&2; cat; exit 9');
      const first = start(folder, [], env);
      await line(first.stderr, /^npm ci$/);
      const second = start(folder, [], env);
      await line(second.stderr, /^Another set-up works here/);
      first.kill('SIGKILL');
      await line(second.stderr, /^npm ci$/);
      second.stdin.end();
      const [code] = await once(second, 'close');
      assert.equal(code, 9);
    });

    it('passes a signal on to what it started, and ends as that ended', async () => {
      const { folder, env } = await clone('trap "exit 42" TERM; echo ready >&2; read -r line');
      const child = start(folder, [], env);
      await line(child.stderr, /^ready$/);
      child.kill('SIGTERM');
      const [code] = await once(child, 'close');
      assert.equal(code, 42);
    });
  });

  describe('of the engine', () => {
    const bare: Machine = { platform: 'linux', dockerd: false, podman: false, aptGet: true, systemd: true };
    const plans: [string, Partial<Machine>, RegExp][] = [
      ['installs and starts Docker', {}, /apt-get install .*docker\.io iptables.*systemctl start docker$/],
      ['starts it by itself where no systemd does', { systemd: false }, /docker\.io iptables.*setsid dockerd/],
      ['only starts a Docker that is there', { dockerd: true }, /^systemctl start docker$/],
      ['takes a Docker before a Podman', { dockerd: true, podman: true }, /^systemctl start docker$/],
      [
        'leaves the start of Podman to the person',
        { podman: true },
        /Run `systemctl --user enable --now podman\.socket`/,
      ],
      [
        'knows no other packages than Debian’s',
        { aptGet: false },
        /Install Docker or Podman from the system’s packages/,
      ],
      ['leaves Docker Desktop to the person', { platform: 'darwin' }, /Start Docker Desktop/],
    ];
    for (const [title, differs, expected] of plans) {
      it(title, () => {
        const plan = planEngine({ ...bare, ...differs });
        assert.match('refusal' in plan ? plan.refusal : plan.commands.flat().join(' '), expected);
      });
    }
  });
});

/** Resolves when such a line comes. The stream goes on flowing. */
async function line(stream: Readable, expected: RegExp): Promise<void> {
  const lines = createInterface({ input: stream.pipe(new PassThrough()) });
  for await (const found of lines) if (expected.test(found)) return;
  throw new Error(`No line was like ${expected}.`);
}

/** Runs the set-up where this folder is to be read, and nothing else of this machine is there. */
async function onMachineWithoutEngine(engine: Engine, env: string[]): Promise<{ code: number; output: string }> {
  const { runtimes } = await loadRuntimes(loadConfig());
  const images = new Images(loadConfig(), () => engine);
  await images.prepare(runtimes);
  const [runtime] = runtimes;
  assert.ok(runtime);
  const container = await engine.docker.createContainer({
    Image: images.tag(runtime),
    Entrypoint: [join(ROOT, 'node_modules/node/bin/node'), join(ROOT, 'setup.mjs')],
    User: 'root',
    Env: env,
    Tty: true,
    HostConfig: { Binds: [`${ROOT}:${ROOT}:ro`], NetworkMode: 'none' },
  });
  try {
    await container.start();
    const { StatusCode } = await container.wait();
    const output = await container.logs({ stdout: true, stderr: true });
    return { code: StatusCode, output: output.toString('utf8').replaceAll('\r\n', '\n') };
  } finally {
    await container.remove({ force: true });
  }
}
