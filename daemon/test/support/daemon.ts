/** Folders, runs and whole daemons for the tests; everything is gone when the test that made it is over. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Run } from '../../src/protocol/index.ts';

const cleanups: (() => Promise<unknown> | unknown)[] = [];

/** Undoes something after the present test, the latest first. */
export function afterwards(cleanup: () => Promise<unknown> | unknown): void {
  cleanups.push(cleanup);
}

/** To be called once by a test file that uses the helpers of this module. */
export function cleanUpAfterEach(): void {
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'coderunner-test-'));
  afterwards(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A run as it is when it was just taken. */
export function newRun(id: string, more: Partial<Run> = {}): Run {
  return {
    id,
    state: 'queued',
    runtime: 'python',
    entry: 'main.py',
    args: [],
    createdAt: '2026-01-31T12:00:00.000Z',
    startedAt: null,
    endedAt: null,
    options: {},
    services: [],
    limits: { wallMs: 1, cpuMs: 1, memoryBytes: 1, outputBytes: 1, fileBytes: 1, pids: 1 },
    tty: false,
    exitCode: null,
    signal: null,
    message: null,
    error: null,
    wallMs: null,
    cpuMs: null,
    peakMemoryBytes: null,
    stages: [],
    compileCached: false,
    warm: { container: false, interpreter: false },
    outputBytes: 0,
    inputBytes: 0,
    files: [],
    results: null,
    ...more,
  };
}
