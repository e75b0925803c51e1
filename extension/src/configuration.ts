/** The values of the settings. What people write may be anything: a value of the wrong kind counts as not set. */
import { type Uri, workspace } from 'vscode';
import { SETTINGS, type Setting, type SettingName, type SettingValue } from './settings.ts';

/** @param scope a file or folder, for settings that may differ by folder */
export function setting<N extends SettingName>(name: N, scope?: Uri): SettingValue<N> {
  const definition: Setting = SETTINGS[name];
  const value: unknown = workspace.getConfiguration('coderunner', scope).get(name);
  return (fits(definition, value) ? value : definition.default) as SettingValue<N>;
}

function fits(definition: Setting, value: unknown): boolean {
  switch (definition.type) {
    case 'string':
      return typeof value === 'string' && (!('enum' in definition) || definition.enum.includes(value));
    case 'boolean':
      return typeof value === 'boolean';
    case 'integer':
      return (
        Number.isInteger(value) &&
        (value as number) >= (definition.minimum ?? 0) &&
        (value as number) <= (definition.maximum ?? Number.MAX_SAFE_INTEGER)
      );
    case 'array':
      return isList(value);
    case 'object':
      return isTable(value, 'perLanguage' in definition ? PER_LANGUAGE[definition.perLanguage] : isString);
  }
}

const PER_LANGUAGE = {
  options: (value: unknown) => isTable(value, isString),
  services: isList,
};

function isString(value: unknown): boolean {
  return typeof value === 'string';
}

function isList(value: unknown): boolean {
  return Array.isArray(value) && value.every(isString);
}

function isTable(value: unknown, isValue: (value: unknown) => boolean): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(isValue);
}
