/** The tables that a run gave, for programs that read `coderunner run --json`. */
import type { DaemonApi } from '../client/api.ts';
import type { Run } from '../protocol/resources.ts';

/** What each statement gave, in order. A line that was cut, where the script was stopped while it wrote, is left out. */
export async function fetchResults(api: DaemonApi, { results }: Run): Promise<Record<string, unknown>[]> {
  if (!results) return [];
  const lines = (await new Response(await api.blob(results.sha256)).text()).split('\n');
  return lines.flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      return typeof value === 'object' && value !== null ? [value as Record<string, unknown>] : [];
    } catch {
      return [];
    }
  });
}
