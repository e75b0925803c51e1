/** Whether an image is there, as an engine tells it that does not always answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { join } from 'node:path';
import { type Config, loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { CodeRunnerError } from '../../src/protocol/index.ts';
import { Images } from '../../src/runtimes/images.ts';
import { afterwards, cleanUpAfterEach, temporaryFolder } from '../support/daemon.ts';

cleanUpAfterEach();

const AGENT = { id: 'agent' };

/** Images of an engine that answers what is asked about them so. */
async function imagesOf(answer: RequestListener): Promise<Images> {
  const path = join(await temporaryFolder(), 'engine.sock');
  const server: Server = createServer((request, response) => {
    if (request.url?.startsWith('/images/')) answer(request, response);
    else if (request.url?.startsWith('/events')) response.writeHead(200).flushHeaders();
    else response.end('{}');
  }).listen(path);
  await once(server, 'listening');
  afterwards(() => {
    server.closeAllConnections();
    server.close();
  });
  const config: Config = loadConfig({}, { engine: `unix://${path}` });
  const engine = await Engine.connect(config);
  afterwards(() => engine[Symbol.asyncDispose]());
  const images = new Images(config, () => engine, '0123456789ab');
  await images.prepare([]);
  return images;
}

describe('an image', () => {
  it('is marked as used when it is looked for, which tells whether it is there', async () => {
    const asked: string[] = [];
    let status = 404;
    const images = await imagesOf(({ method, url }, response) => {
      asked.push(`${method} ${url}`);
      response.writeHead(status).end('{"message":"no such image"}');
    });
    assert.equal(await images.state(AGENT), 'not_built');
    status = 201;
    assert.equal(await images.state(AGENT), 'ready');
    assert.equal(await images.state(AGENT), 'ready');
    const tag = images.tag(AGENT);
    const [repo = '', hash] = tag.split(':');
    const [name, query] = [encodeURIComponent(tag), `repo=${encodeURIComponent(repo)}&tag=${hash}-0123456789ab`];
    assert.deepEqual(asked, Array(2).fill(`POST /images/${name}/tag?${query}`));
  });

  it('is looked for once by all who ask at the same time, who are told in their order', async () => {
    let asked = 0;
    const images = await imagesOf((_, response) => {
      // A second one would be answered before the first.
      setTimeout(() => response.writeHead(201).end(), asked++ === 0 ? 20 : 0);
    });
    const order: number[] = [];
    await Promise.all([1, 2, 3].map((one) => images.state(AGENT).then(() => order.push(one))));
    assert.deepEqual([asked, order], [1, [1, 2, 3]]);
  });

  it('is not waited for where the engine’s answer is cut off after its head', async () => {
    const images = await imagesOf((_, response) => {
      response.writeHead(201, { 'content-length': 10 }).flushHeaders();
      setImmediate(() => response.destroy());
    });
    const unavailable = (error: unknown) => error instanceof CodeRunnerError && error.code === 'engine_unavailable';
    await assert.rejects(images.state(AGENT), unavailable);
  });

  it('is not taken for missing where the engine fails', async () => {
    const images = await imagesOf((_, response) => void response.writeHead(500).end('{"message":"broken"}'));
    await assert.rejects(
      images.state(AGENT),
      (error: CodeRunnerError) => error.code === 'engine_error' && /broken/.test(error.message),
    );
  });
});
