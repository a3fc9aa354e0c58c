import type { DynamoItemsOptions } from '#aws/dynamo-items.ts';
import { DynamoTenantTable } from '#aws/dynamo-tenants.ts';
import type { TenantTable } from '#ports/tenants.ts';
import { openTable } from './open-table.ts';
import type { StateUse } from './state-folder.ts';

export interface OpenTenants extends AsyncDisposable {
  readonly tenants: TenantTable;
  /** Opens the other tables that live in the one table. */
  readonly connection: DynamoItemsOptions;
}

/**
 * The tenants of a state folder, as `openTable` opens it.
 *
 * @throws FlexCacheError `state_locked` when the holder's table cannot be reached.
 * @example
 * await using state = await openTenants('.flexcache');
 * await state.tenants.listApiKeys('local');
 */
export async function openTenants(
  stateDirectory: string,
  use: StateUse = 'create',
): Promise<OpenTenants> {
  const opened = await openTable(stateDirectory, use);
  const { connection } = opened;
  return {
    tenants: new DynamoTenantTable(connection),
    connection,
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}
