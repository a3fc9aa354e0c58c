import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe } from 'vitest';
import { contentDisposition } from '#aws/content-disposition.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import type { PresignOptions } from '#ports/objects.ts';
import { objectStoreContract } from '../ports/object-store.contract.ts';
import { tableContract } from '../ports/table.contract.ts';
import { vectorIndexContract } from '../ports/vector-index.contract.ts';
import { MemoryDynamo } from './memory-dynamo.ts';
import { MemoryObjects } from './memory-objects.ts';
import { MemoryVectors } from './memory-vectors.ts';

describe('DynamoTable in memory', () => {
  const { client } = new MemoryDynamo();
  const table = new DynamoTable({ tableName: 'memory', client });

  tableContract(() => table, { isAtomic: true });
});

describe('MemoryObjects', () => {
  let server: Server;
  let objects: MemoryObjects;
  beforeAll(async () => {
    server = createServer((request, response) => void serve(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    objects = new MemoryObjects({
      presign: (key, options) =>
        `http://127.0.0.1:${port}/${key}?${new URLSearchParams({ options: JSON.stringify(options) })}`,
    });
  });
  afterAll(() => void server.close());

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, 'http://localhost');
    const options = JSON.parse(searchParams.get('options')!) as PresignOptions;
    const body = await objects.get(pathname.slice(1)).catch(() => null);
    response.writeHead(body === null ? 404 : 200, {
      ...(options.contentType !== undefined && { 'content-type': options.contentType }),
      ...(options.fileName !== undefined && {
        'content-disposition': contentDisposition(options.fileName),
      }),
    });
    response.end(body ?? undefined);
  }

  objectStoreContract(() => objects, { isAtomic: true });
});

describe('MemoryVectors', () => {
  const vectors = new MemoryVectors();

  vectorIndexContract(() => vectors);
});
