import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe } from 'vitest';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import { DynamoBackfillTable } from '#aws/dynamo-backfills.ts';
import { tableDefinition } from '#aws/table-definition.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { backfillsContract } from '../ports/backfills.contract.ts';
import { unique } from './samples.ts';

describe('DynamoBackfillTable on dynalite', () => {
  let server: TableServer;
  beforeAll(async () => {
    server = await startTableServer();
  });
  afterAll(() => server.close());

  backfillsContract(() => new DynamoBackfillTable(server.connection), { isAtomic: true });
});

describeOnMoto('DynamoBackfillTable on moto', (endpoint) => {
  let backfills: DynamoBackfillTable;
  beforeAll(async () => {
    const client = new DynamoDBClient(motoClientOptions(endpoint));
    const tableName = unique('table-');
    await client.send(new CreateTableCommand(tableDefinition(tableName)));
    backfills = new DynamoBackfillTable({ tableName, client });
  });

  backfillsContract(() => backfills, { isAtomic: false });
});
