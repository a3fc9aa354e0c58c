import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FlexCacheError } from '#core/errors.ts';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { tableDefinition } from '#aws/table-definition.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { unique } from './samples.ts';
import { tableContract } from '../ports/table.contract.ts';

describe('DynamoTable on dynalite', () => {
  let server: TableServer;
  beforeAll(async () => {
    server = await startTableServer();
  });
  afterAll(() => server.close());

  tableContract(() => server.table, { isAtomic: true });
});

describeOnMoto('DynamoTable on moto', (endpoint) => {
  let table: DynamoTable;
  beforeAll(async () => {
    const client = new DynamoDBClient(motoClientOptions(endpoint));
    const tableName = unique('table-');
    await client.send(new CreateTableCommand(tableDefinition(tableName)));
    table = new DynamoTable({ tableName, client });
  });

  tableContract(() => table, { isAtomic: false });

  test('a table that is not there is named with a fix', async () => {
    const client = new DynamoDBClient(motoClientOptions(endpoint));
    const absent = new DynamoTable({ tableName: 'absent', client });

    const reading = absent.getJob('vid_1');

    await expect(reading).rejects.toMatchObject({ code: 'not_found', fix: expect.any(String) });
  });
});

describe('DynamoTable', () => {
  test('a server that is not there is a transient error', async () => {
    const client = new DynamoDBClient({
      ...motoClientOptions('http://127.0.0.1:9'),
      maxAttempts: 1,
    });
    const table = new DynamoTable({ tableName: 'unreached', client });

    const failure = await table.getJob('vid_1').catch((error: unknown) => error);

    expect(failure).toBeInstanceOf(FlexCacheError);
    expect(failure).toMatchObject({ code: 'internal', transient: true });
  });
});
