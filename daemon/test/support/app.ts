/** The daemon's HTTP side over a real store and real contents, with no engine behind it: everything but running works. */
import { mkdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import pino from 'pino';
import { EmbeddedBroker } from '../../src/broker/embedded.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { buildApp } from '../../src/http/app.ts';
import { ownersByToken } from '../../src/http/auth.ts';
import { Packages } from '../../src/packages/packages.ts';
import { EngineLink } from '../../src/pool/engine-link.ts';
import { Pool } from '../../src/pool/pool.ts';
import { PROTOCOL_VERSION } from '../../src/protocol/index.ts';
import { CompileCache } from '../../src/runs/compile-cache.ts';
import { Runs } from '../../src/runs/runs.ts';
import { Images } from '../../src/runtimes/images.ts';
import { addedRuntimesFolder } from '../../src/runtimes/load.ts';
import { Runtimes } from '../../src/runtimes/runtimes.ts';
import { Blobs } from '../../src/store/blobs.ts';
import { Store } from '../../src/store/store.ts';
import { afterwards, temporaryFolder } from './daemon.ts';

export interface TestApp {
  address: AddressInfo;
  url: string;
  routes: { method: string; url: string }[];
  store: Store;
  shutdowns: boolean[];
  /** A request with the token; a body that is no text or bytes is sent as JSON. */
  fetch(method: string, path: string, body?: unknown): Promise<Response>;
}

export async function anApp(settings: Partial<Config> = {}): Promise<TestApp> {
  const dataDir = await temporaryFolder();
  const engine = `unix://${join(dataDir, 'no-engine.sock')}`;
  const token = settings.token ?? 'token';
  const config = loadConfig({}, { dataDir, engine, ...settings });
  const log = pino({ level: 'silent' });
  const store = new Store(dataDir);
  afterwards(() => store[Symbol.dispose]());
  const blobs = new Blobs(dataDir, config.blobBytes);
  const compileCache = new CompileCache({ store, config, log });
  const link = new EngineLink(config);
  await link.start();
  afterwards(() => link[Symbol.asyncDispose]());
  const broken = join(addedRuntimesFolder(config), 'cobol');
  await mkdir(broken, { recursive: true });
  await writeFile(join(broken, 'runtime.json'), '{');
  const images = new Images(config, () => link.engine);
  const runtimes = await Runtimes.load(config, images);
  const pool = new Pool({ config, link, images, instance: 'test', runtimes: runtimes.usable, used: [], log });
  const packages = new Packages({ config, link, images, pool, instance: 'test', log });
  afterwards(() => packages[Symbol.asyncDispose]());
  const broker = new EmbeddedBroker(config.maxRunning);
  const runs = new Runs({ config, store, blobs, compileCache, broker, pool, packages, link, images, runtimes, log });
  const shutdowns: boolean[] = [];
  const app = await buildApp({
    config,
    runs,
    pool,
    packages,
    blobs,
    images,
    runtimes,
    ownerOf: ownersByToken(new Map([[token, 'local']])),
    version: '0.0.0',
    log,
    onActivity: () => {},
    clients: new Set(),
    status: () => ({
      version: '0.0.0',
      protocol: PROTOCOL_VERSION,
      pid: 1,
      startedAt: '',
      url: '',
      memoryBytes: 1,
      clients: 0,
      runs: runs.counts,
      pool: pool.status(),
    }),
    shutdown: (force) => shutdowns.push(force),
  });
  await app.listen({ host: config.host, port: 0 });
  afterwards(() => app.close());
  const address = app.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${address.port}`;
  return {
    address,
    url,
    routes: listRoutes(app.printRoutes({ commonPrefix: false })),
    store,
    shutdowns,
    fetch(method, path, body) {
      const bytes = typeof body === 'string' || body instanceof Uint8Array;
      return fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': bytes ? 'application/octet-stream' : 'application/json' }),
        },
        ...(body === undefined
          ? {}
          : { body: bytes ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
      });
    },
  };
}

/** The routes out of the tree that Fastify prints: each line is indented by four characters a level. */
function listRoutes(tree: string): { method: string; url: string }[] {
  const parents: string[] = [];
  return tree.split('\n').flatMap((line) => {
    const match = /^([│├└─\s]*)(\S*)(?: \(([A-Z, ]+)\))?$/.exec(line);
    if (!match || line === '') return [];
    const depth = Math.floor((match[1] ?? '').length / 4);
    const url = (parents[depth - 1] ?? '') + (match[2] ?? '');
    parents[depth] = url;
    return (match[3]?.split(', ') ?? []).map((method) => ({ method, url }));
  });
}
