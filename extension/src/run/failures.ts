/** What went wrong, as one sentence, a way out, and the buttons that lead there. */
import { CodeRunnerError, type ErrorCode } from '@coderunner/daemon/protocol';
import { l10n } from 'vscode';
import type { Action } from '../console/messages.ts';
import { translated } from '../translations.ts';
import { TooMuch } from './collect.ts';

export interface Failure {
  message: string;
  hint: string;
  actions: Action[];
}

/** The commands that mend something, and what their buttons say. */
export function mendingLabel(command: MendingCommand): string {
  switch (command) {
    case 'coderunner.startEngine':
      return l10n.t('Start Container Engine');
    case 'coderunner.doctor':
      return l10n.t('Check Everything');
    case 'coderunner.showLog':
      return l10n.t('Show Log');
    case 'coderunner.chooseDaemon':
      return l10n.t('Choose Daemon');
    case 'coderunner.enterToken':
      return l10n.t('Enter Token');
    case 'coderunner.restartDaemon':
      return l10n.t('Restart Daemon');
    case 'coderunner.chooseLanguage':
      return l10n.t('Choose Language');
    case 'coderunner.runAlone':
      return l10n.t('Run This File Alone');
    case 'coderunner.excludeOffender':
      return l10n.t('Exclude Folders');
    case 'coderunner.openSettings':
      return l10n.t('Open Settings');
    case 'coderunner.rerun':
      return l10n.t('Run Again');
  }
}

export type MendingCommand =
  | 'coderunner.startEngine'
  | 'coderunner.doctor'
  | 'coderunner.showLog'
  | 'coderunner.chooseDaemon'
  | 'coderunner.enterToken'
  | 'coderunner.restartDaemon'
  | 'coderunner.chooseLanguage'
  | 'coderunner.runAlone'
  | 'coderunner.excludeOffender'
  | 'coderunner.openSettings'
  | 'coderunner.rerun';

/** @param local whether the daemon is the one of this machine, which can be mended from here */
export function explain(error: unknown, local: boolean): Failure {
  const known =
    error instanceof CodeRunnerError
      ? error
      : new CodeRunnerError('internal', error instanceof Error ? error.message : String(error), { cause: error });
  return {
    message: translated(known.message),
    hint: translated(known.hint),
    actions: mending(known, local).map((id) => ({ id, label: mendingLabel(id) })),
  };
}

function mending(error: CodeRunnerError, local: boolean): MendingCommand[] {
  if (error instanceof TooMuch) return ['coderunner.runAlone', 'coderunner.excludeOffender', 'coderunner.openSettings'];
  const here: Partial<Record<ErrorCode, MendingCommand[]>> = {
    engine_unavailable: ['coderunner.startEngine', 'coderunner.doctor'],
    engine_error: ['coderunner.doctor', 'coderunner.showLog'],
    runtime_not_built: ['coderunner.rerun', 'coderunner.doctor'],
    base_image_unavailable: ['coderunner.doctor'],
    build_failed: ['coderunner.rerun', 'coderunner.doctor'],
    bad_runtime: ['coderunner.doctor', 'coderunner.showLog'],
    not_running: ['coderunner.restartDaemon', 'coderunner.showLog', 'coderunner.doctor'],
    version_mismatch: ['coderunner.restartDaemon'],
    bad_setting: ['coderunner.chooseDaemon', 'coderunner.showLog'],
    disk_full: ['coderunner.doctor'],
    internal: ['coderunner.showLog', 'coderunner.doctor'],
    shutting_down: ['coderunner.rerun'],
  };
  const anywhere: Partial<Record<ErrorCode, MendingCommand[]>> = {
    unknown_runtime: ['coderunner.chooseLanguage'],
    unauthorized: local ? ['coderunner.restartDaemon'] : ['coderunner.enterToken', 'coderunner.chooseDaemon'],
    too_many_files: ['coderunner.runAlone', 'coderunner.openSettings'],
    too_large: ['coderunner.runAlone', 'coderunner.openSettings'],
    workspace_full: ['coderunner.runAlone', 'coderunner.openSettings'],
    bad_limit: ['coderunner.openSettings'],
    bad_request: ['coderunner.openSettings'],
    queue_full: ['coderunner.rerun'],
    blobs_missing: ['coderunner.rerun'],
  };
  return anywhere[error.code] ?? (local ? here[error.code] : ['coderunner.chooseDaemon', 'coderunner.rerun']) ?? [];
}
