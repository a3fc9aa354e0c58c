import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { request as requestPlain, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { request as requestSecure } from 'node:https';
import type { LookupFunction } from 'node:net';
import { InvalidInputError } from '#core/errors.ts';
import { isLoopbackAddress, isPublicAddress } from '../shared/webhooks/addresses.ts';
import { validateWebhookUrl, type WebhookPolicy } from '../shared/webhooks/webhook-url.ts';

const CONNECT_MILLISECONDS = 5000;
const WHOLE_MILLISECONDS = 15_000;
/** The response body is ignored; this much is read so that the receiver can finish sending it. */
const MAX_ANSWER_BYTES = 16 * 1024;

export interface PostOptions extends WebhookPolicy {
  /** Aborts the request. */
  signal?: AbortSignal;
  /** Resolves a host name; default: the system resolver. */
  resolve?: (hostname: string) => Promise<LookupAddress[]>;
  connectMilliseconds?: number;
  wholeMilliseconds?: number;
}

/**
 * Posts to a user-supplied address and returns the response status. Each connection resolves the host, checks
 * its addresses and connects to a checked one, which prevents DNS rebinding. Redirects are not followed.
 *
 * @throws InvalidInputError when the URL or a resolved address is not allowed.
 * @throws Error on a timeout.
 */
export async function postWebhook(
  address: string,
  headers: OutgoingHttpHeaders,
  body: string,
  options: PostOptions = {},
): Promise<number> {
  const url = new URL(validateWebhookUrl(address, options));
  const isPlain = url.protocol === 'http:';
  const bytes = Buffer.from(body);
  const deadline = AbortSignal.timeout(options.wholeMilliseconds ?? WHOLE_MILLISECONDS);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const request = (isPlain ? requestPlain : requestSecure)(url, {
    method: 'POST',
    headers: { ...headers, 'content-length': bytes.length },
    agent: false,
    lookup: guardedLookup(options, isPlain),
    signal: options.signal ? AbortSignal.any([deadline, options.signal]) : deadline,
  });
  const connectMilliseconds = options.connectMilliseconds ?? CONNECT_MILLISECONDS;
  const connecting = setTimeout(() => {
    request.destroy(new Error(`no connection within ${connectMilliseconds} ms`));
  }, connectMilliseconds);
  request.on('socket', (socket) => {
    socket.once(isPlain ? 'connect' : 'secureConnect', () => clearTimeout(connecting));
  });
  let status: number | undefined;
  request.on('response', (response) => {
    status = response.statusCode!;
    void drain(response).then(() => resolve(status!));
  });
  request.on('error', (error) => {
    // Errors after the status do not matter.
    if (status !== undefined) resolve(status);
    else reject(deadline.aborted ? noAnswer(error) : error);
  });
  request.end(bytes);
  try {
    return await promise;
  } finally {
    clearTimeout(connecting);
    request.destroy();
  }
}

/** Resolves a host for a connection; rejects it if any of its addresses is not allowed. */
function guardedLookup(
  { allowLoopback = false, resolve = resolveAll }: PostOptions,
  isPlain: boolean,
): LookupFunction {
  const isFit = (address: string): boolean =>
    (!isPlain && isPublicAddress(address)) || (allowLoopback && isLoopbackAddress(address));
  return (hostname, { all: wantsAll }, callback) => {
    resolve(hostname)
      .then((addresses) => {
        if (addresses.length === 0) throw new Error(`${hostname} has no address`);
        if (!addresses.every(({ address }) => isFit(address))) throw refused(hostname);
        const [{ address, family }] = addresses as [LookupAddress];
        if (wantsAll) callback(null, addresses);
        else callback(null, address, family);
      })
      .catch((error: Error) => callback(error, '', 0));
  };
}

function resolveAll(hostname: string): Promise<LookupAddress[]> {
  return lookup(hostname, { all: true });
}

/** Reads the response body up to a limit and ignores errors. */
async function drain(response: IncomingMessage): Promise<void> {
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) return;
    }
  } catch {
    return;
  }
}

function refused(hostname: string): InvalidInputError {
  return new InvalidInputError(
    'webhook',
    `${hostname} resolves to an address that is not public`,
    'use a host that resolves only to public addresses',
  );
}

function noAnswer(cause: Error): Error {
  return new Error('no answer in time', { cause });
}
