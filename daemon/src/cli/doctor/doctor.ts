/**
 * `coderunner doctor`: looks at everything that CodeRunner stands on, and says for each thing that is not right what that
 * means and how to mend it. It changes nothing but for one sandbox that it starts and removes again.
 */
import type { Config } from '../../config.ts';
import { Engine } from '../../engine/engine.ts';
import { CodeRunnerError } from '../../protocol/index.ts';
import { Images } from '../../runtimes/images.ts';
import { loadRuntimes } from '../../runtimes/load.ts';
import type { Runtime } from '../../runtimes/runtime.ts';
import type { Check, Finding } from './check.ts';
import * as engineChecks from './engine.ts';
import * as languages from './languages.ts';
import * as machine from './machine.ts';

/**
 * Makes all checks, in the order in which one stands on the other.
 * @throws nothing that a check can find: that is in its result
 */
export async function runDoctor(config: Config): Promise<Check[]> {
  const { runtimes, broken } = await loadRuntimes(config);
  const onThisMachine = [
    await check('node', 'Node.js', machine.checkNode),
    await check('data.folder', 'Data folder', () => machine.checkDataFolder(config.dataDir)),
    await check('data.disk', 'Disk space of the data folder', () => machine.checkDisk(config.dataDir)),
    await check('daemon', 'Daemon', () => machine.checkDaemon(config)),
    await check('port', 'Port', () => machine.checkPort(config)),
    ...(await Promise.all(
      broken.map(({ id, problem }) => check(`runtime.${id}`, `Runtime ${id}`, () => languages.brokenRuntime(problem))),
    )),
  ];
  let engine: Engine;
  try {
    engine = await Engine.connect(config);
  } catch (error) {
    return [...onThisMachine, await check('engine', 'Container engine', () => engineChecks.noEngine(error as Error))];
  }
  await using _ = engine;
  try {
    return [...onThisMachine, ...(await checkWithEngine(config, engine, runtimes))];
  } catch (error) {
    return [...onThisMachine, await check('engine', 'Container engine', () => engineChecks.noEngine(error as Error))];
  }
}

async function checkWithEngine(config: Config, engine: Engine, runtimes: readonly Runtime[]): Promise<Check[]> {
  const askedAt = Date.now();
  const info = (await engine.docker.info()) as engineChecks.EngineInfo;
  const answeredAt = Date.now();
  const images = new Images(config, () => engine);
  await images.prepare(runtimes);
  const around: engineChecks.Surroundings = { config, engine, info, images, runtimes };
  return [
    await check('engine', 'Container engine', () => engineChecks.checkEngine(around)),
    await check('engine.storage', 'Storage of images', () => engineChecks.checkStorage(info)),
    await check('engine.limits', 'Limits of memory, processes and processor time', () =>
      engineChecks.checkLimits(info),
    ),
    await check('engine.seccomp', 'Filter of system calls (seccomp)', () => engineChecks.checkSeccomp(info)),
    await check('engine.users', 'Users of containers', () => engineChecks.checkUsers(info)),
    await check('engine.oci-runtime', 'OCI runtime', () => engineChecks.checkOciRuntime(around)),
    await check('engine.disk', 'Disk space of the engine', () => engineChecks.checkEngineDisk(info)),
    await check('engine.clock', 'Clock', () => engineChecks.checkClock(info, askedAt, answeredAt)),
    await check('pool.memory', 'Memory for waiting sandboxes', () => engineChecks.checkPoolMemory(around)),
    await check('image.base', 'Base image', () => languages.checkBase(around)),
    ...(await Promise.all(
      runtimes.map((runtime) =>
        check(`runtime.${runtime.id}`, `Runtime ${runtime.name}`, () => languages.checkImage(around, runtime)),
      ),
    )),
    await check('sandbox', 'A sandbox', () => languages.checkSandbox(around)),
  ];
}

/** For a terminal: a line a check, and below what is not right what it means and how to mend it. */
export function renderDoctor(checks: readonly Check[]): string {
  const marks = { ok: '✔', warn: '!', fail: '✖', skip: '-' };
  const lines = checks.flatMap(({ title, state, found, meaning, remedy }) => [
    `${marks[state]} ${title}: ${found}`,
    ...(meaning ? [`    ${meaning}`] : []),
    ...(remedy ? [`    → ${remedy}`] : []),
  ]);
  const count = (state: Check['state']) => checks.filter((one) => one.state === state).length;
  const [failed, warned] = [count('fail'), count('warn')];
  const summary =
    failed > 0
      ? `${failed} of ${checks.length} checks failed.`
      : warned > 0
        ? `Everything works; ${warned} of ${checks.length} checks have a remark.`
        : 'Everything is as it should be.';
  return `${[...lines, '', summary].join('\n')}\n`;
}

/** One check. That it cannot be made is a finding too. */
async function check(id: string, title: string, find: () => Finding | Promise<Finding>): Promise<Check> {
  const finding = await Promise.try(find).catch(
    (error: Error): Finding => ({
      state: 'fail',
      found: `this could not be looked at: ${error.message}`,
      meaning: 'What it is about may not work.',
      remedy: error instanceof CodeRunnerError ? error.hint : 'Mend what the message says, then look again.',
    }),
  );
  return { id, title, meaning: '', remedy: '', ...finding };
}
