/**
 * Services: what runs beside a program in its sandbox, such as a database. A folder of `runtimes/services/` each, with a
 * `service.json` and a Dockerfile that stands on any language's image.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Static } from 'typebox';
import * as Type from 'typebox';
import { Compile } from 'typebox/compile';
import { BUNDLED_RUNTIMES } from '../config.ts';
import { parseBytes } from '../protocol/index.ts';

const ServiceFile = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z][a-z0-9-]{0,39}$' }),
    name: Type.String({ minLength: 1 }),
    version: Type.String({ minLength: 1 }),
    argv: Type.Array(Type.String({ pattern: '^/' }), { minItems: 1, maxItems: 1 }),
    env: Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), Type.String()),
    memory: Type.String(),
    disk: Type.String(),
    pids: Type.Integer({ minimum: 1, maximum: 4096 }),
  },
  { additionalProperties: false },
);
const validator = Compile(ServiceFile);

export interface Service {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** What the agent starts, without arguments; it says when it serves. */
  readonly executable: string;
  /** Tells programs where it is. */
  readonly env: Readonly<Record<string, string>>;
  /** What a sandbox has more, so that the program keeps what its limits say. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly pids: number;
}

/** Where the services are whose Dockerfiles images are built from. */
export const SERVICES_FOLDER = 'services';

/** All that come with CodeRunner, by id. @throws Error where one of them is broken */
export async function loadServices(): Promise<Service[]> {
  const root = join(BUNDLED_RUNTIMES, SERVICES_FOLDER);
  const folders = (await readdir(root)).sort();
  return Promise.all(
    folders.map(async (folder) => parseService(await readFile(join(root, folder, 'service.json'), 'utf8'), folder)),
  );
}

function parseService(source: string, folder: string): Service {
  const file: Static<typeof ServiceFile> = validator.Parse(JSON.parse(source));
  const [memoryBytes, diskBytes] = [parseBytes(file.memory), parseBytes(file.disk)];
  if (file.id !== folder || memoryBytes === undefined || diskBytes === undefined)
    throw new Error(`The service in ${folder} has another id, or a size that is none.`);
  const { id, name, version, env, pids } = file;
  return { id, name, version, executable: file.argv[0] as string, env, memoryBytes, diskBytes, pids };
}

/** What programs are told of their services. */
export function servicesEnv(services: readonly Service[]): Record<string, string> {
  return Object.assign({}, ...services.map(({ env }) => env));
}

/** What a language and its services are called together, such as `python+mariadb`; the language alone by its id. */
export function imageName({ id, services = [] }: { id: string; services?: readonly Pick<Service, 'id'>[] }): string {
  return [id, ...services.map((service) => service.id)].join('+');
}
