/** A folder of a user's own language: every mistake in it is told with its place. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { lineOfStep, withAgent } from '../../src/runtimes/dockerfile.ts';
import { describeFlaw } from '../../src/runtimes/flaw.ts';
import { JsonText } from '../../src/runtimes/json-text.ts';
import { loadRuntimes, readLanguage } from '../../src/runtimes/load.ts';

const RUNTIME = `{
  "id": "tiny",
  "name": "Tiny",
  "version": "1",
  "aliases": ["small"],
  "extensions": [".tiny"],
  "entry": "main.tiny",
  "options": { "std": { "description": "Standard", "values": ["1", "2"], "default": "1" } },
  "compile": { "argv": ["tinyc", "-\${option.std}", "\${entry}"], "limits": { "wall": "5s" } },
  "run": { "argv": ["tiny", "\${entry}", "\${args}"] },
  "warm": { "argv": ["tinyd"] },
  "outOfMemory": { "signal": "SIGABRT", "stderr": "no memory" },
  "diagnostics": [{ "pattern": "(.*):(\\\\d+)", "file": 1, "line": 2 }],
  "limits": { "memory": "64MiB", "pids": 8 }
}
`;
const DOCKERFILE = `# Tiny.
ARG BASE
FROM \${BASE}
RUN echo one \\
 && echo two
COPY tiny /usr/bin/
`;

/** [what, what is changed in runtime.json, to what, what is told] */
const RUNTIME_MISTAKES: [string, string, string, ...string[]][] = [
  ['an empty file', RUNTIME, '', '1:1: A value is missing here; the last item has no comma behind it.'],
  [
    'half a file',
    RUNTIME.slice(RUNTIME.indexOf('"run"')),
    '',
    '10:3: A field’s name in double quotes is missing here; the last field has no comma behind it.',
  ],
  ['a forgotten comma', '"Tiny",', '"Tiny"', '4:3: A comma is missing here.'],
  [
    'a comma too many',
    '"pids": 8 }',
    '"pids": 8, }',
    '14:45: A field’s name in double quotes is missing here; the last field has no comma behind it.',
  ],
  ['a forgotten quote', '"name": "Tiny"', '"name": "Tiny', '3:11: The text that begins here does not end in its line.'],
  [
    'single quotes',
    '"name": "Tiny"',
    "'name': 'Tiny'",
    '3:3: This is no value: text stands in double quotes, and beside it there are numbers, true, false and null.',
  ],
  ['a comment', '"name"', '/* people */ "name"', '3:3: JSON has no comments.'],
  ['a field that stands twice', '"aliases": ["small"]', '"name": "Small"', '5:3: "name" stands here twice.'],
  ['a list', RUNTIME, '[]', '1:1: It is an empty list, but takes an object.'],
  ['a misspelt field', '"aliases"', '"alias"', '5:3: It has "alias", which nobody knows; did you mean "aliases"?'],
  [
    'a misspelt field that is needed',
    '"extensions"',
    '"extension"',
    '6:3: It has "extension", which nobody knows; did you mean "extensions"?',
  ],
  ['a field of nobody’s', '"aliases": ["small"]', '"colour": "red"', '5:3: It has "colour", which nobody knows.'],
  [
    'a misspelt field inside',
    '"wall"',
    '"walls"',
    '9:77: compile.limits has "walls", which nobody knows; did you mean "wall"?',
  ],
  ['a field that lacks', '  "name": "Tiny",\n', '', '1:1: It lacks "name".'],
  ['a field that lacks inside', '{ "argv": ["tinyd"] }', '{}', '11:11: warm lacks "argv".'],
  [
    'several mistakes',
    '"Tiny",\n  "version": "1"',
    '5,\n  "version": ""',
    '3:11: name is 5, but takes text.',
    '4:14: version is "", but takes text that is not empty.',
  ],
  [
    'a capital id',
    '"id": "tiny"',
    '"id": "Tiny"',
    '2:9: id is "Tiny", but takes small letters, digits and -, a letter first.',
  ],
  [
    'an id of an image of ours',
    '"id": "tiny"',
    '"id": "agent"',
    '2:9: id is "agent", which is an image of CodeRunner’s own.',
  ],
  [
    'another id than the folder’s',
    '"id": "tiny"',
    '"id": "small"',
    '2:9: id is "small", but the folder is called "tiny".',
  ],
  ['a name that another has', '"small"', '"py"', '5:15: The name "py" belongs to python already.'],
  ['an ending that another has', '".tiny"', '".tiny", ".PY"', '6:27: The ending ".PY" belongs to python already.'],
  [
    'an ending without its dot',
    '".tiny"',
    '"tiny"',
    '6:18: extensions.0 is "tiny", but takes an ending with its dot, such as .rb.',
  ],
  ['no ending', '[".tiny"]', '[]', '6:17: extensions is an empty list, but takes at least one item.'],
  [
    'an entry outside',
    '"main.tiny"',
    '"../main.tiny"',
    '7:12: entry is "../main.tiny", but takes a path below the workspace.',
  ],
  [
    'a command line as text',
    '["tiny", "${entry}", "${args}"]',
    '"tiny ${entry}"',
    '10:20: run.argv is "tiny ${entry}", but takes a list.',
  ],
  [
    'a number in a command line',
    '"tiny", "${entry}"',
    '"tiny", 5, "${entry}"',
    '10:29: run.argv.1 is 5, but takes text.',
  ],
  ['a stage that is text', '{ "argv": ["tinyd"] }', '"tinyd"', '11:11: warm is "tinyd", but takes an object or null.'],
  [
    'a misspelt variable',
    '"tiny", "${entry}"',
    '"tiny", "${entri}"',
    '10:29: run.argv has "${entri}"; variables are ${entry} and ${args} as whole items, and ${option.NAME}; did you mean "entry"?',
  ],
  [
    'a misspelt option',
    '-${option.std}',
    '-${option.sdt}',
    '9:34: compile.argv has "-${option.sdt}", but options has no "sdt"; did you mean "std"?',
  ],
  [
    'a default that is no value',
    '"default": "1"',
    '"default": "3"',
    '8:85: options.std.default is "3", which is none of its values.',
  ],
  ['a value twice', '["1", "2"]', '["1", "1"]', '8:62: options.std.values is a list, but takes each item once.'],
  [
    'a time without a unit that there is',
    '"5s"',
    '"5 parsecs"',
    '9:85: compile.limits.wall is "5 parsecs", but takes a time from 1ms to 720 h, such as 30s.',
  ],
  ['a size that is a number', '"64MiB"', '64', '14:25: limits.memory is 64, but takes text.'],
  ['too few processes', '"pids": 8', '"pids": 7', '14:42: limits.pids is 7, but takes a whole number from 8 to 4096.'],
  ['half a process', '"pids": 8', '"pids": 8.5', '14:42: limits.pids is 8.5, but takes a whole number.'],
  [
    'a pattern that is none',
    '(.*):(',
    '(.*:(',
    '13:32: diagnostics.0.pattern is no regular expression: Invalid regular expression: /(.*:(\\d+)/: Unterminated group.',
  ],
  ['a group that is none', '"line": 2', '"line": 3', '13:66: diagnostics.0.line is group 3, but the pattern has 2.'],
  [
    'both ways to be out of memory',
    '"signal": "SIGABRT"',
    '"signal": "SIGABRT", "exitCode": 1',
    '12:18: outOfMemory takes either signal or exitCode.',
  ],
  [
    'a service that is none',
    '"aliases": ["small"]',
    '"services": ["oracle"]',
    '5:16: services has "oracle", which is no service. There are: mariadb.',
  ],
];

const DOCKERFILE_MISTAKES: [string, string, ...string[]][] = [
  [
    'nothing in it',
    '# later\n',
    '1:1: There is no FROM, which names the image that it stands on, such as: FROM ${BASE}',
  ],
  [
    'no FROM',
    'ARG BASE\nRUN true\n',
    '1:1: There is no FROM, which names the image that it stands on, such as: FROM ${BASE}',
  ],
  ['something before FROM', 'ARG BASE\nRUN true\nFROM ${BASE}\n', '2:1: RUN stands before FROM; only ARG may.'],
  [
    'a misspelt instruction',
    'FROM debian\nRUM true\n',
    '2:1: RUM is no instruction of a Dockerfile; did you mean "RUN"?',
  ],
  ['an unfinished instruction', 'FROM debian\nRUN\n', '2:1: RUN says nothing.'],
  [
    'an argument that is not asked for',
    '\nFROM ${BASE}\n',
    '2:1: FROM uses BASE, but there is no ARG BASE before the first FROM.',
  ],
  [
    'an argument that nobody gives',
    'ARG BASE\nFROM ${BSAE}\n',
    '2:1: FROM uses BSAE, but there is no ARG BSAE before the first FROM; did you mean "BASE"?',
  ],
  [
    'a volume',
    'FROM debian\nVOLUME /data\n',
    '2:1: VOLUME would let programs write outside of the limits of their sandbox.',
  ],
  [
    'a mistake below a long instruction',
    'FROM debian\nRUN one \\\n  # why\n  && two\nCOPPY a b\n',
    '5:1: COPPY is no instruction of a Dockerfile; did you mean "COPY"?',
  ],
];

describe('a folder of a language', () => {
  let root: string;
  let folder: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'coderunner-runtimes-'));
    folder = join(root, 'tiny');
    await mkdir(folder);
  });

  afterEach(() => rm(root, { recursive: true }));

  async function read(runtime: string | undefined, dockerfile: string | undefined): Promise<string[] | undefined> {
    if (runtime !== undefined) await writeFile(join(folder, 'runtime.json'), runtime);
    if (dockerfile !== undefined) await writeFile(join(folder, 'Dockerfile'), dockerfile);
    const { runtimes } = await loadRuntimes();
    const offers = runtimes[0]?.offers ?? [];
    const found = await readLanguage(folder, offers, runtimes, { isNamedById: true });
    return Array.isArray(found) ? found.map((flaw) => describeFlaw(flaw).replaceAll(`${folder}/`, '')) : found && [];
  }

  it('is taken where all is well, also from an editor that writes a byte order mark and other line ends', async () => {
    assert.deepEqual(await read(RUNTIME, DOCKERFILE), []);
    assert.deepEqual(await read(`\uFEFF${RUNTIME.replaceAll('\n', '\r\n')}`, DOCKERFILE.replaceAll('\n', '\r\n')), []);
  });

  it('is none without a runtime.json', async () => {
    assert.equal(await read(undefined, DOCKERFILE), undefined);
  });

  it('lacks its Dockerfile', async () => {
    assert.deepEqual(await read(RUNTIME, undefined), ['Dockerfile: There is no Dockerfile.']);
  });

  for (const [what, from, to, ...told] of RUNTIME_MISTAKES) {
    it(`has ${what} in its runtime.json`, async () => {
      assert.ok(RUNTIME.includes(from), 'the mistake is made');
      assert.deepEqual(
        await read(
          RUNTIME.replace(from, () => to),
          DOCKERFILE,
        ),
        told.map((line) => `runtime.json:${line}`),
      );
    });
  }

  for (const [what, dockerfile, ...told] of DOCKERFILE_MISTAKES) {
    it(`has ${what} in its Dockerfile`, async () => {
      assert.deepEqual(
        await read(RUNTIME, dockerfile),
        told.map((line) => `Dockerfile:${line}`),
      );
    });
  }

  it('may have mistakes in both files', async () => {
    assert.deepEqual(await read(RUNTIME.replace('"Tiny"', '5'), 'RUN true\n'), [
      'runtime.json:3:11: name is 5, but takes text.',
      'Dockerfile:1:1: There is no FROM, which names the image that it stands on, such as: FROM ${BASE}',
    ]);
  });

  it('takes the place of one that came with CodeRunner, or stands beside them; a broken one does neither', async () => {
    await mkdir(join(root, 'python'));
    await writeFile(
      join(root, 'python', 'runtime.json'),
      RUNTIME.replace('"id": "tiny"', '"id": "python"').replace('.tiny', '.py').replace('"small"', '"py"'),
    );
    await writeFile(join(root, 'python', 'Dockerfile'), DOCKERFILE);
    await read(RUNTIME, undefined);
    const { runtimes, broken } = await loadRuntimes({ dataDir: join(root, 'nothing'), runtimesPath: root });
    const python = runtimes.filter(({ id }) => id === 'python');
    assert.deepEqual(
      python.map(({ name, origin }) => [name, origin]),
      [['Tiny', 'replacement']],
    );
    assert.ok(runtimes.some(({ id, origin }) => id === 'javascript' && origin === 'bundled'));
    assert.deepEqual(broken, [{ id: 'tiny', problem: `${folder}/Dockerfile: There is no Dockerfile.` }]);
  });
});

describe('JSON with places', () => {
  it('is refused exactly where JSON is', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      ' ',
      '\n',
      '"',
      '\\',
      'u00',
      'a',
      '1',
      '-',
      '.',
      'e',
      'true',
      'null',
      '\t',
      '//',
    ];
    const text = fc.oneof(
      fc.json(),
      fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((parts) => parts.join('')),
      fc
        .tuple(fc.json(), fc.nat(40), fc.constantFrom(...pieces))
        .map(([json, at, piece]) => json.slice(0, at) + piece + json.slice(at + 1)),
    );
    fc.assert(
      fc.property(text, (source) => {
        const parsed = JsonText.parse('x.json', source);
        let value: unknown;
        try {
          value = JSON.parse(source);
        } catch {
          assert.ok(Array.isArray(parsed), 'it is no JSON');
          assert.ok(parsed.length === 1 && parsed[0]?.line !== undefined);
          return;
        }
        if (Array.isArray(parsed)) for (const { message } of parsed) assert.match(message, /stands here twice/);
        else assert.deepEqual(parsed.value, value);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a Dockerfile', () => {
  it('knows the line of each step that an engine counts', () => {
    assert.deepEqual(
      [1, 2, 3, 4].map((step) => lineOfStep(DOCKERFILE, step, 4)),
      [2, 3, 4, 6],
    );
    assert.equal(lineOfStep(DOCKERFILE, 4, 5), 6, 'with a step for labels');
    for (const steps of [3, 6]) assert.equal(lineOfStep(DOCKERFILE, 2, steps), undefined, 'somebody counts otherwise');
  });

  it('does not take the lines of a here-document for instructions', () => {
    assert.equal(lineOfStep('FROM x\nRUN <<EOF cat\nRUM\nEOF\nCOPY a b\n', 3, 3), 5);
  });

  it('is given the agent at its end, unless it sees to that itself', () => {
    const given = withAgent(DOCKERFILE, 'coderunner/agent:1');
    assert.ok(given.startsWith(DOCKERFILE));
    assert.match(given, /^COPY --from=coderunner\/agent:1 \/ \/$/m);
    const own = `ARG AGENT\n${DOCKERFILE}`;
    assert.equal(withAgent(own, 'coderunner/agent:1'), own);
  });
});
