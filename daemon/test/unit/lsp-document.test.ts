/** What the language server reads in a document. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { outlineOf } from '../../src/lsp/document.ts';
import { hintsFor } from '../../src/lsp/hints.ts';
import { type Language, languageOf, unknownLanguage } from '../../src/lsp/language.ts';
import { formatOf } from '../../src/lsp/manifests.ts';
import { speaker } from '../../src/lsp/texts.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';

const { runtimes } = await loadRuntimes();
const bundled = (id: string) => {
  const runtime = runtimes.find((candidate) => candidate.id === id);
  assert.ok(runtime, id);
  return runtime;
};
const python = languageOf(bundled('python'));
const javascript = languageOf(bundled('javascript'));
const compiled = languageOf({
  id: 'c',
  name: 'C',
  languageIds: ['c'],
  extensions: ['.c'],
  manifests: [],
  diagnostics: [],
  editor: { entryPoint: '^\\s*(?:int|void)\\s+main\\s*\\(', needsEntryPoint: true },
});

describe('the line that a program begins with', () => {
  const cases: [name: string, language: Language, text: string, line: number | undefined][] = [
    ['its entry point', python, 'import os\n\nif __name__ == "__main__":\n    f()\n', 2],
    ['its entry point in other quotes', python, "def f(): ...\nif __name__=='__main__' :\n    f()", 1],
    ['its first statement, without an entry point', python, '#!/usr/bin/env python3\n# about\n\nprint(1)\n', 3],
    [
      'its first statement, where one only looks like an entry point',
      python,
      'x = 1\n# if __name__ == "__main__":\n',
      0,
    ],
    ['an entry point between CRLFs', python, 'x\r\n\r\nif __name__ == "__main__":\r\n    f()\r\n', 2],
    ['a last line that has no end', python, '\n\nprint(1)', 2],
    ['the first statement of a script', javascript, '// about\n/*\n * more\n */\nconsole.log(1)', 4],
    ['main, where one is needed', compiled, '#include <stdio.h>\n\nint main(void)\n{\n}\n', 2],
    ['none, where main is needed but missing', compiled, 'int helper(void) { return 1; }\n', undefined],
    ['the first line of a language that is not known', unknownLanguage('cobol'), '\nIDENTIFICATION DIVISION.\n', 1],
    ['none in an empty document', python, '', undefined],
    ['none in one of comments', python, '# one\n# two', undefined],
    ['none beyond what is looked at', python, `${'\n'.repeat(30_000)}print(1)\n`, undefined],
    ['the line after one of a megabyte', python, `# ${'x'.repeat(2 ** 20)}\nprint(1)`, 1],
    ['a line of a megabyte', python, `x = "${'x'.repeat(2 ** 20)}"`, 0],
  ];
  for (const [name, language, text, line] of cases)
    it(`is ${name}`, () => assert.equal(outlineOf(text, language).entry, line));
});

describe('imports', () => {
  const cases: [language: Language, line: string, modules: string[]][] = [
    [python, 'import os', ['os']],
    [python, 'import os, numpy as np,xml.dom ', ['os', 'numpy', 'xml.dom']],
    [python, '    import late  # lazily', ['late']],
    [python, 'from urllib.request import urlopen', ['urllib.request']],
    [python, 'from a import (b,', ['a']],
    [python, 'from . import sibling', []],
    [python, 'from .sibling import x', []],
    [python, 'important = 1', []],
    [python, 'import this for good', []],
    [javascript, "import pg from 'pg';", ['pg']],
    [javascript, 'import "./style.css"', ['./style.css']],
    [javascript, "} from '@scope/name/part';", ['@scope/name/part']],
    [javascript, "const fs = require('node:fs');", ['node:fs']],
    [javascript, "const { x } = await import('x');", ['x']],
    [javascript, "// import x from 'x'", []],
    [javascript, 'const from = "x"', []],
  ];
  for (const [language, line, modules] of cases)
    it(`of \`${line}\` are ${modules.join(', ') || 'none'}`, () => {
      const { imports } = outlineOf(`\r\n${line}\r\n`, language);
      assert.deepEqual(
        imports.map(({ module }) => module),
        modules,
      );
      for (const { module, line: at, start, end } of imports)
        assert.deepEqual([at, line.slice(start, end)], [1, module]);
    });

  it('are no more than anybody would write', () => {
    assert.equal(outlineOf('import a\n'.repeat(15_000), python).imports.length, 1_000);
  });

  it('of text that makes a pattern run away are those before it', () => {
    const language = { ...python, entryPoint: /^(x+x+)+y$/ };
    const { imports } = outlineOf(`import os\n${'x'.repeat(900)}\nimport sys\n`, language);
    assert.deepEqual(
      imports.map(({ module }) => module),
      ['os'],
    );
  });
});

describe('what the server says', () => {
  it('is in the client’s language where it brings the texts, whatever they are', () => {
    const strings = {
      'No network in the sandbox: `{0}` reaches nothing outside it.':
        'Kein Netz: `{0}` erreicht nichts, auch {1} nicht.',
    };
    const surroundings = { isLocal: () => false, manifest: undefined };
    const { imports } = outlineOf('import socket', python);
    assert.deepEqual(
      hintsFor(imports, python, surroundings, speaker(strings)).map(({ message }) => message),
      ['Kein Netz: `socket` erreicht nichts, auch {1} nicht.'],
    );
    assert.equal(speaker({ constructor: 'x' })('add', 'numpy', '$& file'), 'Add numpy to $& file');
  });
});

describe('hints', () => {
  const installs = languageOf({ ...bundled('python'), manifests: ['requirements.txt', 'pyproject.toml'] });
  const manifest = (text: string, path = 'requirements.txt') => ({ path: join('/project', path), text });
  const none = 'none';
  const hints = (
    text: string,
    language = installs,
    requirements: ReturnType<typeof manifest> | typeof none = manifest(''),
  ) =>
    hintsFor(outlineOf(text, language).imports, language, {
      isLocal: (name) => name === 'neighbour',
      manifest: requirements === none ? undefined : requirements,
    }).map(({ module, code, package: name }) => [module, code, name].filter(Boolean).join(' '));

  const cases: [name: string, actual: string[], expected: string[]][] = [
    ['none of what comes with the language', hints('import os, sys\nfrom collections import abc'), []],
    ['none of a file beside it', hints('import neighbour'), []],
    ['the network of what comes with the language', hints('import socket'), ['socket no-network']],
    [
      'the network of one module among others',
      hints('import urllib.parse, urllib.request'),
      ['urllib.request no-network'],
    ],
    ['a package that is not listed', hints('import numpy.linalg'), ['numpy.linalg not-listed numpy']],
    ['a package by the name it is installed by', hints('import yaml'), ['yaml not-listed pyyaml']],
    ['none of a package that is listed', hints('import numpy', installs, manifest('numpy>=2 # fast\n')), []],
    ['none of one that is listed in other letters', hints('import ruamel_x', installs, manifest('Ruamel.X==1')), []],
    ['none of one by its other name', hints('import yaml', installs, manifest('PyYAML')), []],
    [
      'the network of one that is listed',
      hints('import requests', installs, manifest('requests')),
      ['requests no-network'],
    ],
    ['none where the list goes on elsewhere', hints('import numpy', installs, manifest('-r other.txt')), []],
    [
      'none of a project file that names it',
      hints('import numpy', installs, manifest('dependencies = ["numpy>=2"]', 'pyproject.toml')),
      [],
    ],
    ['a package without any list', hints('import numpy', installs, none), ['numpy not-listed numpy']],
    [
      'a package where nothing is installed',
      hints('import numpy', languageOf({ ...bundled('python'), manifests: [] })),
      ['numpy not-installed'],
    ],
    [
      'modules of Node, by both of their names',
      hints("import 'node:net'\nimport 'net'\nimport 'node:fs'", javascript),
      ['node:net no-network', 'net no-network'],
    ],
    ['none of what is no package', hints("import './a'\nimport '#b'\nimport '@/c'\nimport '/d'", javascript), []],
    [
      'a package of a scope, by its whole name',
      hints("import '@scope/name/part'", javascript),
      ['@scope/name/part not-listed @scope/name'],
    ],
  ];
  for (const [name, actual, expected] of cases) it(`tell ${name}`, () => assert.deepEqual(actual, expected));
});

describe('adding a package', () => {
  const add = (path: string, text: string, name: string) => {
    const change = formatOf(path)?.add(text, name);
    return change && text.slice(0, change.from) + change.text + text.slice(change.to);
  };
  const cases: [name: string, path: string, before: string, after: string | undefined][] = [
    ['to a new list', 'requirements.txt', '', 'x\n'],
    ['after the last line', 'requirements.txt', 'a\n', 'a\nx\n'],
    ['after a last line without an end', 'requirements.txt', 'a', 'a\nx\n'],
    ['with the line ends that are there', 'requirements.txt', 'a\r\nb', 'a\r\nb\r\nx\r\n'],
    ['to a new manifest', 'package.json', '', '{\n  "dependencies": {\n    "x": "*"\n  }\n}\n'],
    [
      'in order and with the indentation that is there',
      'package.json',
      '{\n\t"name": "n",\n\t"dependencies": {\n\t\t"y": "^1"\n\t}\n}',
      '{\n\t"name": "n",\n\t"dependencies": {\n\t\t"x": "*",\n\t\t"y": "^1"\n\t}\n}\n',
    ],
    ['not to a manifest that is being written', 'package.json', '{ "name": ', undefined],
    ['not to a manifest of another form', 'package.json', '{ "dependencies": [] }', undefined],
    ['not to a file for people', 'pyproject.toml', '', undefined],
  ];
  for (const [name, path, before, after] of cases)
    it(`goes ${name}`, () => assert.equal(add(path, before, 'x'), after));
});
