/** Every language that the extension is translated into says everything, and puts the same values in. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERRORS } from '@coderunner/daemon/protocol';
import { SENTENCES } from '../../src/sentences.ts';

const EXTENSION = join(import.meta.dirname, '../..');
const BUNDLES = join(EXTENSION, 'l10n');
const WALKTHROUGH = join(EXTENSION, 'walkthrough');
const LITERAL = /l10n\.t\(\s*'((?:[^'\\\n]|\\.)*)'/g;

type Texts = Record<string, string>;

const read = (...path: string[]): Texts => JSON.parse(readFileSync(join(...path), 'utf8'));
const texts = read(BUNDLES, 'bundle.l10n.json');
const manifest = read(EXTENSION, 'package.nls.json');
const languages = readdirSync(BUNDLES).flatMap((name) => /^bundle\.l10n\.(.+)\.json$/.exec(name)?.[1] ?? []);

/** What has to be there in any language: values, commands that are linked to, settings that are named. */
function fixedParts(text: string): string[] {
  return (text.match(/\{\d\}|\(command:[^)]*\)|`[^`]*`/g) ?? []).sort();
}

function assertComplete(translation: Texts, original: Texts): void {
  assert.deepEqual(Object.keys(translation).sort(), Object.keys(original).sort());
  for (const [key, text] of Object.entries(original)) {
    assert.ok(translation[key]?.trim(), key);
    assert.deepEqual(fixedParts(translation[key] as string), fixedParts(text), key);
  }
}

describe('The texts for translators', () => {
  it('hold what the extension’s source says, the daemon’s sentences and their ways out', () => {
    const source = readdirSync(join(EXTENSION, 'src'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8'));
    const said = source.flatMap((text) => [...text.matchAll(LITERAL)].map(([, literal]) => plain(literal as string)));
    const ways = Object.values(ERRORS).map(({ hint }) => hint);
    const missing = [...said, ...SENTENCES, ...ways].filter((text) => !Object.hasOwn(texts, text));
    assert.deepEqual(missing, [], 'run `npm run l10n`');
  });
});

describe('Translations', () => {
  it('are there', () => assert.ok(languages.length > 0));

  for (const language of languages)
    describe(`into ${language}`, () => {
      it('say all that is said while the extension runs', () =>
        assertComplete(read(BUNDLES, `bundle.l10n.${language}.json`), texts));

      it('say all that the manifest says', () =>
        assertComplete(read(EXTENSION, `package.nls.${language}.json`), manifest));

      it('have every page of the walkthrough', () => {
        const pages = readdirSync(WALKTHROUGH);
        for (const page of pages.filter((name) => /^\w+\.md$/.test(name)))
          assert.ok(pages.includes(page.replace('.md', `.nls.${language}.md`)), page);
      });
    });
});

function plain(literal: string): string {
  return literal.replace(/\\(.)/g, '$1');
}
