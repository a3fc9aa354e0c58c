import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe } from 'vitest';
import { connectToTable, startTableServer, type TableServer } from '#local/table-server.ts';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import { tableDefinition } from '#aws/table-definition.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { retentionTableContract } from '../ports/retention-table.contract.ts';
import { unique } from './samples.ts';

/** One item holds the turn: each test has a table of its own. */
async function freshTable(client: DynamoDBClient): Promise<DynamoRetentionTable> {
  const tableName = unique('table-');
  await client.send(new CreateTableCommand(tableDefinition(tableName)));
  return new DynamoRetentionTable({ tableName, client });
}

describe('DynamoRetentionTable on dynalite', () => {
  let server: TableServer;
  beforeAll(async () => {
    server = await startTableServer();
  });
  afterAll(() => server.close());

  retentionTableContract(() => freshTable(connectToTable(server.endpoint).client), {
    isAtomic: true,
  });
});

describeOnMoto('DynamoRetentionTable on moto', (endpoint) => {
  retentionTableContract(() => freshTable(new DynamoDBClient(motoClientOptions(endpoint))), {
    isAtomic: false,
  });
});
