/**
 * Keeps what is said about settings equal to src/settings.ts, and to what the languages in runtimes/ offer: their entries in package.json,
 * their texts in package.nls.json, and docs/settings.md.
 *
 *   node extension/manifest.ts           writes them
 *   node extension/manifest.ts --check   writes nothing; fails, naming the files, where one differs
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SETTINGS, type Setting } from './src/settings.ts';

const HERE = import.meta.dirname;
const MANIFEST = join(HERE, 'package.json');
const TEXTS = join(HERE, 'package.nls.json');
const PAGE = join(HERE, '../docs/settings.md');
const RUNTIMES = join(HERE, '../runtimes');

interface Option {
  description: string;
  values: string[];
  default: string;
}

const settings: [string, Setting][] = Object.entries(SETTINGS);

function manifest(text: string): string {
  const parsed = JSON.parse(text);
  parsed.contributes.configuration.properties = Object.fromEntries(
    settings.map(([name, setting], order) => {
      const { description: _, restricted: __, scope, ...rest } = setting;
      const enumDescriptions =
        'enum' in setting ? { enumDescriptions: setting.enum.map((value) => `%setting.${name}.${value}%`) } : {};
      const entry = { order, scope, markdownDescription: `%setting.${name}%`, ...shapeOf(rest), ...enumDescriptions };
      return [`coderunner.${name}`, entry];
    }),
  );
  parsed.capabilities.untrustedWorkspaces.restrictedConfigurations = settings.flatMap(([name, { restricted }]) =>
    restricted ? [`coderunner.${name}`] : [],
  );
  return `${JSON.stringify(parsed, null, 2)}\n`;
}

/** What may be written into a setting, as JSON Schema. Languages that only a daemon knows are taken as they are. */
function shapeOf(setting: Omit<Setting, 'description' | 'scope' | 'restricted'>): object {
  if (!('perLanguage' in setting)) return setting;
  const { perLanguage, ...rest } = setting;
  const text = { type: 'string' };
  if (perLanguage === 'services') {
    const names = filesBelow(join(RUNTIMES, 'services'), 'service.json').map(({ id }) => id);
    return { ...rest, additionalProperties: { type: 'array', items: { ...text, enum: names }, uniqueItems: true } };
  }
  const languages = languageOptions().map(([id, options]) => {
    const properties = Object.entries(options).map(([name, { description, values, default: usual }]) => [
      name,
      { ...text, description, enum: values, default: usual },
    ]);
    return [id, { type: 'object', properties: Object.fromEntries(properties), additionalProperties: false }];
  });
  const additionalProperties = { type: 'object', additionalProperties: text };
  return { ...rest, properties: Object.fromEntries(languages), additionalProperties };
}

/** The languages whose runs may choose something. */
function languageOptions(): [string, Record<string, Option>][] {
  return filesBelow(RUNTIMES, 'runtime.json').flatMap(({ id, options }) =>
    options ? [[id, options as Record<string, Option>] as [string, Record<string, Option>]] : [],
  );
}

/** The JSON files of that name, one in each folder that has one, by their ids. */
function filesBelow(folder: string, name: string): ({ id: string } & Record<string, unknown>)[] {
  return readdirSync(folder)
    .sort()
    .flatMap((entry) => {
      const text = read(join(folder, entry, name));
      return text === '' ? [] : [JSON.parse(text)];
    });
}

function texts(text: string): string {
  const others = Object.entries(JSON.parse(text)).filter(([key]) => !key.startsWith('setting.'));
  const ours = settings.flatMap(([name, setting]) => [
    [`setting.${name}`, setting.description],
    ...('enum' in setting
      ? setting.enum.map((value, index) => [`setting.${name}.${value}`, setting.enumDescriptions[index]])
      : []),
  ]);
  return `${JSON.stringify(Object.fromEntries([...others, ...ours]), null, 2)}\n`;
}

function page(): string {
  const sections = settings.map(([name, setting]) => {
    const values =
      'enum' in setting ? setting.enum.map((value, index) => `- \`${value}\`: ${setting.enumDescriptions[index]}`) : [];
    if ('perLanguage' in setting && setting.perLanguage === 'options') values.push(...optionList());
    const facts = `Default: \`${JSON.stringify(setting.default)}\`. ${WHERE[setting.scope]}${setting.restricted ? UNTRUSTED : ''}`;
    const description = setting.description.replace(/`#([^`]+)#`/g, '`$1`');
    return [`## \`coderunner.${name}\``, description, ...(values.length > 0 ? [values.join('\n')] : []), facts].join(
      '\n\n',
    );
  });
  const intro = `# Settings of the extension

Made from \`extension/src/settings.ts\` by \`npm run docs\`. What the daemon can be set to is in [configuration.md](configuration.md).`;
  return `${[intro, ...sections].join('\n\n')}\n`;
}

function optionList(): string[] {
  return languageOptions().flatMap(([language, options]) =>
    Object.entries(options).map(([name, { description, values, default: usual }]) => {
      const others = values.filter((value) => value !== usual).map((value) => `\`${value}\``);
      return `- \`${language}.${name}\`: ${description}. \`${usual}\`, or ${others.join(', ')}.`;
    }),
  );
}

const UNTRUSTED = ' In a folder that is not trusted only the user’s own value counts.';

const WHERE: Record<Setting['scope'], string> = {
  resource: 'May differ by folder.',
  window: 'May differ by workspace.',
  machine: 'Only in the user’s settings, never in a workspace’s.',
};

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

const check = process.argv.includes('--check');
const wanted: [string, string][] = [
  [MANIFEST, manifest(read(MANIFEST))],
  [TEXTS, texts(read(TEXTS))],
  [PAGE, page()],
];
for (const [path, text] of wanted) {
  if (read(path) === text) continue;
  if (check) {
    console.error(`${path} differs from the settings in extension/src/settings.ts: run \`npm run docs\`.`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, text);
  }
}
