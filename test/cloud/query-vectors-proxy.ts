import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { S3VectorsClient } from '@aws-sdk/client-s3vectors';
import { motoClientOptions } from '../moto.ts';
import { answerQueryVectors } from '../aws/query-vectors-stand-in.ts';

/**
 * S3 Vectors as moto has it, and QueryVectors, which it lacks: an address for clients that are made
 * where a test cannot reach them.
 */
export async function startQueryVectorsProxy(
  endpoint: string,
): Promise<{ endpoint: string; close: () => Promise<void> }> {
  const lister = new S3VectorsClient(motoClientOptions(endpoint));
  const server = createServer((request, response) => {
    void (async () => {
      const body = await read(request);
      if (request.url === '/QueryVectors') {
        const answer = await answerQueryVectors(JSON.parse(body.toString()), lister);
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ ...answer, distanceMetric: 'cosine' }));
        return;
      }
      const passedOn = await fetch(`${endpoint}${request.url}`, {
        method: request.method!,
        headers: headersOf(request),
        ...(body.byteLength > 0 && { body: new Uint8Array(body) }),
      });
      response.statusCode = passedOn.status;
      response.setHeader('content-type', passedOn.headers.get('content-type') ?? '');
      response.end(Buffer.from(await passedOn.arrayBuffer()));
    })().catch((error: unknown) => {
      response.statusCode = 500;
      response.end(JSON.stringify({ message: String(error) }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}`, close: () => closed(server) };
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** What `fetch` sets itself is left to it. */
function headersOf(request: IncomingMessage): Record<string, string> {
  const own = new Set(['host', 'connection', 'content-length', 'expect']);
  return Object.fromEntries(
    Object.entries(request.headers).filter(
      (header): header is [string, string] => typeof header[1] === 'string' && !own.has(header[0]),
    ),
  );
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve, reject) => {
    server.close((error) => (error ? reject(error) : resolve()));
  });
}
