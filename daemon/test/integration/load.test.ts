/** The short form of `npm run test:load`: the same questions, few connections, and no judgement of times. */
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { buildImages } from '../helpers/images.ts';
import { load, PROGRAMS } from '../load/load.ts';

describe('a daemon that many owners use at once', () => {
  before(async function () {
    this.timeout(600_000); // images that are not there are built
    const config = loadConfig();
    await using engine = await Engine.connect(config);
    await buildImages(
      config,
      engine,
      PROGRAMS.map(({ runtime }) => runtime),
    );
  });

  it('loses nothing, shows nobody another’s, refuses what is too much, and is as before', async function () {
    this.timeout(600_000); // on a machine that does much else
    let findings = 0;
    for await (const { what, figures, wrong, timed } of load({
      seconds: 1,
      connections: 10,
      people: 4,
      queued: 20,
      hellos: 5,
    })) {
      findings++;
      if (timed) continue;
      console.log(`      ${what}: ${figures}`);
      assert.deepEqual(wrong, [], `${what}: ${figures}`);
    }
    assert.equal(findings, 9);
  });
});
