/** What the protections around a program cost it: the same hello in two sandboxes, of which one has none but the user that is not root. */
import { performance } from 'node:perf_hooks';
import { type Alteration, AlteredEngine } from '../test/support/altered-engine.ts';
import type { Context } from './context.ts';
import { BenchDaemon, BUNDLE } from './daemon.ts';
import { expectGreeting } from './hello.ts';
import { alternate, type Subject, summarise } from './measure.ts';
import { program, requestFor } from './programs.ts';
import type { Measurement } from './report.ts';
import { Sandbox } from './sandbox.ts';

const AT_MOST_MS = 1;

/** As engines make containers by themselves, but for the capabilities that the agent cannot do without, which engines give anyway. */
const unprotected: Alteration = (asked) => {
  const { HostConfig } = asked;
  HostConfig.SecurityOpt = ['seccomp=unconfined'];
  HostConfig.MaskedPaths = [];
  HostConfig.ReadonlyPaths = [];
  HostConfig.ReadonlyRootfs = false;
  delete HostConfig.CapDrop;
  delete HostConfig.CapAdd;
  delete HostConfig.Ulimits;
  delete HostConfig.Memory;
  delete HostConfig.MemorySwap;
  delete HostConfig.PidsLimit;
  delete HostConfig.NanoCpus;
};

/** Both talk to their engine through the same kind of go-between, so that this does not count. */
export async function protections({ quick }: Context): Promise<Measurement> {
  await using ours = await ProtectionSubject.start(() => {});
  await using theirs = await ProtectionSubject.start(unprotected);
  const rounds = quick ? { rounds: 5, warmUps: 1 } : { rounds: 150, warmUps: 10 };
  const [oursMs = [], theirsMs = []] = await alternate([ours, theirs], rounds);
  const times = summarise(oursMs);
  const theirTimes = summarise(theirsMs);
  return {
    what: 'python hello with all protections, submit → exit seen by a client on loopback',
    times,
    against: { what: 'the same in a sandbox without them', times: theirTimes },
    figure: { value: times.p50Ms - theirTimes.p50Ms, unit: 'ms' },
    bar: { atMost: AT_MOST_MS },
    notes: [
      `against: min ${theirTimes.minMs.toFixed(2)}, p50 ${theirTimes.p50Ms.toFixed(2)}, p95 ${theirTimes.p95Ms.toFixed(2)}, p99 ${theirTimes.p99Ms.toFixed(2)}`,
      `difference: min ${(times.minMs - theirTimes.minMs).toFixed(2)}, p50 ${(times.p50Ms - theirTimes.p50Ms).toFixed(2)}, p99 ${(times.p99Ms - theirTimes.p99Ms).toFixed(2)} ms`,
    ],
  };
}

/** A daemon whose containers an engine makes as it is told to. */
class ProtectionSubject implements Subject, AsyncDisposable {
  readonly #resources: AsyncDisposableStack;
  readonly #daemon: BenchDaemon;
  readonly #sandbox: Sandbox;
  readonly #request = requestFor(program('hello.py'));

  private constructor(resources: AsyncDisposableStack, daemon: BenchDaemon, sandbox: Sandbox) {
    this.#resources = resources;
    this.#daemon = daemon;
    this.#sandbox = sandbox;
  }

  static async start(alter: Alteration): Promise<ProtectionSubject> {
    await using resources = new AsyncDisposableStack();
    const engine = resources.use(await AlteredEngine.start(alter));
    const daemon = resources.use(
      await BenchDaemon.start(BUNDLE, { CODERUNNER_ENGINE: engine.address, CODERUNNER_POOL_PREWARM: 'python' }),
    );
    const sandbox = resources.use(await Sandbox.connect(daemon));
    return new ProtectionSubject(resources.move(), daemon, sandbox);
  }

  prepare(): Promise<void> {
    return this.#daemon.poolFull();
  }

  async sample(): Promise<number> {
    const begin = performance.now();
    const { run, output } = await this.#sandbox.run(this.#request);
    const ms = performance.now() - begin;
    if (run.state !== 'succeeded') throw new Error(`The run ended ${run.state}: ${run.message ?? run.error?.message}`);
    expectGreeting(output);
    if (!run.warm.interpreter) throw new Error('No interpreter waited for the run.');
    return ms;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}
