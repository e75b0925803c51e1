import type Docker from 'dockerode';
import type { Editor } from '../../extension/bench/editor.ts';
import type { BenchDaemon } from './daemon.ts';
import type { Sandbox } from './sandbox.ts';

/** What every benchmark gets. */
export interface Context {
  daemon: BenchDaemon;
  sandbox: Sandbox;
  docker: Docker;
  /** A window of VS Code on this daemon, opened when it is first asked for. */
  editor(): Promise<Editor>;
  /** The short form: few samples, whose times say little. */
  quick: boolean;
}
