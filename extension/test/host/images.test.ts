/** A language's image is built on its first run, and that can be cancelled. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findBundle } from '../../src/daemon/bundle.ts';
import { buildImage } from '../../src/daemon/images.ts';
import { LocalDaemon } from '../../src/daemon/local.ts';
import { Person } from './person.ts';

const RUNTIME = {
  id: 'slow',
  name: 'Slow',
  version: '1',
  aliases: [],
  languageIds: [],
  extensions: ['.slow'],
  entry: 'main.slow',
  compile: null,
  run: { argv: ['/bin/sh', '${entry}'] },
  limits: { memory: '64MiB', pids: 16, wall: '10s' },
};

describe('The image of a language', () => {
  let folder: string;
  let local: LocalDaemon;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coderunner-slow-'));
    await mkdir(join(folder, 'slow'));
    await writeFile(join(folder, 'slow/runtime.json'), JSON.stringify(RUNTIME));
    process.env.CODERUNNER_RUNTIMES_PATH = folder;
    local = new LocalDaemon({ cli: findBundle(join(__dirname, '../..')).cli, version: '0.1.0', node: () => '' });
  });
  after(async () => {
    delete process.env.CODERUNNER_RUNTIMES_PATH;
    await rm(folder, { recursive: true });
  });

  const dockerfile = (...steps: string[]) =>
    writeFile(join(folder, 'slow/Dockerfile'), ['ARG BASE', 'FROM ${BASE}', ...steps, ''].join('\n'));
  const build = (lines: string[]) =>
    buildImage(local, RUNTIME, (line) => lines.push(line), new AbortController().signal);

  it('is not waited for any longer when its notification is cancelled', async () => {
    await dockerfile('RUN sleep 3600');
    using person = new Person([[/Preparing Slow for its first run/, 'Cancel']]);
    const lines: string[] = [];
    await assert.rejects(build(lines), { name: 'AbortError' });
    assert.match(await person.hears(/ \d+\/\d+: /), /slow/);
  });

  it('that cannot be built says why, and the console has what the build printed', async () => {
    await dockerfile('RUN echo what is wrong && exit 3');
    using _ = new Person();
    const lines: string[] = [];
    await assert.rejects(build(lines), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'build_failed');
      assert.match(error.message, /Slow could not be prepared: /);
      return true;
    });
    assert.ok(lines.some((line) => line.includes('what is wrong')));
  });
});
