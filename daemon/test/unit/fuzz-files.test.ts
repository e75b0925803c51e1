/** What comes as a file from where nobody is trusted, broken in every way: languages of one's own, and archives out of a sandbox. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import tar from 'tar-stream';
import type { Agent } from '../../src/agent/agent.ts';
import { BUNDLED_RUNTIMES } from '../../src/config.ts';
import { collectFiles } from '../../src/runs/collect.ts';
import { pathProblem } from '../../src/runs/spec.ts';
import { readRuntimeFile } from '../../src/runtimes/runtime-file.ts';

describe('a runtime.json', () => {
  const sources = readdirSync(BUNDLED_RUNTIMES)
    .map((folder) => join(BUNDLED_RUNTIMES, folder, 'runtime.json'))
    .flatMap((path) => {
      try {
        return [readFileSync(path, 'utf8')];
      } catch {
        return []; // a folder that is no language
      }
    });

  /** Puts something else in one place, the deeper the more numbers there are. */
  function alter(value: unknown, at: number[], other: unknown): unknown {
    const [first, ...rest] = at;
    if (first === undefined || typeof value !== 'object' || value === null) return other;
    const keys = Object.keys(value);
    if (keys.length === 0) return other;
    const key = keys[first % keys.length] as string;
    const copy = structuredClone(value) as Record<string, unknown>;
    if (other === undefined && rest.length === 0) delete copy[key];
    else copy[key] = alter(copy[key], rest, other);
    return copy;
  }

  const altered = fc
    .tuple(
      fc.constantFrom(...sources),
      fc.array(fc.nat(30), { maxLength: 4 }),
      fc.oneof(
        fc.jsonValue(),
        fc.constant(undefined),
        fc.constantFrom('', -1, 1e308, '../x', '\u0000', '${entry}', {}),
      ),
    )
    .map(([source, at, other]) => JSON.stringify(alter(JSON.parse(source), at, other)) ?? '');
  const cut = fc
    .tuple(fc.constantFrom(...sources), fc.nat(), fc.nat(20), fc.string())
    .map(([source, at, length, other]) => {
      const from = at % source.length;
      return source.slice(0, from) + other + source.slice(from + length);
    });

  it('is taken or has flaws that are said, whatever is changed in it', function () {
    this.timeout(60_000); // for machines that do much else
    assert.ok(sources.length > 5);
    fc.assert(
      fc.property(fc.oneof(altered, cut, fc.string()), (source) => {
        const read = readRuntimeFile('runtime.json', source);
        if (!Array.isArray(read)) return;
        assert.ok(read.length > 0);
        for (const { message } of read) assert.match(message, /\S/);
      }),
      { numRuns: 500 },
    );
  });
});

describe('an archive out of a sandbox', () => {
  const gone = new Error('The sandbox was given up.');

  /** What the daemon takes of these bytes; `gone` where it gives up the sandbox. */
  async function taken(slices: readonly Uint8Array[]): Promise<{ path: string; bytes: Buffer }[] | Error> {
    const closed = Promise.withResolvers<Error>();
    const agent = {
      closed: closed.promise,
      close: () => closed.resolve(gone),
      collect: async (_request: unknown, feed: (slice: Buffer) => void) => {
        for (const slice of slices) feed(Buffer.from(slice));
        return true;
      },
    };
    const files: { path: string; bytes: Buffer }[] = [];
    try {
      await collectFiles(agent as unknown as Agent, { globs: ['*'], maxFiles: 10, maxBytes: 10_000 }, (file) => {
        files.push(file);
      });
      return files;
    } catch (error) {
      return error as Error;
    }
  }

  const name = fc.oneof(
    fc.constantFrom('out.txt', '../up', '/etc/passwd', 'a/../../b', 'a\nb', 'CON', '.'),
    fc.string({ minLength: 1, maxLength: 150 }),
  );
  const entry = fc.record({
    name,
    type: fc.constantFrom('file', 'symlink', 'link', 'directory', 'fifo', 'character-device') as fc.Arbitrary<'file'>,
    contents: fc.string({ maxLength: 300 }),
  });

  async function archive(entries: { name: string; type: 'file'; contents: string }[]): Promise<Buffer> {
    const pack = tar.pack();
    const bytes = buffer(pack);
    for (const { name, type, contents } of entries)
      if (type === 'file') pack.entry({ name }, contents);
      else pack.entry({ name, type, linkname: contents || 'x' });
    pack.finalize();
    return bytes;
  }

  it('gives files below the workspace only, or none and the sandbox is given up, whatever is in it and however it is broken', async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(
        fc.array(entry, { maxLength: 5 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.option(fc.nat()),
        fc.integer({ min: 1, max: 2_000 }),
        async (entries, changes, end, size) => {
          let bytes = await archive(entries);
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          if (end !== null) bytes = bytes.subarray(0, end % bytes.length);
          const slices = [];
          for (let at = 0; at < bytes.length; at += size) slices.push(bytes.subarray(at, at + size));
          const files = await taken(slices);
          if (files instanceof Error) assert.equal(files, gone);
          else for (const { path } of files) assert.equal(pathProblem(path), undefined, path);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('is given up where it is garbage', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 600, maxLength: 3_000 }), async (bytes) => {
        const files = await taken([bytes]);
        if (files instanceof Error) assert.equal(files, gone);
        else assert.deepEqual(files, []);
      }),
      { numRuns: 100 },
    );
  });
});
