import type Docker from 'dockerode';
import type { BenchDaemon } from './daemon.ts';
import type { Sandbox } from './sandbox.ts';

/** What every benchmark gets. */
export interface Context {
  daemon: BenchDaemon;
  sandbox: Sandbox;
  docker: Docker;
  /** The short form: few samples, whose times say little. */
  quick: boolean;
}
