/** Every benchmark by its id. Ids are stable: other programs read them in the JSON. */
import type { Context } from './context.ts';
import { copyExec, dockerRun, javascriptHello, pythonHello } from './hello.ts';
import { burst, idleMemory, refill } from './load.ts';
import type { Measurement } from './report.ts';
import { echo, firstByte, outputThroughput } from './streams.ts';

/** In the order they are run: what must find a daemon that has done nothing yet comes first, what leaves it tired last. */
export const BENCHMARKS: Record<string, (context: Context) => Promise<Measurement>> = {
  'idle.memory': idleMemory,
  'python.hello': pythonHello,
  'javascript.hello': javascriptHello,
  'vs.docker-run': dockerRun,
  'vs.copy-exec': copyExec,
  'first-byte': firstByte,
  echo,
  'output.throughput': outputThroughput,
  refill,
  'burst.1000': burst,
};
