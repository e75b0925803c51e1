/** What an editor pays for a workspace of a thousand files of which one has changed: what that one costs, and a line for each of the others. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { collect, HashCache } from '../../../extension/src/run/collect.ts';
import { Client } from '../../src/client/index.ts';
import { TestDaemon } from '../support/live-daemon.ts';

const FILES = 1_000;
const FILE_BYTES = 4_096;
/** A path, a hash and the punctuation of JSON. */
const BYTES_TO_NAME_A_FILE = 150;

/** Passes a daemon's connections on, and keeps what clients send. */
async function wiretap(daemonUrl: () => string) {
  const sent: Buffer[] = [];
  const server = createServer((client) => {
    const { hostname, port } = new URL(daemonUrl());
    const daemon = connect(Number(port), hostname);
    client.on('data', (bytes) => sent.push(bytes)).pipe(daemon);
    daemon.pipe(client);
    for (const socket of [client, daemon]) socket.on('error', () => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** What was sent since it was asked last. */
    take: () => Buffer.concat(sent.splice(0)).toString('latin1'),
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

describe('a workspace of a thousand files', () => {
  it('is read and sent once; afterwards only what has changed is', async () => {
    await using stack = new AsyncDisposableStack();
    const root = await mkdtemp(join(tmpdir(), 'coderunner-large-'));
    stack.defer(() => rm(root, { recursive: true }));
    const long = new Date(Date.now() - 60_000);
    const write = async (path: string, text: string) => {
      await writeFile(join(root, path), text);
      // A file that has just been written may be written again within the same tick of its clock, so it counts as unknown.
      await utimes(join(root, path), long, new Date(long.getTime() + text.length));
    };
    for (let folder = 0; folder < 10; folder++) await mkdir(join(root, `${folder}`));
    for (let file = 1; file < FILES; file++) await write(`${file % 10}/${file}.txt`, `${file}`.padEnd(FILE_BYTES, '.'));
    await write('main.py', "print(open('7/7.txt').read()[:5])");

    let url = '';
    const tap = stack.use(await wiretap(() => url));
    const daemon = stack.use(await TestDaemon.start({ poolSize: 1, allowedHosts: [tap.host] }));
    url = daemon.url;
    const address = { url: `http://${tap.host}`, token: daemon.token };
    const client = stack.use(new Client({ locate: async () => address }));
    const hashes = new HashCache();
    const run = async () => {
      const before = hashes.filesRead;
      const options = { root, entry: 'main.py', unsaved: new Map(), exclude: [], maxFiles: 5_000, maxBytes: 2 ** 26 };
      const { files } = await collect({ ...options, signal: new AbortController().signal }, hashes);
      assert.equal(files.length, FILES);
      let printed = '';
      const onOutput = ({ data }: { data: Uint8Array }) => {
        printed += Buffer.from(data).toString();
      };
      const handle = await client.start({ files, entry: 'main.py' }, { onOutput });
      const { state } = await handle.done;
      const sent = tap.take();
      const uploads = sent.split('PUT /v1/blobs/').length - 1;
      return { state, printed, filesRead: hashes.filesRead - before, uploads, sent };
    };

    const first = await run();
    assert.deepEqual([first.state, first.printed], ['succeeded', '7....\n']);
    assert.deepEqual([first.filesRead, first.uploads], [FILES, FILES]);
    assert.ok(first.sent.length > FILES * FILE_BYTES);

    await write('7/7.txt', 'changed'.padEnd(FILE_BYTES + 1, '!'));
    const second = await run();
    assert.deepEqual([second.state, second.printed], ['succeeded', 'chang\n']);
    assert.deepEqual([second.filesRead, second.uploads], [1, 1]);
    assert.ok(second.sent.length < FILES * BYTES_TO_NAME_A_FILE + 2 * FILE_BYTES, `${second.sent.length} bytes`);

    const third = await run();
    assert.deepEqual([third.state, third.filesRead, third.uploads], ['succeeded', 0, 0]);
    assert.ok(!third.sent.includes('/v1/blobs/missing'), 'nothing needs to be asked');
  });
});
