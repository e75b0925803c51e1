/** `coderunner ps`, `logs` and `kill`: runs of now and of the past. */
import type { RunObserver } from '../client/run-feed.ts';
import { CodeRunnerError, type ErrorBody } from '../protocol/errors.ts';
import type { Run } from '../protocol/resources.ts';
import { isEnd, LIVE_STATES } from '../protocol/states.ts';
import { formatBytes, formatDuration } from '../protocol/units.ts';
import { connect } from './connect.ts';
import { accentOut, ago, print, printJson, say, sayError, stderr, stdout, table } from './output.ts';

/** @param options.all also those that have ended, the latest `limit` of them */
export async function ps(options: { all: boolean; limit: number; json: boolean }): Promise<number> {
  await using connected = connect();
  const { limit } = options;
  const { runs } = await connected.client.api.runs(options.all ? { limit } : { limit, states: LIVE_STATES });
  if (options.json) {
    await printJson(runs);
    return 0;
  }
  if (runs.length === 0 && !options.all) {
    await say('No run waits or runs; `coderunner ps -a` has those that have ended.');
    return 0;
  }
  const rows = runs.map((run) => [run.id, stateOf(run), run.runtime, run.entry, ago(run.createdAt), timeOf(run)]);
  await print(table(['RUN', 'STATE', 'RUNTIME', 'FILE', 'CREATED', 'TIME'], rows));
  return 0;
}

/** Prints what a run has printed, its two streams to ours. @param options.follow goes on until it has ended */
export async function logs(id: string, options: { follow: boolean }): Promise<number> {
  await using connected = connect();
  const { api } = connected.client;
  const write = (channel: 'stdout' | 'stderr', data: Uint8Array) =>
    (channel === 'stderr' ? stderr : stdout).write(data);
  const tellGap = (from: number, to: number) => say(`coderunner: ${formatBytes(to - from)} are no longer kept`);
  if (options.follow) {
    const observer: RunObserver = { onOutput: ({ channel, data }) => write(channel, data), onGap: tellGap };
    using handle = await connected.client.follow(id, observer);
    await tellEnd(await handle.done);
    return 0;
  }
  for (let from = 0; ; ) {
    const page = await api.output(id, from);
    if (page.gap) await tellGap(page.gap.from, page.gap.to);
    for (const { channel, data, encoding } of page.chunks) await write(channel, Buffer.from(data, encoding));
    if (page.done) await tellEnd(await api.run(id));
    if (page.done || page.chunks.length === 0) return 0;
    from = page.next;
  }
}

export async function kill(ids: readonly string[]): Promise<number> {
  await using connected = connect();
  for (const id of ids) {
    const before = await connected.client.api.run(id);
    if (isEnd(before.state))
      throw new CodeRunnerError('run_ended', `The run ${id} has already ended (${before.state}).`, {
        hint: 'List those that go on with `coderunner ps`.',
      });
    await connected.client.api.cancel(id);
    await print(id);
  }
  return 0;
}

/** What the output alone does not say. */
async function tellEnd({ error, message }: Run): Promise<void> {
  if (error) await sayError(CodeRunnerError.from(error as Partial<ErrorBody>));
  else if (message !== null) await say(`coderunner: ${message}`);
}

function stateOf({ state, exitCode }: Run): string {
  if (state === 'succeeded') return accentOut('green', state);
  if (!isEnd(state)) return accentOut('cyan', state);
  return accentOut('red', state === 'failed' && exitCode !== null ? `${state} (${exitCode})` : state);
}

function timeOf({ wallMs, startedAt, endedAt }: Run): string {
  if (wallMs !== null) return formatDuration(wallMs);
  return startedAt && !endedAt ? formatDuration(Math.max(0, Date.now() - Date.parse(startedAt))) : '';
}
