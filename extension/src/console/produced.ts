/** What becomes of text and files that a run has left: shown, saved, opened. */
import { randomUUID } from 'node:crypto';
import { homedir, tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { commands, l10n, Uri, window, workspace } from 'vscode';

/** What the page may show; anything else can be saved or opened. */
const IMAGES: Record<string, string> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
  '.svg': 'image/svg+xml',
};

export function mediaType(path: string): string | null {
  return IMAGES[extname(path).toLowerCase()] ?? null;
}

/** Asks where to, then writes. */
export async function saveText(text: string, title: string): Promise<void> {
  await save(`${basename(title, extname(title))}-output.txt`, Buffer.from(text));
}

export async function saveProduced(path: string, data: Uint8Array): Promise<void> {
  await save(basename(path), data);
}

/** Opens it with whatever VS Code opens such files with, as a copy in a temporary folder. */
export async function openProduced(path: string, data: Uint8Array): Promise<void> {
  const uri = Uri.file(join(tmpdir(), `coderunner-${randomUUID()}`, basename(path)));
  await workspace.fs.writeFile(uri, data);
  await commands.executeCommand('vscode.open', uri);
}

async function save(name: string, data: Uint8Array): Promise<void> {
  const folder = workspace.workspaceFolders?.[0]?.uri ?? Uri.file(homedir());
  const uri = await window.showSaveDialog({ defaultUri: Uri.joinPath(folder, name), title: l10n.t('Save') });
  if (uri) await workspace.fs.writeFile(uri, data);
}
