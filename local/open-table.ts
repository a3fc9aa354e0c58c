import { FlexCacheError } from '#core/errors.ts';
import type { DynamoItemsOptions } from '#aws/dynamo-items.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import type { Table } from '#ports/table.ts';
import { ExactVectorIndex } from './exact-vector-index.ts';
import { openStateFolder, type StateFolder, type StateUse } from './state-folder.ts';
import { publishTableEndpoint, readTableEndpoint } from './table-endpoint.ts';
import { connectToTable, startTableServer, type TableServer } from './table-server.ts';

export interface OpenedTable extends AsyncDisposable {
  readonly table: Table;
  /** Opens the other tables that live in the one table: tenants, retention. */
  readonly connection: DynamoItemsOptions;
}

/** No job has this id. */
const NOBODY = 'nobody';

/**
 * The table of a state folder, without models. While another process holds the folder, its table is
 * used.
 *
 * @throws FlexCacheError `state_locked` when the holder's table cannot be reached.
 * @example
 * await using state = await openTable('.flexcache');
 * await state.table.getEntry(entryId);
 */
export async function openTable(
  stateDirectory: string,
  use: StateUse = 'create',
): Promise<OpenedTable> {
  try {
    return await openOwn(stateDirectory, use);
  } catch (error) {
    if (!(error instanceof FlexCacheError) || error.code !== 'state_locked') throw error;
    return openHolders(stateDirectory, error);
  }
}

async function openOwn(stateDirectory: string, use: StateUse): Promise<OpenedTable> {
  await using opened = new AsyncDisposableStack();
  const state = await openStateFolder(stateDirectory, use);
  opened.defer(() => state.release());
  const server = await startTableServer({ path: state.table });
  opened.defer(() => server.close());
  if (use !== 'read') {
    opened.defer(await publishTableEndpoint(state.directory, server.endpoint));
  }
  if (server.droppedBytes > 0) await rebuildVectors(state, server);
  const ours = opened.move();
  const { table, connection } = server;
  return { table, connection, [Symbol.asyncDispose]: () => ours.disposeAsync() };
}

/** Damage is told once, to whoever opens the table first. */
async function rebuildVectors(state: StateFolder, { table }: TableServer): Promise<void> {
  const vectors = await ExactVectorIndex.open(state.vectors);
  try {
    await vectors.rebuild(table.scanEntries());
  } finally {
    await vectors.close();
  }
}

async function openHolders(stateDirectory: string, locked: FlexCacheError): Promise<OpenedTable> {
  const endpoint = await readTableEndpoint(stateDirectory);
  if (endpoint === null) throw locked;
  const connection = connectToTable(endpoint);
  const table = new DynamoTable(connection);
  try {
    await table.getJob(NOBODY);
  } catch {
    connection.client.destroy();
    throw locked;
  }
  return { table, connection, [Symbol.asyncDispose]: async () => connection.client.destroy() };
}
