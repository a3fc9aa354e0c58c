import {
  BatchGetItemCommand,
  DynamoDBServiceException,
  QueryCommand,
  type DynamoDBClient,
} from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { expect, test } from 'vitest';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { jobToItem } from '#aws/table-items.ts';
import { collect } from '../collect.ts';
import { sampleJob } from './samples.ts';

const NOON = '2026-11-22T12:00:00.000Z';
const LATER = '2026-11-22T12:00:05.000Z';

/**
 * A table whose index names a job twice and one that is gone, as a process leaves it that was killed
 * while it wrote an item of the embedded table: index rows are written by themselves there.
 */
function clientWith(job: ReturnType<typeof jobToItem>, rows: readonly object[]): DynamoDBClient {
  const send = async (command: unknown): Promise<object> => {
    if (command instanceof QueryCommand) return { Items: rows.map((row) => marshall(row)) };
    if (!(command instanceof BatchGetItemCommand)) throw new Error('not expected');
    const { Keys: keys = [] } = command.input.RequestItems!['table']!;
    if (new Set(keys.map((key) => JSON.stringify(key))).size < keys.length) {
      throw new DynamoDBServiceException({
        name: 'ValidationException',
        message: 'Provided list of item keys contains duplicates',
        $fault: 'client',
        $metadata: {},
      });
    }
    const isAsked = keys.some(({ pk }) => pk?.S === job.pk);
    const item = marshall(job, { removeUndefinedValues: true });
    return { Responses: { table: isAsked ? [item] : [] } };
  };
  return { send } as unknown as DynamoDBClient;
}

test('an item that an index names twice, or that is gone, is listed once, or not at all', async () => {
  const job = sampleJob({ createdAt: LATER });
  const item = jobToItem(job);
  const { pk, sk } = item;
  const rowOf = (createdAt: string, id = job.videoId, key = pk) => ({
    day: 'JOBS#2026-11-22',
    daySort: `${createdAt}#${id}`,
    pk: key,
    sk,
  });
  const rows = [rowOf(NOON), rowOf(NOON, 'vid_gone', 'JOB#vid_gone'), rowOf(LATER)];
  const table = new DynamoTable({ tableName: 'table', client: clientWith(item, rows) });

  const listed = await collect(table.listDay('2026-11-22'));

  expect(listed).toEqual([job]);
});
