/** How a run ended, in words. */
import { l10n } from 'vscode';
import type { RunView } from '../console/messages.ts';

/** The daemon's sentence; where it has none, because the program just ended, its exit code. */
export function verdictOf({ message, exitCode, phase }: Pick<RunView, 'message' | 'exitCode' | 'phase'>): string {
  return message ?? (exitCode === null ? phase : l10n.t('Exit code {0}', exitCode));
}
