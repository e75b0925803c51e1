/** The unit tests and fuzz targets of what is written in C, built with the compiler that builds it for the images. */
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { filesBelow, makeInStage } from '../helpers/build-stage.ts';
import { buildImages } from '../helpers/images.ts';

const BUILD_WITHIN_MS = 600_000;
const BUILT_IN = 'BUILD=/tmp/build';

describe('the agent’s own tests, on the Debian that it is built on', () => {
  let printed: string;
  let exitCode: number;

  before(async function () {
    this.timeout(BUILD_WITHIN_MS);
    const config = loadConfig();
    await using engine = await Engine.connect(config);
    const { images } = await buildImages(config, engine, ['python']); // any: the agent comes with it
    ({ printed, exitCode } = await makeInStage(engine, {
      folder: 'agent',
      stage: 'agent',
      buildargs: { BASE: images.tag({ id: 'base' }) },
      args: ['--keep-going', '--jobs=2', '-C', '/src/agent', BUILT_IN, 'test', 'replay', 'REPLAY_MUTATIONS=3000'],
    }));
  });

  it('pass under the sanitizers, with every warning an error', () => {
    const [, passed, failed] = /^(\d+) passed, (\d+) failed\r$/m.exec(printed) ?? assert.fail(printed);
    assert.equal(failed, '0', printed);
    assert.ok(Number(passed) > 80, printed);
    assert.equal(exitCode, 0, printed);
  });

  it('replay every fuzz target’s corpus and what is made from it', async () => {
    const targets = (await filesBelow('agent/fuzz')).flatMap((path) => /(\w+)_target\.c$/.exec(path)?.[1] ?? []);
    assert.ok(targets.length > 0);
    for (const target of targets) {
      const corpus = await filesBelow(`agent/fuzz/corpus/${target}`);
      assert.ok(corpus.length > 0, target);
      const line = `replay-${target}: ${corpus.length} inputs of the corpus and 3000 made from them`;
      assert.ok(printed.includes(line), `${line}\n${printed}`);
    }
  });
});

describe('the SQL runner’s own tests, on the Debian that it is built on', () => {
  it('pass under the sanitizers, with every warning an error', async function () {
    this.timeout(BUILD_WITHIN_MS);
    const config = loadConfig();
    await using engine = await Engine.connect(config);
    const { images } = await buildImages(config, engine, ['sql']);
    const { printed, exitCode } = await makeInStage(engine, {
      folder: 'sql',
      stage: 'runner',
      buildargs: { BASE: images.tag({ id: 'base' }), AGENT: images.tag({ id: 'agent' }) },
      args: ['--keep-going', '--jobs=2', '-C', '/src/sql/runner', BUILT_IN, 'test'],
    });
    const [, passed, failed] = /^(\d+) passed, (\d+) failed\r$/m.exec(printed) ?? assert.fail(printed);
    assert.equal(failed, '0', printed);
    assert.ok(Number(passed) > 50, printed);
    assert.equal(exitCode, 0, printed);
  });
});
