import { PutObjectCommand, S3Client, CreateBucketCommand } from '@aws-sdk/client-s3';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { DynamoDBClient, CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RetentionRun } from '#core/retention/retention-run.ts';
import { emptyHoldings } from '#core/costs/storage-cost.ts';
import { EmbeddedQueue } from '#local/embedded-queue.ts';
import { ExactVectorIndex } from '#local/exact-vector-index.ts';
import { FileObjectStore } from '#local/file-object-store.ts';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { measuredIndexSize } from '#ports/measured-index-size.ts';
import { S3ObjectStore } from '#aws/s3-object-store.ts';
import { SqsQueue } from '#aws/sqs-queue.ts';
import { tableDefinition } from '#aws/table-definition.ts';
import { UsageMeter, meterUse } from '#ports/usage-meter.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { sampleJob, sampleMessage, sampleResult, unique } from '../aws/samples.ts';

async function usedBy(work: () => Promise<unknown>) {
  const meter = new UsageMeter();
  await meter.run(work);
  return meter.usage;
}

describe('UsageMeter', () => {
  test('counts what is asked for by its work and by all that it starts', async () => {
    const later = () => new Promise<void>((resolve) => setTimeout(resolve, 5)).then(use);
    const use = () => meterUse({ tableReadUnits: 0.5 });

    const usage = await usedBy(async () => {
      use();
      await Promise.all([later(), later()]);
    });

    expect(usage).toEqual({ tableReadUnits: 1.5 });
  });

  test('keeps apart what runs at the same time', async () => {
    const meters = [1, 2, 3].map(() => new UsageMeter());

    await Promise.all(
      meters.map((meter, index) =>
        meter.run(async () => {
          for (let request = 0; request <= index; request++) {
            await new Promise((resolve) => setTimeout(resolve, 1));
            meterUse({ objectGets: 1 });
          }
        }),
      ),
    );

    expect(meters.map(({ usage }) => usage.objectGets)).toEqual([1, 2, 3]);
  });

  test('what is done outside any is counted nowhere, and within another by that one alone', async () => {
    const inner = new UsageMeter();
    meterUse({ objectPuts: 5 });

    const outer = await usedBy(async () => {
      inner.run(() => meterUse({ objectPuts: 1 }));
      meterUse({ objectPuts: 2 });
    });

    expect([outer, inner.usage]).toEqual([{ objectPuts: 2 }, { objectPuts: 1 }]);
  });
});

describe('what the embedded stores are charged as', () => {
  let server: TableServer;
  beforeAll(async () => {
    server = await startTableServer();
  });
  afterAll(() => server.close());

  test('units of the table grow with what is read and written', async () => {
    const { table } = server;
    const small = sampleJob();
    const large = sampleJob({ prompt: 'x'.repeat(9000) });

    expect(await usedBy(() => table.createJob(small))).toEqual({ tableWriteUnits: 1 });
    expect(await usedBy(() => table.createJob(large))).toEqual({ tableWriteUnits: 10 });
    expect(await usedBy(() => table.getJob(small.videoId))).toEqual({ tableReadUnits: 1 });
    // 4 KB a unit.
    expect(await usedBy(() => table.getJob(large.videoId))).toEqual({ tableReadUnits: 3 });
    expect(await usedBy(() => table.getJob('vid_nobody'))).toEqual({ tableReadUnits: 1 });
  });

  test('a write whose condition did not hold is charged, and its amount is not known', async () => {
    const { table } = server;
    const job = sampleJob();
    await table.createJob(job);

    const usage = await usedBy(() => table.createJob(job));

    expect(usage).toEqual({ tableWriteUnits: 1, unmeasuredRequests: 1, tableReadUnits: 1 });
  });

  test('a batch of reads is charged for each item', async () => {
    const { table } = server;
    const tenant = unique('tenant-');
    for (let job = 0; job < 3; job++) await table.createJob(sampleJob({ tenant }));

    const usage = await usedBy(() => table.listJobs(tenant, { limit: 10 }));

    expect(usage.tableReadUnits).toBeGreaterThanOrEqual(3);
    expect(usage.unmeasuredRequests).toBeUndefined();
  });

  test('objects by their requests and bytes; colder classes by what they hand out', async () => {
    const objects = await FileObjectStore.open(await temporaryFolder());
    const put = () => objects.put('a/b', new Uint8Array(300));

    expect(await usedBy(put)).toEqual({ objectPuts: 1, objectBytesWritten: 300 });
    expect(await usedBy(() => objects.get('a/b'))).toEqual({ objectGets: 1, objectBytesRead: 300 });
    expect(await usedBy(() => objects.head('a/b'))).toEqual({ objectGets: 1 });
    // What is not there was asked for all the same.
    const missing = usedBy(() => objects.get('a/c').catch(() => null));
    expect(await missing).toEqual({ objectGets: 1 });
    expect(await usedBy(() => objects.delete('a/b'))).toEqual({});
    await put();
    await objects.setStorageClass('a/b', 'STANDARD_IA');
    expect(await usedBy(() => objects.get('a/b'))).toEqual({
      objectGets: 1,
      objectBytesRead: 300,
      infrequentAccessGets: 1,
      infrequentAccessBytes: 300,
    });
  });

  test('vectors by the put, 128 KB at least, and by all that the index holds for each query', async () => {
    const vectors = await ExactVectorIndex.open(await temporaryFolder());
    const scope = { compatibilityKey: 'k', scope: 'tenant', tenant: 't' } as const;
    const record = (entryId: string, part: 'whole' | 'object') => ({
      ...scope,
      entryId,
      part,
      vector: [1, 0, 0, 0],
    });

    const put = await usedBy(() => vectors.put([record('a', 'whole'), record('a', 'object')]));
    await vectors.put([record('b', 'whole')]);
    const query = await usedBy(() => vectors.query({ ...scope, part: 'whole' }, [1, 0, 0, 0], 5));

    expect(put).toEqual({ vectorPuts: 2, vectorBytesPut: 128 * 1024 });
    expect(query).toEqual({
      vectorQueries: 1,
      vectorsScanned: 3,
      vectorBytesScanned: expect.toSatisfy((bytes: number) => bytes > 3 * 16 && bytes < 3 * 400),
    });
    await vectors.close();
  });

  test('a queue by each 64 KB that it carries', async () => {
    const queue = new EmbeddedQueue();
    const message = sampleMessage();
    const heavy = { ...message, taskToken: 'x'.repeat(140_000) };

    expect(await usedBy(() => queue.send(message))).toEqual({ queueRequests: 1 });
    expect(await usedBy(() => queue.send(heavy))).toEqual({ queueRequests: 3 });
    expect(await usedBy(() => queue.receive(0, 60))).toEqual({ queueRequests: 1 });
    expect(await usedBy(() => queue.receive(0, 60))).toEqual({ queueRequests: 3 });
    expect(await usedBy(() => queue.receive(0, 60))).toEqual({ queueRequests: 1 });
  });
});

describe('measuredIndexSize', () => {
  const run = (changes: Partial<RetentionRun>): RetentionRun => ({
    runId: unique('run-'),
    kind: 'evict',
    startedAt: '2026-11-20T03:00:00.000Z',
    endedAt: '2026-11-20T03:01:00.000Z',
    isDryRun: false,
    isComplete: true,
    holdings: { ...emptyHoldings(), vectorBytes: 704_000 },
    counts: {},
    ...changes,
  });
  const now = Date.parse('2026-11-22T12:00:00.000Z');

  function sizer(runs: Record<string, RetentionRun[]>) {
    const asked: string[] = [];
    const clock = { now };
    const size = measuredIndexSize({
      retention: {
        async listRuns(day) {
          asked.push(day);
          return runs[day] ?? [];
        },
      },
      now: () => clock.now,
    });
    return { size, asked, clock };
  }

  test('is what the last whole pass has counted, and asked for once in an hour', async () => {
    const { size, asked, clock } = sizer({
      '2026-11-20': [
        run({ holdings: { ...emptyHoldings(), vectorBytes: 1 } }),
        run({}),
        run({ isComplete: false, holdings: emptyHoldings() }),
        run({ kind: 'sweep' }),
      ],
    });

    // 128 elements of 4 bytes, and 192 bytes beside them.
    expect(await size(128)).toEqual({ bytes: 704_000, vectors: 1000 });
    expect(await size(128)).toEqual({ bytes: 704_000, vectors: 1000 });
    expect(asked).toEqual(['2026-11-22', '2026-11-21', '2026-11-20']);
    clock.now += 61 * 60_000;
    await size(128);
    expect(asked).toHaveLength(6);
  });

  test.each([
    ['before the first pass', {}],
    ['when the last was too long ago', { '2026-11-10': [run({})] }],
  ])('is not known %s', async (_, runs: Record<string, RetentionRun[]>) => {
    expect(await sizer(runs).size(128)).toBeNull();
  });

  test('is not known when the table does not answer, and nobody is kept waiting', async () => {
    const size = measuredIndexSize({
      retention: { listRuns: () => Promise.reject(new Error('down')) },
    });

    expect(await size(128)).toBeNull();
  });
});

describeOnMoto('what AWS is asked for', (endpoint) => {
  test('a table says its units with every answer', async () => {
    const tableName = unique('metered-');
    const client = new DynamoDBClient(motoClientOptions(endpoint));
    await client.send(new CreateTableCommand(tableDefinition(tableName)));
    const table = new DynamoTable({ tableName, client });
    const job = sampleJob();

    const usage = await usedBy(async () => {
      await table.createJob(job);
      await table.getJob(job.videoId);
      await table.listJobs(job.tenant, { limit: 5 });
      await table.startJob(job.videoId);
      await table.completeJob(job.videoId, sampleResult());
    });

    // moto says the same for every request of a kind, whatever its size: 1 for a put, 0.5 for an update.
    expect(usage.tableWriteUnits).toBe(2);
    expect(usage.tableReadUnits).toBeGreaterThanOrEqual(2);
    expect(usage.unmeasuredRequests).toBeUndefined();
  });

  test('requests to S3 are counted when they were answered, refused ones too', async () => {
    const client = new S3Client({ ...motoClientOptions(endpoint), forcePathStyle: true });
    const bucket = unique('metered-');
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    const objects = new S3ObjectStore({ bucket, client });
    const body = new Uint8Array(10);

    expect(await usedBy(() => objects.put('a', body))).toEqual({
      objectPuts: 1,
      objectBytesWritten: 10,
    });
    const again = () => objects.put('a', body, { ifNoneMatch: true }).catch(() => null);
    expect(await usedBy(again)).toEqual({ objectPuts: 1 });
    expect(await usedBy(() => objects.get('b').catch(() => null))).toEqual({ objectGets: 1 });
    expect(await usedBy(() => objects.delete('a'))).toEqual({});
    await client.send(
      new PutObjectCommand({ Bucket: bucket, Key: 'cold', Body: body, StorageClass: 'GLACIER_IR' }),
    );
    // Not ours: it has no checksum, and reading it was charged all the same.
    expect(await usedBy(() => objects.get('cold').catch(() => null))).toEqual({
      objectGets: 1,
      objectBytesRead: 10,
      instantRetrievalGets: 1,
      instantRetrievalBytes: 10,
    });
  });

  test('requests to nobody are not', async () => {
    const client = new S3Client({
      ...motoClientOptions('http://127.0.0.1:1'),
      forcePathStyle: true,
      maxAttempts: 1,
    });
    const objects = new S3ObjectStore({ bucket: 'none', client });

    expect(await usedBy(() => objects.get('a').catch(() => null))).toEqual({});
  });

  test('requests to a queue', async () => {
    const client = new SQSClient(motoClientOptions(endpoint));
    const { QueueUrl } = await client.send(
      new CreateQueueCommand({ QueueName: unique('metered-') }),
    );
    const queue = new SqsQueue({ queueUrl: QueueUrl!, client });
    await queue.send(sampleMessage());

    const usage = await usedBy(async () => {
      const received = await queue.receive(1, 30);
      await queue.extend(received!.receipt, 30);
      await queue.delete(received!.receipt);
    });

    expect(usage).toEqual({ queueRequests: 3 });
  });
});
