import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { systemErrorCode } from './file-errors.ts';

export interface HttpServer {
  /** `http://127.0.0.1:8080` */
  readonly origin: string;
  /** Takes no new requests and waits for those under way, but not for ever. */
  close(): Promise<void>;
}

export interface HttpServerOptions {
  fetch: (request: Request) => Response | Promise<Response>;
  host: string;
  /** 0 for any that is free. */
  port: number;
}

/** Requests are short: what takes longer is stuck. */
const CLOSE_MILLISECONDS = 3000;

/**
 * Longer than clients and proxies keep a connection without a request: whoever closes first must not be
 * the one to whom a request may be under way.
 */
const KEEP_ALIVE_MILLISECONDS = 75_000;

/** @throws InvalidInputError when it cannot listen there. */
export async function startHttpServer({
  fetch,
  host,
  port,
}: HttpServerOptions): Promise<HttpServer> {
  const server = createAdaptorServer({ fetch }) as Server;
  server.keepAliveTimeout = KEEP_ALIVE_MILLISECONDS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(error, host, port)));
    server.listen(port, host, resolve);
  });
  const { port: listening } = server.address() as AddressInfo;
  return {
    origin: `http://${host.includes(':') ? `[${host}]` : host}:${listening}`,
    close: () => closeServer(server),
  };
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MILLISECONDS);
  await closed;
  clearTimeout(timer);
}

function cannotListen(error: unknown, host: string, port: number): FlexCacheError {
  switch (systemErrorCode(error)) {
    case 'EADDRINUSE':
      return new InvalidInputError(
        'port',
        `port ${port} of ${host} is taken by another program`,
        'stop it, or name another port with --port',
      );
    case 'EACCES':
      return new InvalidInputError(
        'port',
        `port ${port} may not be used`,
        'name a port from 1024 on with --port',
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new InvalidInputError(
        'host',
        `${host} is no address of this machine`,
        'name one of its addresses with --host, such as 127.0.0.1',
      );
    default:
      return new FlexCacheError('internal', `cannot listen on port ${port} of ${host}`, {
        cause: error,
      });
  }
}
