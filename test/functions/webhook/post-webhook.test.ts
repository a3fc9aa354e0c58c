import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { postWebhook } from '#functions/webhook/post-webhook.ts';
import { startReceiver } from './receiver.ts';

const LOCAL = { allowLoopback: true };
const PRIVATE = { address: '127.0.0.1', family: 4 };
/** Public by its number; nothing in these tests reaches it. */
const PUBLIC = { address: '8.8.8.8', family: 4 };

test('the body arrives whole, with its headers', async () => {
  const receiver = await startReceiver([{ status: 201, body: 'thanks' }]);
  const body = JSON.stringify({ text: 'é'.repeat(50_000) });

  const status = await postWebhook(receiver.url, { 'webhook-id': 'evt_1' }, body, LOCAL);

  expect(status).toBe(201);
  expect(receiver.received).toMatchObject([
    { method: 'POST', url: '/hook', body, headers: { 'webhook-id': 'evt_1' } },
  ]);
});

test('a redirect is answered with its status and not followed', async () => {
  const secret = await startReceiver();
  const receiver = await startReceiver([{ status: 302, headers: { location: secret.url } }]);

  expect(await postWebhook(receiver.url, {}, '{}', LOCAL)).toBe(302);
  expect(secret.received).toEqual([]);
});

test('a name that leads to this machine is refused before anything is connected', async () => {
  const receiver = await startReceiver();
  const connections: unknown[] = [];
  receiver.server.on('connection', (socket) => connections.push(socket));
  const url = `https://rebinding.example:${receiver.port}/`;

  const posting = postWebhook(url, {}, '{}', { resolve: async () => [PRIVATE] });

  await expect(posting).rejects.toThrow(InvalidInputError);
  await expect(posting).rejects.toMatchObject({ field: 'webhook' });
  expect(connections).toEqual([]);
});

test('one private address among public ones is enough to be refused', async () => {
  const posting = postWebhook('https://mixed.example/', {}, '{}', {
    resolve: async () => [PUBLIC, { address: '::ffff:10.0.0.1', family: 6 }],
  });

  await expect(posting).rejects.toThrow(InvalidInputError);
});

test('a name that was public the last time is looked at again, and once only', async () => {
  const answers = [[PUBLIC], [PRIVATE], [PUBLIC]];
  const asked: string[] = [];
  const post = () =>
    postWebhook('https://rebinding.example/', {}, '{}', {
      connectMilliseconds: 100,
      resolve: async (hostname) => {
        asked.push(hostname);
        return answers.shift()!;
      },
    });

  await expect(post()).rejects.not.toThrow(InvalidInputError);
  await expect(post()).rejects.toThrow(InvalidInputError);

  expect(asked).toEqual(['rebinding.example', 'rebinding.example']);
});

test('with loopback allowed a private network is refused all the same', async () => {
  const posting = postWebhook('https://inside.example/', {}, '{}', {
    ...LOCAL,
    resolve: async () => [{ address: '192.168.0.1', family: 4 }],
  });

  await expect(posting).rejects.toThrow(InvalidInputError);
});

test('plain http goes to this machine only, whatever its name leads to', async () => {
  const posting = postWebhook('http://localhost:3000/', {}, '{}', {
    ...LOCAL,
    resolve: async () => [PUBLIC],
  });

  await expect(posting).rejects.toThrow(InvalidInputError);
});

test('an address that may not be called is refused without a look-up', async () => {
  const resolve = () => Promise.reject(new Error('was asked'));

  for (const url of ['https://169.254.169.254/', 'http://example.com/', 'https://[::1]/'])
    await expect(postWebhook(url, {}, '{}', { resolve })).rejects.toThrow(InvalidInputError);
});

test('a name that leads nowhere is an error that may pass', async () => {
  const posting = postWebhook('https://nowhere.example/', {}, '{}', { resolve: async () => [] });

  await expect(posting).rejects.toThrow('nowhere.example has no address');
  await expect(posting).rejects.not.toThrow(InvalidInputError);
});

test('a receiver that never answers is given up', async () => {
  const receiver = await startReceiver([null]);

  const posting = postWebhook(receiver.url, {}, '{}', { ...LOCAL, wholeMilliseconds: 150 });

  await expect(posting).rejects.toThrow('no answer in time');
  expect(receiver.received).toHaveLength(1);
});

test('a receiver that says nothing while a secure connection is made is given up', async () => {
  const silent = createServer();
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  onTestFinished(() => void silent.close());
  const { port } = silent.address() as AddressInfo;

  const posting = postWebhook(`https://127.0.0.1:${port}/`, {}, '{}', {
    ...LOCAL,
    connectMilliseconds: 150,
  });

  await expect(posting).rejects.toThrow('no connection within 150 ms');
});

test('an answer without an end is not read to its end', async () => {
  const receiver = await startReceiver([null]);
  receiver.server.removeAllListeners('request');
  receiver.server.on('request', (_, response) => {
    response.writeHead(200);
    const more = (): void => {
      while (response.writable && response.write('x'.repeat(65_536)));
    };
    response.on('drain', more);
    more();
  });

  expect(await postWebhook(receiver.url, {}, '{}', LOCAL)).toBe(200);
});

test('an answer that breaks off in its body is an answer', async () => {
  const receiver = await startReceiver([null]);
  receiver.server.removeAllListeners('request');
  receiver.server.on('request', (_, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('half', () => response.destroy());
  });

  expect(await postWebhook(receiver.url, {}, '{}', LOCAL)).toBe(200);
});

test('an answer that stops in its body is an answer', async () => {
  const receiver = await startReceiver([null]);
  receiver.server.removeAllListeners('request');
  receiver.server.on('request', (_, response) => {
    response.writeHead(200).write('half');
  });

  const status = await postWebhook(receiver.url, {}, '{}', { ...LOCAL, wholeMilliseconds: 200 });

  expect(status).toBe(200);
});

test('who closes does not wait for the receiver', async () => {
  const receiver = await startReceiver([null]);
  const closing = new AbortController();

  const posting = postWebhook(receiver.url, {}, '{}', { ...LOCAL, signal: closing.signal });
  await receiver.count(1);
  closing.abort();

  await expect(posting).rejects.toThrow();
});
