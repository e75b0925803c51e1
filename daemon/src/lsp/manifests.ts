/** Files that name the packages of a project: what they list, and how one is added. Reads text, and nothing else. */
import { basename } from 'node:path';

/** Replaces the characters from `from` up to `to`. */
export interface Change {
  from: number;
  to: number;
  text: string;
}

interface Format {
  /** What names one and the same package. */
  normal(name: string): string;
  /** Normal names; undefined where the file alone does not say. */
  listed(text: string): Set<string> | undefined;
  /** How it is added; undefined where that is better left to a person. */
  add(text: string, name: string): Change | undefined;
}

/** Python's package names: runs of `-`, `_` and `.` are one, and case does not count. */
const pythonName = (name: string) => name.toLowerCase().replace(/[-_.]+/g, '-');

const requirements: Format = {
  normal: pythonName,
  listed(text) {
    const lines = text.split(/\r\n|\r|\n/).map((line) => line.trim());
    // `-r other.txt`, `-e .`, or an address: which packages that brings is not written here.
    if (lines.some((line) => /^(?:-[rce]\b|--(?:requirement|constraint|editable)\b|[\w+]+:\/\/|\.)/.test(line)))
      return undefined;
    return new Set(lines.flatMap((line) => /^[A-Za-z0-9][\w.-]*/.exec(line)?.[0] ?? []).map(pythonName));
  },
  add(text, name) {
    const feed = text.includes('\r\n') ? '\r\n' : '\n';
    const before = text === '' || /[\r\n]$/.test(text) ? '' : feed;
    return { from: text.length, to: text.length, text: `${before}${name}${feed}` };
  },
};

const pyproject: Format = {
  normal: pythonName,
  // Without reading the tables, everything that might be a package's name counts: rather no hint than a wrong one.
  listed(text) {
    const names = [...text.matchAll(/(?:^|["'])([A-Za-z0-9][\w.-]*)/gm)];
    return new Set(names.map(([, name = '']) => pythonName(name)));
  },
  add: () => undefined,
};

const DEPENDENCIES = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'];

const packageJson: Format = {
  normal: (name) => name,
  listed(text) {
    const manifest = objectIn(text);
    return manifest && new Set(DEPENDENCIES.flatMap((field) => Object.keys(asObject(manifest[field]) ?? {})));
  },
  add(text, name) {
    const manifest = text.trim() === '' ? {} : objectIn(text);
    const before = manifest?.dependencies ?? {};
    if (!manifest || !asObject(before)) return undefined;
    const names = Object.entries({ ...before, [name]: '*' }).sort(([a], [b]) => (a < b ? -1 : 1));
    const indent = /^[ \t]+(?=")/m.exec(text)?.[0] ?? '  ';
    const whole = `${JSON.stringify({ ...manifest, dependencies: Object.fromEntries(names) }, null, indent)}\n`;
    return { from: 0, to: text.length, text: text.includes('\r\n') ? whole.replaceAll('\n', '\r\n') : whole };
  },
};

const FORMATS: Record<string, Format> = {
  'requirements.txt': requirements,
  'pyproject.toml': pyproject,
  'package.json': packageJson,
};

/** @returns undefined where nothing is known of such files */
export function formatOf(path: string): Format | undefined {
  return FORMATS[basename(path)];
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    return asObject(JSON.parse(text));
  } catch {
    // Somebody is in the middle of writing it.
    return undefined;
  }
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
