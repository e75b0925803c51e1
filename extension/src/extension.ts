/** The extension's entry: wires the parts together, nothing else. */
import { commands, type ExtensionContext, window } from 'vscode';
import { Runner } from './run/runner.ts';

export function activate(context: ExtensionContext): void {
  const runner = new Runner(context.asAbsolutePath('../daemon/dist/coderunner.mjs'));
  context.subscriptions.push(
    runner,
    commands.registerCommand('coderunner.run', async () => {
      const editor = window.activeTextEditor;
      if (editor) await runner.run(editor.document);
    }),
  );
}
