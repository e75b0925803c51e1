import assert from 'node:assert/strict';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Blobs } from '../../src/store/blobs.ts';
import { cleanUpAfterEach, sha256, temporaryFolder } from '../support/daemon.ts';

cleanUpAfterEach();

const KiB = 1024;
/** Distinct contents of a size. */
const contents = (name: string, sizeBytes: number) => Buffer.alloc(sizeBytes, `${name}.`);

async function put(blobs: Blobs, bytes: Buffer, owner = 'me'): Promise<string> {
  const hash = sha256(bytes);
  await blobs.put(owner, hash, Readable.from([bytes]));
  return hash;
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

describe('uploaded contents', () => {
  it('come back as they were, in memory and as a stream, also after a restart', async () => {
    const folder = await temporaryFolder();
    const small = contents('small', 100);
    const large = contents('large', 3_000_000);
    const first = new Blobs(folder, 10 ** 9);
    for (const bytes of [small, large]) await put(first, bytes);
    for (const blobs of [first, new Blobs(folder, 10 ** 9)]) {
      for (const bytes of [small, large, small]) {
        assert.deepEqual(await blobs.read('me', sha256(bytes)), bytes);
        const stream = await blobs.open('me', sha256(bytes));
        assert.ok(stream);
        assert.deepEqual(await buffer(stream), bytes);
        assert.equal(await blobs.size('me', sha256(bytes)), bytes.length);
      }
    }
  });

  it('may be empty', async () => {
    const blobs = new Blobs(await temporaryFolder(), 10);
    assert.equal((await blobs.read('me', await put(blobs, Buffer.alloc(0)))).length, 0);
  });

  it('are refused under another hash than their own, and leave nothing', async () => {
    const folder = await temporaryFolder();
    const blobs = new Blobs(folder, 10 ** 9);
    const wrong = sha256('something else');
    await assert.rejects(blobs.put('me', wrong, Readable.from([Buffer.from('this')])), {
      code: 'hash_mismatch',
      message: `The contents sent as ${wrong} have the SHA-256 ${sha256('this')}.`,
    });
    assert.deepEqual(await blobs.missing('me', [wrong, sha256('this')]), [wrong, sha256('this')]);
    assert.deepEqual(await filesBelow(folder), []);
  });

  it('leave nothing when the upload breaks off', async () => {
    const folder = await temporaryFolder();
    const blobs = new Blobs(folder, 10 ** 9);
    const broken = async function* () {
      yield contents('half', 200_000);
      throw new Error('the client went away');
    };
    await assert.rejects(blobs.put('me', sha256('x'), broken()), /the client went away/);
    assert.deepEqual(await filesBelow(folder), []);
  });

  it('leave nothing of uploads that a killed daemon had begun', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'blobs'));
    await writeFile(join(folder, 'blobs', 'a1b2.partial'), 'half of it');
    const hash = await put(new Blobs(folder, 10 ** 9), Buffer.from('whole'));
    assert.deepEqual(await filesBelow(folder), [hash]);
  });

  it('are asked for once each, however often they are named', async () => {
    const blobs = new Blobs(await temporaryFolder(), 10 ** 9);
    const here = await put(blobs, Buffer.from('here'));
    const gone = sha256('gone');
    assert.deepEqual(await blobs.missing('me', [gone, here, gone]), [gone]);
    await assert.rejects(blobs.read('me', gone), { code: 'blobs_missing', details: { missing: [gone] } });
    assert.equal(await blobs.open('me', gone), undefined);
    assert.equal(await blobs.size('me', gone), undefined);
  });

  it('of one owner are not there for another, whatever the owners are called', async () => {
    const folder = await temporaryFolder();
    const blobs = new Blobs(folder, 10 ** 9);
    const hash = await put(blobs, Buffer.from('secret'), '../../me');
    for (const other of ['me', '', '../../Me']) {
      assert.deepEqual(await blobs.missing(other, [hash]), [hash]);
      assert.equal(await blobs.open(other, hash), undefined);
      await assert.rejects(blobs.read(other, hash), { code: 'blobs_missing' });
    }
    assert.deepEqual(await readdir(folder), ['blobs'], 'nobody’s name leads out of the folder');
  });

  it('that are put by several at once are kept once', async () => {
    const folder = await temporaryFolder();
    const blobs = new Blobs(folder, 100 * KiB);
    const bytes = contents('same', 40 * KiB);
    const other = await put(blobs, contents('other', 50 * KiB));
    await Promise.all(Array.from({ length: 8 }, () => put(blobs, bytes)));
    assert.deepEqual(await blobs.missing('me', [sha256(bytes), other]), [], 'they count once against the bound');
    assert.deepEqual((await filesBelow(folder)).sort(), [sha256(bytes), other].sort());
  });

  it('that vanished from the disk are missing, and can be uploaded again', async () => {
    const folder = await temporaryFolder();
    const first = new Blobs(folder, 10 ** 9);
    const [read, opened] = [contents('read', 300 * KiB), contents('opened', 300 * KiB)];
    for (const bytes of [read, opened]) await put(first, bytes);
    const [owner = ''] = await readdir(join(folder, 'blobs'));
    for (const bytes of [read, opened]) await rm(join(folder, 'blobs', owner, sha256(bytes)));
    await assert.rejects(first.read('me', sha256(read)), { code: 'blobs_missing' });
    assert.equal(await first.open('me', sha256(opened)), undefined);
    assert.deepEqual(await first.missing('me', [read, opened].map(sha256)), [read, opened].map(sha256));
    await put(first, read);
    assert.deepEqual(await first.read('me', sha256(read)), read);
  });
});

/** Uses are told apart by the millisecond. */
function nextMillisecond(): void {
  const now = Date.now();
  while (Date.now() === now);
}

describe('the space for contents', () => {
  it('is kept by letting the least recently used go', async () => {
    const folder = await temporaryFolder();
    const blobs = new Blobs(folder, 100 * KiB);
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => contents(name, 30 * KiB)) as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ];
    for (const bytes of [a, b, c]) await put(blobs, bytes);
    await blobs.read('me', sha256(a));
    await put(blobs, b);
    await put(blobs, d);
    assert.deepEqual(await blobs.missing('me', [a, b, c, d].map(sha256)), [sha256(c)], 'a was read, b was sent again');
    assert.equal((await filesBelow(folder)).length, 3);
  });

  it('is counted for each owner', async () => {
    const blobs = new Blobs(await temporaryFolder(), 50 * KiB);
    const mine = await put(blobs, contents('mine', 40 * KiB), 'me');
    await put(blobs, contents('yours', 40 * KiB), 'you');
    assert.deepEqual(await blobs.missing('me', [mine]), []);
  });

  it('never costs a waiting run its contents', async () => {
    const blobs = new Blobs(await temporaryFolder(), 50 * KiB);
    const needed = await put(blobs, contents('needed', 40 * KiB));
    blobs.pin('me', [needed]);
    blobs.pin('me', [needed]);
    const crowd = (name: string) => put(blobs, contents(name, 40 * KiB));
    await crowd('b');
    assert.deepEqual(await blobs.missing('me', [needed]), []);
    blobs.unpin('me', [needed]);
    await crowd('c');
    assert.deepEqual(await blobs.missing('me', [needed]), [], 'another run still waits');
    blobs.unpin('me', [needed]);
    await crowd('d');
    assert.deepEqual(await blobs.missing('me', [needed]), [needed]);
  });

  it('keeps its order over a restart', async () => {
    const folder = await temporaryFolder();
    const before = new Blobs(folder, 100 * KiB);
    const old = await put(before, contents('old', 30 * KiB));
    nextMillisecond();
    const older = await put(before, contents('older', 30 * KiB));
    nextMillisecond();
    const used = await put(before, contents('used', 30 * KiB));
    nextMillisecond();
    await before.read('me', old);
    await before.tidy();
    const after = new Blobs(folder, 100 * KiB);
    await put(after, contents('new', 30 * KiB));
    assert.deepEqual(await after.missing('me', [old, older, used]), [older]);
  });

  it('is kept also when a restart finds a smaller bound', async () => {
    const folder = await temporaryFolder();
    for (const name of ['a', 'b', 'c', 'd']) await put(new Blobs(folder, 10 ** 9), contents(name, 30 * KiB));
    await put(new Blobs(folder, 65 * KiB), contents('e', 30 * KiB));
    assert.equal((await filesBelow(folder)).length, 2);
  });
});
