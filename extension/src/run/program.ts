/** What is to be run, as it can be kept and run again; and how it is made from what is in the editor. */
import { existsSync } from 'node:fs';
import { basename, relative, sep } from 'node:path';
import { type TextDocument, type TextEditor, Uri, workspace } from 'vscode';
import { setting } from '../configuration.ts';

/** Plain data: it outlives the window. */
export interface Program {
  /** Two programs with one key share a tab: the second takes the place of the first. */
  key: string;
  title: string;
  /** The document that it comes from. */
  uri: string;
  /** The folder whose files go along; without one the entry goes alone. */
  root?: string;
  /** From the root on, with `/` between folders; without a root, a name. */
  entry: string;
  languageId?: string;
  /** Run instead of what the document holds: a selection, or an untitled document that may be gone by the next time. */
  text?: string;
  /** Id of a language, where the person chose one. */
  runtime?: string;
  args?: string[];
  /** All of its input; left out, input is typed. */
  stdin?: string;
}

/** The program whose entry is this document, unsaved changes included. */
export function programOf(document: TextDocument): Program {
  const { uri, languageId } = document;
  const folder = workspace.getWorkspaceFolder(uri);
  const common = { key: uri.toString(), uri: uri.toString(), languageId };
  if (uri.scheme !== 'file' || document.isUntitled) {
    const name = basename(uri.path) || 'main';
    return { ...common, title: name, entry: safeName(name), text: document.getText() };
  }
  if (folder?.uri.scheme !== 'file') return { ...common, title: basename(uri.fsPath), entry: basename(uri.fsPath) };
  const entry = relative(folder.uri.fsPath, uri.fsPath).split(sep).join('/');
  const several = (workspace.workspaceFolders?.length ?? 0) > 1;
  return { ...common, title: several ? `${folder.name}: ${entry}` : entry, root: folder.uri.fsPath, entry };
}

/** What is selected, by itself and without the lines' common indentation. */
export function selectionOf(editor: TextEditor): Program | undefined {
  const text = editor.selections.map((selection) => editor.document.getText(selection)).join('\n');
  if (text.trim() === '') return undefined;
  const program = programOf(editor.document);
  const first = editor.selection.start.line + 1;
  return {
    ...program,
    key: `${program.key}#selection`,
    title: `${basename(program.entry)}:${first}`,
    text: `${dedent(withIndentation(editor, text))}\n`,
  };
}

/** The marked entry of a folder. @returns undefined where none is marked, or it is gone */
export function projectOf(folder: Uri): Uri | undefined {
  const entry = setting('entry', folder);
  if (entry === '') return undefined;
  const uri = Uri.joinPath(folder, entry);
  const inside = uri.path.startsWith(`${folder.path.replace(/\/$/, '')}/`);
  return inside && existsSync(uri.fsPath) ? uri : undefined;
}

/** What editors hold below a folder that is not saved, by path from the folder on. */
export function unsavedBelow(root: string): Map<string, Uint8Array> {
  const unsaved = new Map<string, Uint8Array>();
  for (const document of workspace.textDocuments) {
    if (!document.isDirty || document.uri.scheme !== 'file') continue;
    const path = relative(root, document.uri.fsPath);
    if (path === '' || path.startsWith('..')) continue;
    unsaved.set(path.split(sep).join('/'), Buffer.from(document.getText()));
  }
  return unsaved;
}

/** A selection usually begins behind the indentation of its first line. */
function withIndentation({ document, selection }: TextEditor, text: string): string {
  const before = document.lineAt(selection.start.line).text.slice(0, selection.start.character);
  return before.trim() === '' ? before + text : text;
}

export function dedent(text: string): string {
  const lines = text.split(/\r?\n/);
  const indents = lines.filter((line) => line.trim() !== '').map((line) => /^[ \t]*/.exec(line)?.[0] ?? '');
  let common = indents[0] ?? '';
  for (const indent of indents) while (!indent.startsWith(common)) common = common.slice(0, -1);
  return lines.map((line) => (line.startsWith(common) ? line.slice(common.length) : line.trimStart())).join('\n');
}

/** Untitled documents are named after their first line, and virtual ones as they like. */
function safeName(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
  const safe = name.replace(/[/\\:\x00-\x1f\x7f]/g, '_');
  return safe === '.' || safe === '..' ? 'main' : safe.slice(0, 200);
}
