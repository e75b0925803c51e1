/** What `coderunner doctor` looks at in the languages: their folders, their images, and a sandbox that really starts. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from '../../pool/sandbox.ts';
import { CodeRunnerError, formatDuration } from '../../protocol/index.ts';
import { OWN_DEBIAN } from '../../runtimes/images.ts';
import type { Runtime } from '../../runtimes/runtime.ts';
import type { Finding } from './check.ts';
import type { Surroundings } from './engine.ts';

const REGISTRY_WITHIN_MS = 10_000;

export function brokenRuntime(problem: string): Finding {
  return {
    state: 'fail',
    found: problem,
    meaning: 'Programs in this language cannot be run. The other languages are not affected.',
    remedy: 'Correct the file; docs/runtimes.md says what each field takes.',
  };
}

export async function checkBase({ config, engine, images }: Surroundings): Promise<Finding> {
  if ((await images.state({ id: 'base' })) === 'ready') return { state: 'ok', found: images.tag({ id: 'base' }) };
  for (const name of [config.baseImage, OWN_DEBIAN]) {
    if (await images.exists(name)) return { state: 'ok', found: `${name}, for the first build` };
  }
  const asked = engine.docker.getImage(config.baseImage).distribution();
  const answer = await Promise.race([
    asked.then(
      () => undefined,
      (error: Error) => error.message.trim(),
    ),
    sleep(REGISTRY_WITHIN_MS, 'no answer', { ref: false }),
  ]);
  if (answer === undefined)
    return { state: 'ok', found: `${config.baseImage} is at its registry, for the first build` };
  if (await canBootstrap()) {
    return {
      state: 'warn',
      found: `no registry gives ${config.baseImage} (${answer})`,
      meaning: 'The base image is built from Debian’s packages instead, which takes a little longer, once.',
      remedy: '',
    };
  }
  return {
    state: 'fail',
    found: `no registry gives ${config.baseImage} (${answer})`,
    meaning: 'The images of the languages stand on it; none of them can be built.',
    remedy:
      'Connect to the registry, name an image of your own with CODERUNNER_BASE_IMAGE, or (Debian, as root) `apt-get install mmdebstrap`.',
  };
}

/** Whether a Debian can be built here: mmdebstrap is there, and the user may. */
async function canBootstrap(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  const folders = (process.env.PATH ?? '').split(':');
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, 'mmdebstrap'), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}

export async function checkImage({ images }: Surroundings, runtime: Runtime): Promise<Finding> {
  if ((await images.state(runtime)) === 'ready') return { state: 'ok', found: images.tag(runtime) };
  return {
    state: 'skip',
    found: 'its image is not built yet, or was built from other sources; the first run builds it',
    remedy: `To have it before that: coderunner runtimes build ${runtime.id}`,
  };
}

/** Starts a real one and waits until its agent says that it can take a run. */
export async function checkSandbox({ config, engine, images, runtimes }: Surroundings): Promise<Finding> {
  const built = await Promise.all(runtimes.map(async (one) => (await images.state(one)) === 'ready'));
  const runtime = runtimes.find((_, index) => built[index]);
  if (!runtime) return { state: 'skip', found: 'no runtime is built' };
  const started = performance.now();
  try {
    const { cpus, workspaceBytes, workspaceFiles, tmpBytes, ociRuntime } = config;
    await using sandbox = await Sandbox.create(
      engine,
      {
        image: images.tag(runtime),
        labels: { 'coderunner.instance': 'doctor', 'coderunner.runtime': runtime.id },
        command: runtime.warm ? ['--', ...runtime.warm.argv] : [],
        user: 0,
        memoryBytes: runtime.limits.memoryBytes,
        pids: runtime.limits.pids,
        cpus,
        workspaceBytes,
        workspaceFiles,
        tmpBytes,
        ...(ociRuntime ? { ociRuntime } : {}),
      },
      new AbortController().signal,
    );
    const found = `${runtime.name} was ready after ${formatDuration(performance.now() - started)}`;
    if (sandbox.warm || !runtime.warm) return { state: 'ok', found };
    return {
      state: 'warn',
      found: `${found}, but without its waiting interpreter`,
      meaning: 'Each run starts its interpreter anew and takes longer.',
      remedy: `coderunner runtimes build ${runtime.id} --force`,
    };
  } catch (error) {
    return {
      state: 'fail',
      found: `${runtime.name}: ${(error as Error).message}`,
      meaning: 'The engine cannot run a sandbox as it is hardened.',
      remedy:
        // Of an engine's error the usual hint is the doctor.
        error instanceof CodeRunnerError && error.code !== 'engine_error'
          ? error.hint
          : 'See the engine’s own log, and the other lines of this list.',
    };
  }
}
