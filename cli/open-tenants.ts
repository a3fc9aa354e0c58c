import { resolve } from 'node:path';
import { InvalidInputError } from '#core/errors.ts';
import type { OpenTenants } from '#local/open-tenants.ts';
import type { StateUse } from '#local/state-folder.ts';
import type { TenantTable } from '#ports/tenants.ts';
import type { CliContext, GlobalOptions } from './context.ts';

export interface TenantOptions extends GlobalOptions {
  /** A deployed table; the state folder's unless said. */
  table?: string;
  json?: boolean;
}

/** Opens the tenants of the state folder or of a deployed table, hands them over and closes them. */
export async function withTenants<Result>(
  context: CliContext,
  options: TenantOptions,
  stateUse: StateUse,
  use: (tenants: TenantTable) => Promise<Result>,
): Promise<Result> {
  return withTable(context, options, stateUse, ({ tenants }) => use(tenants));
}

export type OpenedTable = Pick<OpenTenants, 'tenants' | 'connection'>;

/** Opens the table of the state folder or a deployed one, hands it over and closes it. */
export async function withTable<Result>(
  { workingDirectory }: CliContext,
  { table, state }: TenantOptions,
  stateUse: StateUse,
  use: (opened: OpenedTable) => Promise<Result>,
): Promise<Result> {
  await using opened =
    table === undefined
      ? await openEmbedded(resolve(workingDirectory, state), stateUse)
      : await openDeployed(table);
  return await use(opened);
}

/** The table's server is large: commands that do without it start without it. */
async function openEmbedded(stateDirectory: string, use: StateUse): Promise<OpenTenants> {
  const { openTenants } = await import('#local/open-tenants.ts');
  return openTenants(stateDirectory, use);
}

/** Credentials and region come from where the AWS tools have them. */
async function openDeployed(tableName: string): Promise<OpenTenants> {
  const { DynamoDBClient } = await import('@aws-sdk/client-dynamodb');
  const { DynamoTenantTable } = await import('#aws/dynamo-tenants.ts');
  const client = new DynamoDBClient({});
  try {
    await client.config.region();
  } catch {
    throw new InvalidInputError(
      'table',
      `it is not known in which AWS region table ${tableName} is`,
      'set AWS_REGION, or a profile with AWS_PROFILE',
    );
  }
  const connection = { tableName, client };
  return {
    tenants: new DynamoTenantTable(connection),
    connection,
    [Symbol.asyncDispose]: async () => client.destroy(),
  };
}
