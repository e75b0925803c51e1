/** `coderunner config`: every setting, its value, and where that comes from. */
import { configFile, loadConfig, SETTINGS, type Setting, sourceOf } from '../config.ts';
import { accentOut, print, printJson, table } from './output.ts';

export async function showConfig(options: { json: boolean }): Promise<number> {
  const config = loadConfig() as Record<string, unknown>;
  const settings = Object.entries(SETTINGS as Record<string, Setting<unknown>>).map(([name, setting]) => {
    const source = sourceOf(name);
    // Whoever has the token may run code; it does not belong on a screen.
    const value = name === 'token' && config[name] !== '' ? '(secret)' : config[name];
    return { name, env: setting.env, value, source, text: show(value, source, setting) };
  });
  if (options.json) {
    await printJson(settings.map(({ text: _text, ...rest }) => rest));
    return 0;
  }
  const rows = settings.map(({ name, env, source, text }) => [
    name,
    text,
    source === 'default' ? accentOut('dim', source) : source,
    env,
  ]);
  await print(table(['SETTING', 'VALUE', 'FROM', 'VARIABLE'], rows));
  await print(`\nThe configuration file is ${configFile()}; docs/configuration.md says what each setting does.`);
  return 0;
}

function show(value: unknown, source: string, setting: Setting<unknown>): string {
  const isEmpty = value === '' || (Array.isArray(value) && value.length === 0);
  if (source === 'default' && isEmpty) return setting.defaultText;
  return setting.show ? setting.show(value) : `${value}`;
}
