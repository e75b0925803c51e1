/** What the sandbox will refuse, known from a document's imports. Asks its surroundings through what it is given. */
import type { Import } from './document.ts';
import type { ImportRules, Language } from './language.ts';
import { formatOf } from './manifests.ts';
import { type Say, speaker } from './texts.ts';

export interface Hint extends Import {
  code: 'no-network' | 'not-listed' | 'not-installed';
  message: string;
  /** To be added to the manifest. */
  package?: string;
}

export interface Surroundings {
  /** Whether a file or folder of the project has this module. */
  isLocal(name: string): boolean;
  /** The file that names the project's packages. */
  manifest: { path: string; text: string } | undefined;
}

export function hintsFor(
  imports: readonly Import[],
  language: Language,
  surroundings: Surroundings,
  say: Say = speaker(),
): Hint[] {
  const rules = language.imports;
  if (!rules) return [];
  const missing = missingIn(language, surroundings, say);
  return imports.flatMap<Hint>((found) => {
    const name = rules.package.exec(found.module)?.[0];
    if (name === undefined) return [];
    const isBuiltin = rules.builtin.has(name) || name.startsWith('node:');
    if (!isBuiltin && surroundings.isLocal(name)) return [];
    const lacking = isBuiltin ? undefined : missing(name, rules);
    if (lacking) return [{ ...found, ...lacking }];
    if (!needsNetwork(found.module, rules)) return [];
    return [{ ...found, code: 'no-network', message: say('noNetwork', found.module) }];
  });
}

type Lacking = Pick<Hint, 'code' | 'message' | 'package'>;

/** @returns tells of a package what is missing, if it is */
function missingIn(
  { name: language, manifests }: Language,
  { manifest }: Surroundings,
  say: Say,
): (name: string, rules: ImportRules) => Lacking | undefined {
  const usual = manifests[0];
  if (usual === undefined) return (name) => ({ code: 'not-installed', message: say('notInstalled', name, language) });
  const file = manifest?.path ?? usual;
  const format = formatOf(file);
  const listed = format?.listed(manifest?.text ?? '');
  return (name, { packages }) => {
    const installed = packages.get(name) ?? name;
    if (!format || !listed || listed.has(format.normal(installed)) || listed.has(format.normal(name))) return undefined;
    const message = manifest
      ? say('notListed', installed, file.split(/[/\\]/).at(-1) ?? file)
      : say('noManifest', file, installed);
    return { code: 'not-listed', message, package: installed };
  };
}

/** `urllib.request` needs it, and so does `urllib.request.x`; `urllib.parse` does not. */
function needsNetwork(module: string, { network }: ImportRules): boolean {
  const beginnings = [...module.matchAll(/[./]|$/g)].map(({ index }) => module.slice(0, index));
  return beginnings.some((beginning) => network.has(beginning));
}
