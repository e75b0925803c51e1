/** How files travel: small ones in the message, the others by their hash. */
import assert from 'node:assert/strict';
import { pack } from '../../src/client/files.ts';
import { sha256 } from '../support/daemon.ts';

describe('files of a run', () => {
  it('small text goes as it is, small bytes as base64, and what can be executed says so', async () => {
    const { files, byHash } = await pack([
      { path: 'main.py', content: Buffer.from('print("ü")') },
      { path: 'data.bin', content: Buffer.from([0xff, 0xfe]), executable: true },
    ]);
    assert.deepEqual(files, [
      { path: 'main.py', content: 'print("ü")' },
      { path: 'data.bin', content: '//4=', encoding: 'base64', executable: true },
    ]);
    assert.equal(byHash.size, 0);
  });

  it('a large file goes by its hash, once for the same contents', async () => {
    const large = Buffer.alloc(100_000, 'x');
    const { files, byHash } = await pack([
      { path: 'a', content: large },
      { path: 'b', content: async () => large },
    ]);
    assert.deepEqual(files, [
      { path: 'a', sha256: sha256(large) },
      { path: 'b', sha256: sha256(large) },
    ]);
    assert.deepEqual([...byHash.keys()], [sha256(large)]);
  });

  it('many small files do not make one large message', async () => {
    const sources = Array.from({ length: 10 }, (_, i) => ({ path: `${i}`, content: Buffer.alloc(60_000, `${i}`) }));
    const { files, byHash } = await pack(sources);
    assert.equal(files.filter((file) => 'content' in file).length, 4);
    assert.equal(byHash.size, 6);
  });

  it('contents whose hash is known are not read', async () => {
    const { files } = await pack([
      { path: 'big', sha256: sha256('big'), content: () => Promise.reject(new Error('was read')) },
    ]);
    assert.deepEqual(files, [{ path: 'big', sha256: sha256('big') }]);
  });
});
