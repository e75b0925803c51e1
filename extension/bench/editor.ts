/** A window of VS Code for the benchmarks, on the daemon of the bench. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { CodeServer } from '../test/harness/code-server.ts';
import { EXTENSION } from '../test/harness/environment.ts';
import { launchBrowser, Window } from '../test/harness/window.ts';

const HERE = import.meta.dirname;

/** Times are milliseconds since 1970. */
export interface Drawn {
  text: string;
  /** The page had it. */
  changed: number;
  /** The frame with it was drawn. */
  at: number;
}

/** What probe.js gives to each frame. */
declare const probe: {
  pressed(type: string): number;
  expect(selector: string, pattern: string, not?: string): void;
  drawn(): Promise<Drawn>;
};

export class Editor implements AsyncDisposable {
  readonly window: Window;
  readonly #resources: AsyncDisposableStack;

  private constructor(window: Window, resources: AsyncDisposableStack) {
    this.window = window;
    this.#resources = resources;
  }

  /** @param dataDir of the daemon that programs run on */
  static async open(dataDir: string): Promise<Editor> {
    await using resources = new AsyncDisposableStack();
    const workspace = await mkdtemp(join(tmpdir(), 'coderunner-bench-workspace-'));
    resources.defer(() => rm(workspace, { recursive: true, force: true }));
    await cp(join(HERE, 'programs'), workspace, { recursive: true });
    const server = resources.use(await CodeServer.start({ env: { CODERUNNER_DATA_DIR: dataDir } }));
    const browser = resources.use(await launchBrowser());
    const context = await browser.newContext();
    await context.addInitScript({ path: join(HERE, 'probe.js') });
    const window = await Window.open(context, server.url(workspace, { development: EXTENSION }));
    return new Editor(window, resources.move());
  }

  /** The frame of the console's page, once it is open. */
  async console(): Promise<Frame> {
    const element = await this.window.console.owner().elementHandle();
    const frame = await element?.contentFrame();
    if (!frame) throw new Error('The console is not open.');
    return frame;
  }

  get frame(): Frame {
    return this.window.page.mainFrame();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
  }
}

/** From now on `frame` watches for a text that matches, other than `not`, in what the selector finds. */
export async function expect(frame: Frame, selector: string, pattern: string, not?: string): Promise<void> {
  await frame.evaluate(
    ([where, what, before]) => probe.expect(where as string, what as string, before),
    [selector, pattern, not],
  );
}

/** What was watched for, when it is there. */
export function drawn(frame: Frame): Promise<Drawn> {
  return frame.evaluate(() => probe.drawn());
}

/** When a key was pressed, or the pointer's button let go, in this frame, for the last time. */
export function pressed(frame: Frame, type: 'keydown' | 'pointerup'): Promise<number> {
  return frame.evaluate((name) => probe.pressed(name), type);
}
