/** What the daemon counts, in Prometheus' format. `docs/operations.md` lists it from here. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Pool } from '../pool/pool.ts';
import type { Runs } from '../runs/runs.ts';

/** The usual metrics of a process measure how late timers are by one that goes off all the time. So seldom it wakes nobody. */
const SELDOM_MS = 24 * 60 * 60_000;
/** What that timer would tell. */
const MEASURED_BY_TIMER = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'];

export class Metrics {
  readonly #registry = new Registry();

  constructor(runs: Runs, pool: Pool, clients: () => number) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: SELDOM_MS });
    for (const name of MEASURED_BY_TIMER) this.#registry.removeSingleMetric(`nodejs_eventloop_lag_${name}_seconds`);
    const ended = new Counter({
      name: 'coderunner_runs_total',
      help: 'Runs that ended, by runtime and state.',
      labelNames: ['runtime', 'state'],
      registers,
    });
    const output = new Counter({
      name: 'coderunner_output_bytes_total',
      help: 'Bytes that programs printed.',
      labelNames: ['runtime'],
      registers,
    });
    const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
    const took = new Histogram({
      name: 'coderunner_run_seconds',
      help: 'From start to end of the programs.',
      labelNames: ['runtime'],
      buckets,
      registers,
    });
    const waited = new Histogram({
      name: 'coderunner_queue_seconds',
      help: 'From submission until a run left the queue.',
      buckets,
      registers,
    });
    runs.observer = {
      settled(run, queuedMs) {
        ended.inc({ runtime: run.runtime, state: run.state });
        output.inc({ runtime: run.runtime }, run.outputBytes);
        waited.observe(queuedMs / 1000);
        if (run.wallMs !== null) took.observe({ runtime: run.runtime }, run.wallMs / 1000);
      },
    };
    new Gauge({
      name: 'coderunner_runs',
      help: 'Runs that have not ended.',
      labelNames: ['state'],
      registers,
      collect() {
        const { queued, running } = runs.counts;
        this.set({ state: 'queued' }, queued);
        this.set({ state: 'running' }, running);
      },
    });
    new Gauge({
      name: 'coderunner_clients',
      help: 'Open streams.',
      registers,
      collect() {
        this.set(clients());
      },
    });
    new Gauge({
      name: 'coderunner_engine_up',
      help: '1 while the container engine answers.',
      registers,
      collect() {
        this.set(pool.status().engine.state === 'up' ? 1 : 0);
      },
    });
    new Gauge({
      name: 'coderunner_sandboxes',
      help: 'Containers, by runtime and what they are doing.',
      labelNames: ['runtime', 'state'],
      registers,
      collect() {
        for (const { runtime, idle, creating, leased } of pool.status().runtimes) {
          this.set({ runtime, state: 'idle' }, idle);
          this.set({ runtime, state: 'creating' }, creating);
          this.set({ runtime, state: 'leased' }, leased);
        }
      },
    });
    new Gauge({
      name: 'coderunner_sandboxes_target',
      help: 'Containers that should wait, by runtime: what comes lately, as far as there is memory.',
      labelNames: ['runtime'],
      registers,
      collect() {
        for (const { runtime, target } of pool.status().runtimes) this.set({ runtime }, target);
      },
    });
    new Gauge({
      name: 'coderunner_sandboxes_used',
      help: 'Containers that served a run and wait for the next one of its owner.',
      registers,
      collect() {
        this.set(pool.status().used);
      },
    });
    new Gauge({
      name: 'coderunner_leases',
      help: 'Sandboxes handed out since the start, by whether one was waiting.',
      labelNames: ['runtime', 'result'],
      registers,
      collect() {
        for (const { runtime, hits, misses } of pool.status().runtimes) {
          this.set({ runtime, result: 'hit' }, hits);
          this.set({ runtime, result: 'miss' }, misses);
        }
      },
    });
  }

  /** The text of `/metrics`. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
}
