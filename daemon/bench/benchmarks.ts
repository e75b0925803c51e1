/** Every benchmark by its id. Ids are stable: other programs read them in the JSON. */
import { activation, click, type EditorContext, echo as editorEcho, flood } from '../../extension/bench/benchmarks.ts';
import type { Context } from './context.ts';
import { copyExec, dockerRun, javascriptHello, pythonHello } from './hello.ts';
import { cppUnchanged, languageHello, sqlHello, typescriptHello } from './languages.ts';
import { burst, idleMemory, refill } from './load.ts';
import { protections } from './protections.ts';
import type { Measurement } from './report.ts';
import { echo, firstByte, outputThroughput } from './streams.ts';

/** In the order they are run: what must find a daemon that has done nothing yet comes first, what leaves it tired last. */
export const BENCHMARKS: Record<string, (context: Context) => Promise<Measurement>> = {
  'idle.memory': idleMemory,
  'python.hello': pythonHello,
  'javascript.hello': javascriptHello,
  'typescript.hello': typescriptHello,
  'java.hello': languageHello('java'),
  'cpp.hello': languageHello('cpp'),
  'cpp.unchanged': cppUnchanged,
  'c.hello': languageHello('c'),
  'go.hello': languageHello('go'),
  'rust.hello': languageHello('rust'),
  'sql.hello': sqlHello,
  'bash.hello': languageHello('bash'),
  protections,
  'vs.docker-run': dockerRun,
  'vs.copy-exec': copyExec,
  'first-byte': firstByte,
  echo,
  'output.throughput': outputThroughput,
  refill,
  'burst.1000': burst,
};

/** In a window of VS Code, which takes minutes and hundreds of megabytes to be had: run where they are asked for. */
export const IN_EDITOR: typeof BENCHMARKS = {
  'vscode.activation': inEditor(activation),
  'vscode.click': inEditor(click),
  'vscode.echo': inEditor(editorEcho),
  'vscode.flood': inEditor(flood),
};

function inEditor(benchmark: (context: EditorContext) => Promise<Measurement>) {
  return async ({ editor, daemon, quick }: Context) =>
    benchmark({ editor: await editor(), poolFull: () => daemon.poolFull(), quick });
}
