import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, readFile, rm } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlexCacheError, type ErrorCode } from '#core/errors.ts';
import { replaceDurably } from './durable-file.ts';
import { fromFileSystem, systemErrorCode } from './file-errors.ts';

/** What the holder of a state folder does for other processes of this machine: JSON in, JSON out. */
export type HolderCalls = Readonly<Record<string, (input: unknown) => Promise<unknown>>>;

/** Lies in the state folder while its holder answers calls. */
const CALLS_FILE = 'holder-calls';
/** The path is a secret: whoever may read the state folder may call, a web page may not. */
const ADDRESS = /^(http:\/\/127\.0\.0\.1:\d{1,5}\/[0-9a-f]{32})\n$/;
const LOOPBACK = '127.0.0.1';
const OWNER_ONLY = 0o600;
/** Who was told to stop answers in less. */
const CLOSE_MILLISECONDS = 500;
const MAX_INPUT_BYTES = 65_536;

interface Answer {
  value?: unknown;
  error?: { code: ErrorCode; message: string; field?: string; fix?: string };
}

/**
 * Answers calls of other processes, such as `flexcache evict` while `flexcache serve` holds the state
 * folder: what is in its memory only it can change. When it closes, calls under way are cut off that
 * are not answered at once.
 *
 * @example
 * await using answering = await serveCalls('.flexcache', { evict: (input) => evict(input) });
 */
export async function serveCalls(
  stateDirectory: string,
  calls: HolderCalls,
): Promise<AsyncDisposable> {
  const secret = randomBytes(16).toString('hex');
  const underWay = new Set<Promise<void>>();
  const server = createServer((incoming, outgoing) => {
    const call = answer(calls, secret, incoming, outgoing).finally(() => underWay.delete(call));
    underWay.add(call);
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  // It must not keep a process alive that has nothing else to do.
  server.unref();
  const { port } = server.address() as AddressInfo;
  const path = join(stateDirectory, CALLS_FILE);
  const close = async (): Promise<void> => {
    const closed = once(server, 'close');
    server.close();
    await Promise.race([Promise.all(underWay), sleep(CLOSE_MILLISECONDS, null, { ref: false })]);
    server.closeAllConnections();
    await closed;
  };
  try {
    await replaceDurably(path, [Buffer.from(`http://${LOOPBACK}:${port}/${secret}\n`)]);
    await chmod(path, OWNER_ONLY);
  } catch (error) {
    await close();
    throw fromFileSystem(error, 'write down where calls are answered', path);
  }
  return {
    [Symbol.asyncDispose]: async () => {
      await rm(path, { force: true });
      await close();
    },
  };
}

/**
 * Calls the process that holds a state folder. Null when it answers no calls, or is gone.
 *
 * @throws FlexCacheError what the call has thrown there; `cancelled` when the holder ended meanwhile.
 */
export async function callOwner(
  stateDirectory: string,
  name: string,
  input: object,
): Promise<{ value: unknown } | null> {
  const address = await readAddress(stateDirectory);
  if (address === null) return null;
  const text = await post(`${address}/${name}`, JSON.stringify(input));
  if (text === null) return null;
  const { value, error } = JSON.parse(text) as Answer;
  if (error === undefined) return { value };
  const { code, message, ...details } = error;
  throw new FlexCacheError(code, message, details);
}

/** Null when nobody said. What a process that was killed has left leads nowhere. */
async function readAddress(stateDirectory: string): Promise<string | null> {
  try {
    const text = await readFile(join(stateDirectory, CALLS_FILE), 'utf8');
    return ADDRESS.exec(text)?.[1] ?? null;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw fromFileSystem(error, 'look where calls are answered', stateDirectory);
  }
}

/** However long it takes to be answered; null when nobody is there, or nobody who knows the path. */
function post(url: string, body: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let isConnected = false;
    const outgoing = request(url, { method: 'POST' }, (incoming) => {
      readAll(incoming, Infinity).then(
        (text) => resolve(incoming.statusCode === 200 ? text : null),
        () => reject(holderEnded()),
      );
    });
    outgoing.on('socket', (socket) => socket.once('connect', () => (isConnected = true)));
    outgoing.on('error', () => (isConnected ? reject(holderEnded()) : resolve(null)));
    outgoing.end(body);
  });
}

function holderEnded(): FlexCacheError {
  return new FlexCacheError(
    'cancelled',
    'the process that holds the state folder ended meanwhile',
    {
      fix: 'run the same command again: it goes on where it was',
    },
  );
}

async function answer(
  calls: HolderCalls,
  secret: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const [, given, name = ''] = (incoming.url ?? '').split('/');
  const call = Object.hasOwn(calls, name) ? calls[name] : undefined;
  if (given !== secret || incoming.method !== 'POST' || call === undefined) {
    outgoing.writeHead(404).end();
    return;
  }
  let said: Answer;
  try {
    said = { value: await call(JSON.parse(await readAll(incoming, MAX_INPUT_BYTES))) };
  } catch (error) {
    said = { error: errorOf(error) };
  }
  outgoing.writeHead(200, { 'content-type': 'application/json' });
  await new Promise<void>((resolve) => outgoing.end(JSON.stringify(said), resolve));
}

function errorOf(error: unknown): NonNullable<Answer['error']> {
  if (!(error instanceof FlexCacheError)) {
    return { code: 'internal', message: error instanceof Error ? error.message : String(error) };
  }
  const { code, message, field, fix } = error;
  return {
    code,
    message,
    ...(field !== undefined && { field }),
    ...(fix !== undefined && { fix }),
  };
}

async function readAll(stream: IncomingMessage, mostBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > mostBytes) {
      throw new FlexCacheError('invalid_input', `a call has at most ${mostBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
