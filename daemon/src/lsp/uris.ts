/** URIs of documents, as editors write them, and the files that they mean. */
import { fileURLToPath, pathToFileURL } from 'node:url';

/** @returns undefined for what is in no file of this machine, and for what is malformed */
export function pathOf(uri: string): string | undefined {
  if (!uri.startsWith('file:')) return undefined;
  try {
    return fileURLToPath(uri);
  } catch {
    return undefined;
  }
}

export function uriOf(path: string): string {
  return pathToFileURL(path).href;
}

/** One spelling for each document: editors differ in which characters they escape. */
export function canonical(uri: string): string {
  const path = pathOf(uri);
  return path === undefined ? uri : uriOf(path);
}
