import { once } from 'node:events';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  CreateTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  ResourceInUseException,
} from '@aws-sdk/client-dynamodb';
import dynalite from 'dynalite';
import { FlexCacheError } from '#core/errors.ts';
import type { DynamoItemsOptions } from '#aws/dynamo-items.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { tableDefinition } from '#aws/table-definition.ts';
import { createFolder } from './durable-file.ts';
import { fromDatabase, tableDamaged } from './database-errors.ts';
import { findTableDamage } from './table-files.ts';

/** The database of dynalite, as dynalite itself resolves it. */
const { Level } = createRequire(createRequire(import.meta.url).resolve('dynalite'))('level') as {
  Level: new (path: string) => {
    open(): Promise<void>;
    get(key: string): Promise<string | undefined>;
    del(key: string): Promise<void>;
    close(): Promise<void>;
    getProperty(name: string): string;
  };
};

/** Loopback by number: name look-up may be slow, or absent. */
const LOOPBACK = '127.0.0.1';
const TABLE_NAME = 'flexcache';
/** Where LevelDB writes what it did when it was opened. */
const DATABASE_LOG = 'LOG';
const READY_TRIES = 100;
const READY_PAUSE_MILLISECONDS = 20;

export interface TableServerOptions {
  /** Folder that keeps the table; in memory when absent. */
  path?: string;
  tableName?: string;
  /** Epoch milliseconds now. */
  now?: () => number;
}

export interface TableServer {
  readonly table: DynamoTable;
  readonly tableName: string;
  /** Opens the other tables that live in the one table: tenants, backfills. */
  readonly connection: DynamoItemsOptions;
  /** For anyone who wants to look inside with their own client; any credentials will do. */
  readonly endpoint: string;
  /** Damaged bytes at the end of its journal that were left out on opening; 0 when it was sound. */
  readonly droppedBytes: number;
  close(): Promise<void>;
}

/**
 * Starts a DynamoDB-compatible server in this process and opens the one table on it.
 *
 * @example
 * const server = await startTableServer({ path: '.flexcache/table' });
 * await server.table.getJob(videoId);
 * await server.close();
 */
export async function startTableServer({
  path,
  tableName = TABLE_NAME,
  now,
}: TableServerOptions = {}): Promise<TableServer> {
  const dropped = path === undefined ? 0 : await checkOpens(path, tableName);
  const server = dynalite({
    ...(path !== undefined && { path }),
    createTableMs: 0,
    deleteTableMs: 0,
    updateTableMs: 0,
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  const endpoint = `http://${LOOPBACK}:${(server.address() as AddressInfo).port}`;
  const connection = { ...connectToTable(endpoint, tableName), ...(now && { now }) };
  const { client } = connection;

  const close = async (): Promise<void> => {
    client.destroy();
    await new Promise<void>((resolve, reject) => {
      server.close((error) => (error ? reject(error) : resolve()));
      server.closeIdleConnections();
    });
  };

  try {
    await createTable(client, tableName);
  } catch (error) {
    await close();
    throw new FlexCacheError('internal', 'the table server does not answer', { cause: error });
  }
  let closed: Promise<void> | undefined;
  return {
    table: new DynamoTable(connection),
    tableName,
    connection,
    endpoint,
    droppedBytes: dropped,
    close: () => (closed ??= close()),
  };
}

/** A client of a table server that listens already, in this process or in another. */
export function connectToTable(
  endpoint: string,
  tableName: string = TABLE_NAME,
): { tableName: string; client: DynamoDBClient } {
  const client = new DynamoDBClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'embedded', secretAccessKey: 'embedded' },
  });
  return { tableName, client };
}

/**
 * Dynalite leaves requests unanswered when its folder does not open: whether it does is found out
 * first. Returns how many damaged bytes the database has dropped.
 */
async function checkOpens(path: string, tableName: string): Promise<number> {
  try {
    await createFolder(path);
    const database = new Level(path);
    await database.open();
    // Dynalite waits for ever for a creation that a crash cut short. Items are kept apart from it.
    const description = `table~${tableName}`;
    const status = /"TableStatus":"(\w+)"/.exec((await database.get(description)) ?? '')?.[1];
    if (status !== 'ACTIVE') await database.del(description);
    const damage = await findTableDamage(path, database.getProperty('leveldb.sstables')).finally(
      () => database.close(),
    );
    if (damage !== null) throw tableDamaged(path, damage);
    return droppedBytes(await readFile(join(path, DATABASE_LOG), 'utf8'));
  } catch (error) {
    throw fromDatabase(error, 'open the table', path);
  }
}

function droppedBytes(log: string): number {
  const dropped = [...log.matchAll(/: dropping (\d+) bytes; Corruption/g)];
  return dropped.reduce((bytes, [, count]) => bytes + Number(count), 0);
}

async function createTable(client: DynamoDBClient, tableName: string): Promise<void> {
  try {
    await client.send(new CreateTableCommand(tableDefinition(tableName)));
  } catch (error) {
    if (!(error instanceof ResourceInUseException)) throw error;
  }
  for (let attempt = 0; attempt < READY_TRIES; attempt++) {
    const { Table: table } = await client.send(new DescribeTableCommand({ TableName: tableName }));
    if (table?.TableStatus === 'ACTIVE') return;
    await new Promise((resolve) => setTimeout(resolve, READY_PAUSE_MILLISECONDS));
  }
  throw new Error(`table ${tableName} does not become active`);
}
