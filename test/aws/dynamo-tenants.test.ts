import {
  CreateTableCommand,
  DynamoDBClient,
  ScanCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import { DynamoTenantTable } from '#aws/dynamo-tenants.ts';
import { tableDefinition } from '#aws/table-definition.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { unique } from './samples.ts';
import { tenantTableContract, tenantTableRaceContract } from '../ports/tenants.contract.ts';

describe('DynamoTenantTable on dynalite', () => {
  let server: TableServer;
  let client: DynamoDBClient;
  let tenants: DynamoTenantTable;
  beforeAll(async () => {
    server = await startTableServer();
    client = new DynamoDBClient(motoClientOptions(server.endpoint));
    tenants = new DynamoTenantTable({ tableName: server.tableName, client });
  });
  afterAll(async () => {
    client.destroy();
    await server.close();
  });

  tenantTableContract(() => tenants);
  tenantTableRaceContract(() => tenants);

  test('what is only needed for a while says until when, in epoch seconds', async () => {
    const tenant = unique('tenant-');
    const noon = Date.parse('2026-11-22T12:00:00.000Z');
    await tenants.countRequest(tenant, noon, 5);
    await tenants.settle({ tenant, day: '2026-11-22', videoId: 'vid_1', amount: 5n });

    const { Items: items = [] } = await client.send(
      new ScanCommand({ TableName: server.tableName }),
    );

    const expiries = items
      .map((item) => unmarshall(item))
      .filter(({ pk }) => pk === `TENANT#${tenant}`)
      .map(({ sk, expiresAt }) => [sk, expiresAt]);
    expect(Object.fromEntries(expiries)).toEqual({
      'MINUTE#2026-11-22T12:00': noon / 1000 + 600,
      'SPENDING#2026-11-22': Date.parse('2027-01-01') / 1000,
      'CHARGE#2026-11-22#vid_1': Date.parse('2027-01-01') / 1000,
    });
  });

  test.each(['spending amended', 'charge written'])(
    'a settlement that broke off with its %s is finished by the next one, and counts once',
    async (reached) => {
      const tenant = unique('tenant-');
      const job = { tenant, day: '2026-11-22', videoId: unique('vid_'), amount: 10n };
      await tenants.reserve(job, 100n);
      const breaking = breakingClient(server, reached === 'spending amended' ? 'Put' : 'REMOVE');
      const broken = new DynamoTenantTable({ tableName: server.tableName, client: breaking });

      await expect(broken.settle({ ...job, amount: 4n })).rejects.toThrow('cut off');
      await tenants.settle({ ...job, amount: 4n });
      await tenants.settle({ ...job, amount: 4n });

      expect(await tenants.getSpending(tenant, job.day)).toBe(4n);
      expect(await tenants.reserve({ ...job, videoId: 'vid_next', amount: 96n }, 100n)).toBe(true);
    },
  );

  test('an item of reservations that is nearly full is not outgrown', async () => {
    const tenant = unique('tenant-');
    const job = { tenant, day: '2026-11-22', videoId: 'vid_0', amount: 1n };
    await tenants.reserve(job, 1n);
    const open = Object.fromEntries(
      Array.from({ length: 4000 }, (_, index) => [`vid_${index}`, { N: '1' }]),
    );
    await client.send(
      new UpdateItemCommand({
        TableName: server.tableName,
        Key: { pk: { S: `TENANT#${tenant}` }, sk: { S: 'SPENDING#2026-11-22' } },
        UpdateExpression: 'SET #open = :open',
        ExpressionAttributeNames: { '#open': 'open' },
        ExpressionAttributeValues: { ':open': { M: open } },
      }),
    );

    const reserving = tenants.reserve({ ...job, videoId: 'vid_next' }, 100_000n);

    await expect(reserving).rejects.toMatchObject({ code: 'throttled', transient: true });
    expect(await tenants.reserve({ ...job, videoId: 'vid_7' }, 100_000n)).toBe(true);
  });
});

describeOnMoto('DynamoTenantTable on moto', (endpoint) => {
  let tenants: DynamoTenantTable;
  beforeAll(async () => {
    const client = new DynamoDBClient(motoClientOptions(endpoint));
    const tableName = unique('table-');
    await client.send(new CreateTableCommand(tableDefinition(tableName)));
    tenants = new DynamoTenantTable({ tableName, client });
  });

  tenantTableContract(() => tenants);
});

/** A client whose process ends at the first request of this kind: it never reaches the table. */
function breakingClient(server: TableServer, at: 'Put' | 'REMOVE'): DynamoDBClient {
  const client = new DynamoDBClient(motoClientOptions(server.endpoint));
  client.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        const { UpdateExpression: update = '' } = args.input as { UpdateExpression?: string };
        const isReached =
          at === 'Put' ? commandName === 'PutItemCommand' : update.startsWith('REMOVE');
        if (isReached) throw new Error('cut off');
        return next(args);
      },
    { step: 'initialize' },
  );
  return client;
}
