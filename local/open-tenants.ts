import { FlexCacheError } from '#core/errors.ts';
import type { DynamoItemsOptions } from '#stores/dynamo-items.ts';
import { DynamoTenantTable } from '#stores/dynamo-tenants.ts';
import type { TenantTable } from '#stores/tenants.ts';
import { ExactVectorIndex } from './exact-vector-index.ts';
import { openStateFolder, type StateFolder } from './state-folder.ts';
import { publishTableEndpoint, readTableEndpoint } from './table-endpoint.ts';
import { connectToTable, startTableServer, type TableServer } from './table-server.ts';

export interface OpenTenants extends AsyncDisposable {
  readonly tenants: TenantTable;
  /** Opens the other tables that live in the one table. */
  readonly connection: DynamoItemsOptions;
}

/**
 * The tenants of a state folder, without models. While another process holds the folder, its table is
 * used.
 *
 * @throws FlexCacheError `state_locked` when the holder's table cannot be reached.
 * @example
 * await using state = await openTenants('.flexcache');
 * await state.tenants.listApiKeys('local');
 */
export async function openTenants(stateDirectory: string): Promise<OpenTenants> {
  try {
    return await openOwn(stateDirectory);
  } catch (error) {
    if (!(error instanceof FlexCacheError) || error.code !== 'state_locked') throw error;
    return openHolders(stateDirectory, error);
  }
}

async function openOwn(stateDirectory: string): Promise<OpenTenants> {
  await using opened = new AsyncDisposableStack();
  const state = await openStateFolder(stateDirectory);
  opened.defer(() => state.release());
  const server = await startTableServer({ path: state.table });
  opened.defer(() => server.close());
  opened.defer(await publishTableEndpoint(state.directory, server.endpoint));
  if (server.droppedBytes > 0) await rebuildVectors(state, server);
  const ours = opened.move();
  return {
    tenants: new DynamoTenantTable(server.connection),
    connection: server.connection,
    [Symbol.asyncDispose]: () => ours.disposeAsync(),
  };
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

async function openHolders(stateDirectory: string, locked: FlexCacheError): Promise<OpenTenants> {
  const endpoint = await readTableEndpoint(stateDirectory);
  if (endpoint === null) throw locked;
  const connection = connectToTable(endpoint);
  const tenants = new DynamoTenantTable(connection);
  try {
    await tenants.getTenant('anybody');
  } catch {
    connection.client.destroy();
    throw locked;
  }
  return {
    tenants,
    connection,
    [Symbol.asyncDispose]: async () => connection.client.destroy(),
  };
}
