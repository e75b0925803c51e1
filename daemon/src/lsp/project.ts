/** What lies around a document on this machine: its project's folder, modules and manifest. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Surroundings } from './hints.ts';
import type { Language } from './language.ts';
import { formatOf } from './manifests.ts';
import { pathOf, uriOf } from './uris.ts';

/** A project does not nest deeper; a document in no folder of the editor has no project above it. */
const MOST_LEVELS = 64;
const LARGEST_MANIFEST_BYTES = 1024 * 1024;

/** Text of a document that is open, by its URI. */
export type OpenText = (uri: string) => string | undefined;

/**
 * @param uri of the document
 * @param folders URIs of the editor's folders
 * @returns undefined for a document that is in no file
 */
export function surroundingsOf(
  uri: string,
  folders: readonly string[],
  language: Language,
  openText: OpenText,
): (Surroundings & { manifestPath: string | undefined }) | undefined {
  const document = pathOf(uri);
  if (document === undefined) return undefined;
  const levels = foldersAbove(document, folders);
  const modules = ['', ...language.extensions];
  const paths = levels.flatMap((folder) => language.manifests.map((name) => join(folder, name)));
  let manifest: Surroundings['manifest'];
  for (const path of paths) {
    const text = formatOf(path) && (openText(uriOf(path)) ?? textOf(path));
    if (text === undefined) continue;
    manifest = { path, text };
    break;
  }
  const [usual] = language.manifests;
  const root = levels.at(-1);
  return {
    manifest,
    manifestPath: manifest?.path ?? (usual !== undefined && root !== undefined ? join(root, usual) : undefined),
    isLocal: (name) => levels.some((folder) => modules.some((ending) => existsSync(join(folder, name + ending)))),
  };
}

/** From the document's own folder up to the editor's. */
function foldersAbove(path: string, folders: readonly string[]): string[] {
  const roots = folders.flatMap((uri) => pathOf(uri) ?? []).map((root) => resolve(root));
  const levels = [dirname(path)];
  const isInside = roots.some((root) => path.startsWith(join(root, '/')));
  while (isInside && levels.length < MOST_LEVELS && !roots.includes(levels.at(-1) as string))
    levels.push(dirname(levels.at(-1) as string));
  return levels;
}

function textOf(path: string): string | undefined {
  try {
    const bytes = readFileSync(path);
    return bytes.length > LARGEST_MANIFEST_BYTES ? undefined : bytes.toString('utf8');
  } catch {
    // None there, or none that may be read: then nothing is known of it.
    return undefined;
  }
}
