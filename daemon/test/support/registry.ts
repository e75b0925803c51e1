/**
 * Package registries of a test's own: one HTTP server on the address that this machine has on the engine's network, which serves
 * what was put into it. Every package is made here, byte by byte.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { crc32, gzipSync } from 'node:zlib';
import type Docker from 'dockerode';
import tar from 'tar-stream';

type Contents = Record<string, string>;

export interface NpmPackage {
  name: string;
  version: string;
  files: Contents;
  scripts?: Record<string, string>;
  dependencies?: Record<string, string>;
}

export class Registry implements AsyncDisposable {
  /** Without a slash at the end. */
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #files = new Map<string, Buffer>();
  readonly #versions = new Map<string, Record<string, object>>();
  readonly #wheels = new Map<string, string[]>();
  /** Every answer waits for it: a test holds installs up. */
  gate: Promise<void> = Promise.resolve();

  private constructor(server: Server) {
    this.#server = server;
    const { address, port } = server.address() as AddressInfo;
    this.url = `http://${address}:${port}`;
  }

  static async start(docker: Docker): Promise<Registry> {
    const network = await docker.getNetwork('bridge').inspect();
    const [{ Subnet = '', Gateway = undefined } = {}] = network.IPAM?.Config ?? [];
    // Until the engine was started once more it does not tell its address, which is the first of the network.
    const server = createServer().listen(0, Gateway ?? Subnet.replace(/\d+\/\d+$/, '1'));
    await once(server, 'listening');
    const registry = new Registry(server);
    server.on('request', (request, response) => void registry.#answer(request, response));
    return registry;
  }

  async #answer({ url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(url);
    this.asked.push(path);
    await this.gate;
    const bytes = this.#files.get(path);
    const type = path.endsWith('/') ? 'text/html' : 'application/octet-stream';
    response.writeHead(bytes ? 200 : 404, { 'content-type': type }).end(bytes);
  }

  put(path: string, bytes: Buffer | string): void {
    this.#files.set(path, Buffer.from(bytes));
  }

  /** @returns what a lock file says of it */
  async npm({ name, version, files, ...manifest }: NpmPackage): Promise<{ resolved: string; integrity: string }> {
    const packed = gzipSync(
      await archive({ ...files, 'package.json': JSON.stringify({ name, version, ...manifest }) }, 'package/'),
    );
    const path = `/npm/${name}/-/${name}-${version}.tgz`;
    this.put(path, packed);
    const integrity = `sha512-${createHash('sha512').update(packed).digest('base64')}`;
    const resolved = `${this.url}${path}`;
    const versions = this.#versions.get(name) ?? {};
    this.#versions.set(name, versions);
    // npm knows by this that there is something to run; registries work it out when a package is published.
    const hasInstallScript = manifest.scripts?.install !== undefined || manifest.scripts?.postinstall !== undefined;
    versions[version] = { name, version, ...manifest, hasInstallScript, dist: { tarball: resolved, integrity } };
    this.put(`/npm/${name}`, JSON.stringify({ name, 'dist-tags': { latest: version }, versions }));
    return { resolved, integrity };
  }

  /** A pure Python package of one module. @returns its SHA-256 */
  wheel(name: string, version: string, source: string, more: Contents = {}): string {
    const info = `${name}-${version}.dist-info`;
    const bytes = zip({
      [`${name}/__init__.py`]: source,
      ...more,
      [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
      [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
      [`${info}/RECORD`]: '',
    });
    return this.#pythonFile(name, `${name}-${version}-py3-none-any.whl`, bytes);
  }

  /** A Python package that comes as source only, with this setup.py. */
  async source(name: string, version: string, setup: string): Promise<void> {
    const files = { 'setup.py': setup, 'PKG-INFO': `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n` };
    this.#pythonFile(name, `${name}-${version}.tar.gz`, gzipSync(await archive(files, `${name}-${version}/`)));
  }

  #pythonFile(name: string, file: string, bytes: Buffer): string {
    this.put(`/files/${file}`, bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const links = this.#wheels.get(name) ?? [];
    this.#wheels.set(name, links);
    links.push(`<a href="/files/${file}#sha256=${sha256}">${file}</a>`);
    this.put(`/simple/${name}/`, `<!DOCTYPE html><html><body>${links.join('\n')}</body></html>`);
    return sha256;
  }

  /** A Go module, as a module proxy serves it. */
  goModule(name: string, version: string, files: Contents): void {
    const goMod = `module ${name}\n\ngo 1.21\n`;
    const at = `/go/${name}/@v/${version}`;
    const entries = Object.entries({ ...files, 'go.mod': goMod });
    this.put(`/go/${name}/@v/list`, `${version}\n`);
    this.put(`${at}.info`, JSON.stringify({ Version: version, Time: '2026-01-31T12:00:00Z' }));
    this.put(`${at}.mod`, goMod);
    this.put(`${at}.zip`, zip(Object.fromEntries(entries.map(([path, text]) => [`${name}@${version}/${path}`, text]))));
  }

  /** A crate of one file, in a sparse index. */
  async crate(name: string, version: string, source: string): Promise<void> {
    const manifest = `[package]\nname = "${name}"\nversion = "${version}"\nedition = "2021"\n`;
    const packed = gzipSync(await archive({ 'Cargo.toml': manifest, 'src/lib.rs': source }, `${name}-${version}/`));
    const cksum = createHash('sha256').update(packed).digest('hex');
    const folder = name.length === 3 ? `3/${name[0]}` : `${name.slice(0, 2)}/${name.slice(2, 4)}`;
    this.put('/cargo/config.json', JSON.stringify({ dl: `${this.url}/crates` }));
    const line = { name, vers: version, deps: [], cksum, features: {}, yanked: false };
    this.put(`/cargo/${folder}/${name}`, `${JSON.stringify(line)}\n`);
    this.put(`/crates/${name}/${version}/download`, packed);
  }

  /** A jar with its pom and its checksum, in a Maven repository. @param more of the pom, such as what it depends on */
  maven(group: string, name: string, version: string, jar: Buffer, more = ''): void {
    const coordinates = `<groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version>`;
    const at = `/maven/${group.replaceAll('.', '/')}/${name}/${version}/${name}-${version}`;
    this.put(`${at}.pom`, `<project><modelVersion>4.0.0</modelVersion>${coordinates}${more}</project>`);
    this.put(`${at}.jar`, jar);
    this.put(`${at}.jar.sha1`, createHash('sha1').update(jar).digest('hex'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

async function archive(files: Contents, prefix: string): Promise<Buffer> {
  const pack = tar.pack();
  for (const [path, text] of Object.entries(files)) pack.entry({ name: `${prefix}${path}`, mode: 0o644 }, text);
  pack.finalize();
  return buffer(pack);
}

/** A zip archive of files that are stored as they are: a wheel, a Go module, a jar. */
export function zip(files: Record<string, string | Buffer>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [path, contents] of Object.entries(files)) {
    const name = Buffer.from(path);
    const bytes = Buffer.from(contents);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0); // version
    common.writeUInt16LE(0x21, 8); // 1980-01-01
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(bytes.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(name.length, 22);
    parts.push(Buffer.from('PK\x03\x04', 'latin1'), common, name, bytes);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE((0o100644 << 16) >>> 0, 6);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x03', 'latin1'), common, rest, name);
    offset += 30 + name.length + bytes.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(Object.keys(files).length, 4);
  end.writeUInt16LE(Object.keys(files).length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, central, Buffer.from('PK\x05\x06', 'latin1'), end]);
}
