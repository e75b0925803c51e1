/** Compiles one file of TypeScript to what Node runs, as the tsconfig.json above the program says. */
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const { transformSync } = require('@swc/core');
const { createPathsMatcher, getTsconfig } = require('get-tsconfig');

/** @type {{options: object, matchPath: ((specifier: string) => string[]) | null} | undefined} */
let project;

/** The nearest tsconfig.json, with all that it extends. @throws Error that names it, where it cannot be read */
function findTsconfig(folder) {
  try {
    return getTsconfig(folder);
  } catch (error) {
    throw new Error(`tsconfig.json cannot be read: ${error.message}`, { cause: error });
  }
}

/** What the nearest tsconfig.json above a file says. A program has one: that of the first file that is loaded. */
function projectOf(file) {
  if (project) return project;
  const tsconfig = findTsconfig(path.dirname(file));
  project = {
    options: tsconfig?.config.compilerOptions ?? {},
    matchPath: tsconfig ? createPathsMatcher(tsconfig) : null,
  };
  return project;
}

/** What the nearest package.json says; undefined where there is none, or it is broken, which Node tells better. */
function packageType(folder) {
  const manifest = path.join(folder, 'package.json');
  if (!fs.existsSync(manifest)) return folder === '/' ? undefined : packageType(path.dirname(folder));
  try {
    return JSON.parse(fs.readFileSync(manifest, 'utf8')).type;
  } catch {
    return undefined;
  }
}

/** @returns {'module' | 'commonjs' | undefined} undefined: as its text says */
function formatOf(file, { module: kind }) {
  if (/\.mtsx?$/.test(file)) return 'module';
  if (/\.ctsx?$/.test(file)) return 'commonjs';
  const type = packageType(path.dirname(file));
  if (type === 'module' || type === 'commonjs') return type;
  return /^(?:commonjs|node\d*|nodenext)$/i.test(kind ?? '') ? 'commonjs' : undefined;
}

/** Whether Node would take it for a module: whether it is none of what the other kind of file may be. */
function isModule(code) {
  try {
    vm.compileFunction(code, ['exports', 'require', 'module', '__filename', '__dirname']);
    return false;
  } catch (error) {
    return /import statement outside|import\.meta|token 'export'|await is only valid/.test(error.message);
  }
}

/** `esnext` and the like are newer than all with a year. */
function definesFields({ useDefineForClassFields, target = 'esnext' }) {
  return useDefineForClassFields ?? (/next/i.test(target) || Number(/\d+$/.exec(target)?.[0]) >= 2022);
}

/** @returns {{code: string, format: 'module' | 'commonjs'}} @throws SyntaxError */
function compile(file, source) {
  const { options } = projectOf(file);
  const format = formatOf(file, options);
  const { code } = transform(file, source, options, format === 'commonjs' ? 'commonjs' : 'es6');
  return { code, format: format ?? (isModule(code) ? 'module' : 'commonjs') };
}

function transform(file, source, options, kind) {
  try {
    return transformSync(source, {
      filename: file,
      configFile: false,
      swcrc: false,
      sourceMaps: 'inline',
      isModule: kind === 'commonjs' ? 'unknown' : true,
      module: { type: kind, importInterop: options.esModuleInterop === false ? 'none' : 'swc' },
      jsc: {
        target: 'esnext',
        parser: { syntax: 'typescript', tsx: file.endsWith('x'), decorators: true },
        keepClassNames: true,
        transform: {
          legacyDecorator: options.experimentalDecorators === true,
          decoratorMetadata: options.emitDecoratorMetadata === true,
          ...(options.experimentalDecorators === true ? {} : { decoratorVersion: '2022-03' }),
          useDefineForClassFields: definesFields(options),
          verbatimModuleSyntax: options.verbatimModuleSyntax === true,
          react: {
            runtime: /^react-jsx/.test(options.jsx ?? '') ? 'automatic' : 'classic',
            development: options.jsx === 'react-jsxdev',
            pragma: options.jsxFactory ?? 'React.createElement',
            pragmaFrag: options.jsxFragmentFactory ?? 'React.Fragment',
            importSource: options.jsxImportSource ?? 'react',
          },
        },
      },
    });
  } catch (error) {
    throw syntaxError(file, error);
  }
}

/** The compiler's error as one of Node's, at its place. */
function syntaxError(file, { message }) {
  const [, what = message] = /[x×] +(.+)/.exec(message) ?? [];
  const [, line = '1', column = '1'] = /\[[^\]\n]*:(\d+):(\d+)\]/.exec(message) ?? [];
  const found = new SyntaxError(what);
  found.stack = `SyntaxError: ${what}\n    at ${file}:${line}:${column}`;
  return found;
}

module.exports = {
  compile,
  findTsconfig,
  projectOf,
  /** For a Node that waits: the first file takes longer than all that follow. */
  warmUp() {
    compile('/opt/coderunner/sample.ts', 'enum Tea { Green }\nexport const tea: Tea = Tea.Green;\nconsole.log(tea);\n');
    project = undefined;
  },
};
