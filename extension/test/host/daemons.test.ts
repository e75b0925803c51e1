/** Daemons that do not suit, are out of reach, or go away: each is said in a sentence, with what mends it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { discover, type LocalDaemon as Found } from '@coderunner/daemon/client';
import { PROTOCOL_VERSION } from '@coderunner/daemon/protocol';
import { ConfigurationTarget, commands, type SecretStorage, Uri, workspace } from 'vscode';
import { findBundle } from '../../src/daemon/bundle.ts';
import { Daemon } from '../../src/daemon/daemon.ts';
import { LocalDaemon } from '../../src/daemon/local.ts';
import { HashCache } from '../../src/run/collect.ts';
import { Session } from '../../src/run/session.ts';
import { activated, runs, shown } from './observe.ts';
import { Person } from './person.ts';

const file = (name: string) => Uri.joinPath(workspace.workspaceFolders?.[0]?.uri as Uri, name);
const configure = (name: string, value: unknown, target = ConfigurationTarget.Global) =>
  workspace.getConfiguration('coderunner').update(name, value, target);
const VERSION = '0.1.0';
const TOKEN = 'open-sesame-open-sesame-open-sesame';

/** A daemon of another time: it answers what every daemon does, and speaks a protocol of its own. */
async function stranger(protocol: number, version: string) {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    if (request.url === '/healthz') response.end('{"status":"ok"}');
    else if (request.url === '/v1/status') response.end(JSON.stringify({ protocol, version }));
    else response.writeHead(404).end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    discovery: { url, token: TOKEN, pid: process.pid, version, protocol, startedAt: new Date().toISOString() },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The extension's parts, with a data folder of their own. */
async function ownParts(secrets: Partial<SecretStorage> = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'coderunner-parts-'));
  const usual = process.env.CODERUNNER_DATA_DIR;
  process.env.CODERUNNER_DATA_DIR = dataDir;
  const { cli } = findBundle(join(__dirname, '../..'));
  const local = (version = VERSION) => new LocalDaemon({ cli, version, node: () => '' });
  const first = local();
  const daemon = new Daemon(first, secrets as SecretStorage);
  return {
    dataDir,
    daemon,
    local,
    run: (source: string) => {
      const program = { key: 'x', title: 'x.py', uri: 'untitled:x.py', entry: 'x.py', text: source, stdin: '' };
      const size = { rows: 24, cols: 80 };
      return new Session({ id: 1, program, daemon, hashes: new HashCache(), size });
    },
    [Symbol.asyncDispose]: async () => {
      daemon.dispose();
      await first.stop(true);
      process.env.CODERUNNER_DATA_DIR = usual;
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

describe('The daemon', () => {
  before(async () => {
    await activated();
    await configure('view', 'output', ConfigurationTarget.Workspace);
  });
  after(() => configure('view', undefined, ConfigurationTarget.Workspace));

  describe('of another version', () => {
    it('on this machine is said to be older or newer, and can be restarted', async () => {
      for (const [protocol, word] of [
        [PROTOCOL_VERSION + 1, 'newer'],
        [PROTOCOL_VERSION - 1, 'older'],
      ] as const) {
        await using parts = await ownParts();
        await using other = await stranger(protocol, '9.9.9');
        await writeFile(join(parts.dataDir, 'daemon.json'), JSON.stringify(other.discovery));
        const session = parts.run('print(1)');
        await session.over;
        const { message, actions } = session.view;
        assert.match(message ?? '', new RegExp(`daemon 9\\.9\\.9 is ${word} than this program`));
        assert.deepEqual(
          actions.map(({ id }) => id),
          ['coderunner.restartDaemon'],
        );
        await rm(join(parts.dataDir, 'daemon.json'));
      }
    });

    it('on a team’s box is a sentence, and another can be chosen', async () => {
      await using parts = await ownParts({ get: async () => TOKEN });
      await using other = await stranger(PROTOCOL_VERSION + 1, '9.9.9');
      await configure('daemon.url', other.url);
      try {
        const session = parts.run('print(1)');
        await session.over;
        assert.match(session.view.message ?? '', /daemon 9\.9\.9 is newer than this program \(0\.1\.0\)/);
        assert.deepEqual(
          session.view.actions.map(({ id }) => id),
          ['coderunner.chooseDaemon', 'coderunner.rerun'],
        );
      } finally {
        await configure('daemon.url', undefined);
      }
    });

    it('makes way when it is older and nobody needs it, but not while a program runs', async () => {
      await using parts = await ownParts();
      const { pid: old } = (await parts.local().locate()) as Found;
      const session = parts.run('import time\nprint("begun", flush=True)\ntime.sleep(3600)');
      await new Promise<void>((resolve) => session.onDidPrint(() => resolve()));
      const updated = parts.local('99.0.0');
      assert.equal(((await updated.locate()) as Found).pid, old, 'a program runs on it');
      session.stop();
      await session.over;
      assert.notEqual(((await updated.locate()) as Found).pid, old);
    });
  });

  describe('of a team', () => {
    let folder: string;
    let url: string;
    let team: ChildProcess;

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'coderunner-team-'));
      await mkdir(join(folder, 'data'));
      const env = {
        ...process.env,
        ELECTRON_RUN_AS_NODE: '1',
        CODERUNNER_DATA_DIR: join(folder, 'data'),
        CODERUNNER_TOKEN: TOKEN,
        CODERUNNER_POOL_SIZE: '0',
      };
      const { cli } = findBundle(join(__dirname, '../..'));
      team = spawn(process.execPath, [cli, 'start', '--foreground'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
      for await (const line of team.stderr ?? []) if (String(line).includes('"msg":"ready"')) break;
      ({ url } = JSON.parse(await readFile(join(folder, 'data/daemon.json'), 'utf8')));
    });
    after(async () => {
      await configure('daemon.url', undefined);
      const gone = once(team, 'exit');
      team.kill('SIGTERM');
      await gone;
      await rm(folder, { recursive: true, force: true });
    });

    it('is used once its token was tried; a wrong one is asked for again', async () => {
      using person = new Person(
        [
          ['Where do programs run', 'team'],
          ['daemon’s address', url],
          ['The token for', 'not-the-token'],
          ['token', 'Try Again'],
          ['The token for', TOKEN],
        ].map(([question, answer]) => [new RegExp(question as string), answer as string]),
      );
      await commands.executeCommand('coderunner.chooseDaemon');
      await person.hears(/Programs run on http:.* now \(daemon 0\.1\.0\)/);
      assert.equal(person.heard.filter((text) => text.startsWith('The token for')).length, 2);
      assert.equal(workspace.getConfiguration('coderunner').get('daemon.url'), url);
      await runs('on the team’s daemon');
    });

    it('that takes the token no longer asks for another', async () => {
      await using parts = await ownParts({ get: async () => 'withdrawn' });
      const session = parts.run('print(1)');
      await session.over;
      assert.deepEqual(
        session.view.actions.map(({ id }) => id),
        ['coderunner.enterToken', 'coderunner.chooseDaemon'],
      );
    });

    it('whose token is not known yet asks for it', async () => {
      await using parts = await ownParts({ get: async () => undefined });
      const session = parts.run('print(1)');
      await session.over;
      assert.match(session.view.message ?? '', /There is no token yet for the daemon at http/);
      assert.equal(session.view.actions[0]?.id, 'coderunner.enterToken');
    });

    it('that cannot be reached is named, and another can be chosen', async () => {
      await using other = await stranger(PROTOCOL_VERSION, VERSION);
      const nobody = other.url;
      await other[Symbol.asyncDispose]();
      await configure('daemon.url', nobody);
      await using parts = await ownParts({ get: async () => TOKEN });
      const session = parts.run('print(1)');
      await session.over;
      assert.ok(session.view.message?.includes(nobody), session.view.message ?? '');
      assert.deepEqual(
        session.view.actions.map(({ id }) => id),
        ['coderunner.chooseDaemon', 'coderunner.rerun'],
      );
      assert.equal((await parts.daemon.refresh()).state, 'down');
    });
  });

  describe('that dies', () => {
    it('leaves a run that is told lost, and the next run has another', async () => {
      const dataDir = process.env.CODERUNNER_DATA_DIR as string;
      await commands.executeCommand('coderunner.run', file('endless.py'));
      await shown(/It begins\./);
      const { pid } = (await discover(dataDir)) as Found;
      process.kill(pid, 'SIGKILL');
      await shown(/It begins\..*— .*(lost|went away)/is);
      await runs('on another daemon');
      assert.notEqual((await discover(dataDir))?.pid, pid);
    });
  });
});
