/** Where the programs are that come with the extension: inside it when it is packaged, beside it in the repository. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export interface Bundle {
  /** The daemon and its command line. */
  cli: string;
  /** The console's page: main.js and style.css. */
  page: string;
  /** The languages, a folder each. */
  runtimes: string;
}

/** @param extension the extension's folder */
export function findBundle(extension: string): Bundle {
  const packaged = join(extension, 'daemon/dist/coderunner.mjs');
  const root = existsSync(packaged) ? extension : join(extension, '..');
  return {
    cli: join(root, 'daemon/dist/coderunner.mjs'),
    page: join(root, 'webview-ui/dist'),
    runtimes: join(root, 'runtimes'),
  };
}
