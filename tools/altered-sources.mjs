/** Loaded before the tests: replaces pieces of the daemon's sources, as `CODERUNNER_ALTERED_SOURCES` says in JSON. For tools/attack.ts. */
import { registerHooks } from 'node:module';

/** @type {{ file: string, piece: string, by: string }[]} */
const alterations = JSON.parse(process.env.CODERUNNER_ALTERED_SOURCES ?? '[]');

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const wanted = alterations.filter(({ file }) => url.endsWith(`/daemon/src/${file}`));
    if (wanted.length === 0) return loaded;
    let source = String(loaded.source);
    for (const { piece, by } of wanted) source = source.replace(piece, () => by);
    return { ...loaded, source };
  },
});
