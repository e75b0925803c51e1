/**
 * Keeps what is said about settings equal to src/settings.ts: their entries in package.json, their texts in package.nls.json, and
 * docs/settings.md.
 *
 *   node extension/manifest.ts           writes them
 *   node extension/manifest.ts --check   writes nothing; fails, naming the files, where one differs
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SETTINGS, type Setting } from './src/settings.ts';

const HERE = import.meta.dirname;
const MANIFEST = join(HERE, 'package.json');
const TEXTS = join(HERE, 'package.nls.json');
const PAGE = join(HERE, '../docs/settings.md');

const settings: [string, Setting][] = Object.entries(SETTINGS);

function manifest(text: string): string {
  const parsed = JSON.parse(text);
  parsed.contributes.configuration.properties = Object.fromEntries(
    settings.map(([name, { description: _, ...setting }], order) => {
      const { scope, ...rest } = setting;
      const enumDescriptions =
        'enum' in setting ? { enumDescriptions: setting.enum.map((value) => `%setting.${name}.${value}%`) } : {};
      const entry = { order, scope, markdownDescription: `%setting.${name}%`, ...rest, ...enumDescriptions };
      return [`coderunner.${name}`, entry];
    }),
  );
  return `${JSON.stringify(parsed, null, 2)}\n`;
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
    const facts = `Default: \`${JSON.stringify(setting.default)}\`. ${WHERE[setting.scope]}`;
    const description = setting.description.replace(/`#([^`]+)#`/g, '`$1`');
    return [`## \`coderunner.${name}\``, description, ...(values.length > 0 ? [values.join('\n')] : []), facts].join(
      '\n\n',
    );
  });
  const intro = `# Settings of the extension

Made from \`extension/src/settings.ts\` by \`npm run docs\`. What the daemon can be set to is in [configuration.md](configuration.md).`;
  return `${[intro, ...sections].join('\n\n')}\n`;
}

const WHERE: Record<Setting['scope'], string> = {
  resource: 'May differ by folder.',
  window: 'May differ by workspace.',
  machine: 'Only in the user’s settings, never in a workspace’s.',
};

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
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
