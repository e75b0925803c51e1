/** What stays behind when a folder's files go along with a run: .gitignore files, and the editor's globs. */
import ignore, { type Ignore } from 'ignore';

/** The rules of one .gitignore, which hold below its folder. */
export interface FolderRules {
  /** From the root on, `''` for the root itself, else ending with `/`. */
  below: string;
  rules: Ignore;
}

export function gitignoreRules(below: string, text: string): FolderRules {
  return { below, rules: ignore({ ignorecase: false }).add(text) };
}

/** @param globs as in `files.exclude`: from the root on, with `**` and `{a,b}` */
export function globRules(globs: readonly string[]): FolderRules {
  const rules = ignore({ ignorecase: false });
  for (const glob of globs) for (const one of expandBraces(glob)) if (one.trim() !== '') rules.add(asRule(one));
  return { below: '', rules };
}

/**
 * The nearest folder that says anything about a path decides.
 * @param path from the root on; with `/` at its end where it is a folder
 */
export function isIgnored(path: string, folders: readonly FolderRules[]): boolean {
  for (const { below, rules } of folders.toReversed()) {
    const { ignored, unignored } = rules.test(path.slice(below.length));
    if (ignored || unignored) return ignored;
  }
  return false;
}

/** A glob is meant from the root on, while a rule without a slash holds at any depth; `!` and `#` have no meaning in globs. */
function asRule(glob: string): string {
  const path = glob.startsWith('./') ? glob.slice(2) : glob;
  return path.startsWith('**/') ? path : `/${path.replace(/^\/+/, '')}`;
}

/** `a{b,c}` → `ab`, `ac`; also nested. Braces without a partner stand for themselves. */
export function expandBraces(glob: string): string[] {
  const open = glob.indexOf('{');
  if (open < 0) return [glob];
  const cuts = [open];
  let depth = 0;
  for (let at = open; at < glob.length; at++) {
    const char = glob[at];
    if (char === '{') depth++;
    if (char === ',' && depth === 1) cuts.push(at);
    if (char === '}' && --depth === 0) {
      const [before, after] = [glob.slice(0, open), glob.slice(at + 1)];
      cuts.push(at);
      return cuts
        .slice(1)
        .flatMap((cut, index) => expandBraces(`${before}${glob.slice((cuts[index] as number) + 1, cut)}${after}`));
    }
  }
  return [glob];
}
