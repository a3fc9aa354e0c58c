import { describe, expect, it } from 'vitest';
import type { Backfill } from '#core/requests/backfill.ts';
import { videoIdForKey } from '#core/requests/identity.ts';
import { createCloseHandler } from '#functions/close/handler.ts';
import { collect } from '../collect.ts';
import { sampleJob, sampleResult } from '../aws/samples.ts';
import { BROKEN_ITEM, ListedObjects, readableItem, storedBackfill } from './backfill-fixture.ts';
import { servicesOn, useTable } from './fixture.ts';

describe('Close', () => {
  const table = useTable();

  async function prepare(changes: Partial<Backfill> = {}) {
    const services = servicesOn(table());
    const objects = new ListedObjects();
    const backfill = await storedBackfill(services.backfills, { status: 'running', ...changes });
    const { backfillId } = backfill;
    return {
      ...services,
      ...backfill,
      objects,
      close: createCloseHandler({ ...services, objects, results: objects }),
      lines: () => collect(services.backfills.listLines(backfillId)),
      writeResults: (run: string, succeeded: object[], failed: object[]) => {
        const prefix = `backfills/${backfillId}/results/${run}`;
        const files = { SUCCEEDED: succeeded, FAILED: failed };
        for (const [kind, children] of Object.entries(files)) {
          objects.putText(`${prefix}/${kind}_0.json`, JSON.stringify(children));
        }
        const ResultFiles = Object.fromEntries(
          Object.keys(files).map((kind) => [kind, [{ Key: `${prefix}/${kind}_0.json` }]]),
        );
        objects.putText(`${prefix}/manifest.json`, JSON.stringify({ ResultFiles }));
        return `${prefix}/manifest.json`;
      },
    };
  }

  it('completes a backfill whose map came to its end, with the manifest', async () => {
    // Prepare
    const { backfillId, close, writeResults, backfills, notifications } = await prepare();
    const key = writeResults('run', [], []);
    const map = { MapRunArn: 'arn', ResultWriterDetails: { Bucket: 'b', Key: key } };

    // Act
    const output = await close({ backfillId, map });

    // Assess
    expect(output).toEqual({ backfillId, status: 'completed' });
    expect(await backfills.getBackfill(backfillId)).toMatchObject({
      status: 'completed',
      manifestKey: key,
      completedAt: expect.any(String),
    });
    expect(notifications.sent).toEqual([]);
  });

  it('writes down the lines that nobody has written down', async () => {
    // Prepare
    const { backfillId, tenant, close, writeResults, backfills, lines } = await prepare();
    const [others, stranger, known] = [2, 3, 4].map((line) => readableItem({ line }));
    // Made by a job of another backfill, while this one waited for it.
    const videoId = videoIdForKey(tenant, others!.idempotencyKey);
    await table().createJob(sampleJob({ videoId, tenant }));
    await table().startJob(videoId);
    await table().completeJob(videoId, sampleResult());
    await backfills.putLine({
      backfillId,
      line: 4,
      status: 'completed',
      videoId: 'vid_known',
      alreadyThere: false,
      cost: '17',
      endedAt: '2026-01-01T00:00:00.000Z',
    });
    const inputOf = (item: object): string => JSON.stringify({ backfillId, item });
    writeResults(
      'run',
      [
        { Status: 'SUCCEEDED', Input: inputOf(others!), Output: JSON.stringify({ videoId }) },
        { Status: 'SUCCEEDED', Input: inputOf(known!), Output: '{}' },
      ],
      [
        { Status: 'FAILED', Input: inputOf(stranger!), Error: 'Lambda.Unknown', Cause: 'killed' },
        {
          Status: 'FAILED',
          Input: inputOf({ ...BROKEN_ITEM, line: 5 }),
          Error: 'invalid_input',
          Cause: '{"errorType":"invalid_input","errorMessage":"invalid_input: no"}',
        },
      ],
    );

    // Act
    await close({ backfillId });

    // Assess
    expect(await lines()).toMatchObject([
      { line: 2, status: 'completed', videoId, hit: 'whole' },
      { line: 3, status: 'failed', videoId: null, error: { code: 'workflow_failed' } },
      { line: 4, videoId: 'vid_known', cost: '17' },
      { line: 5, status: 'failed', error: { code: 'invalid_input', message: 'no' } },
    ]);
  });

  it('takes the results of the latest run when the map was run again', async () => {
    // Prepare
    const { backfillId, close, writeResults, backfills } = await prepare();
    writeResults('first', [], []);
    const latest = writeResults('again', [], []);

    // Act
    await close({ backfillId });

    // Assess
    expect((await backfills.getBackfill(backfillId))!.manifestKey).toBe(latest);
  });

  it.each([
    [
      { Error: 'States.ExceedToleratedFailureThreshold', Cause: '' },
      'failed',
      { code: 'workflow_failed', message: expect.stringContaining('more than 10 %') },
    ],
    [
      { Error: 'invalid_input', Cause: '{"errorMessage":"invalid_input: the file is empty"}' },
      'failed',
      { code: 'invalid_input', message: 'the file is empty' },
    ],
    [{ Error: 'Execution.ABORTED', Cause: '' }, 'cancelled', { code: 'cancelled' }],
    [{ Error: 'Execution.TIMED_OUT', Cause: '' }, 'failed', { code: 'workflow_failed' }],
  ])('ends a backfill that stopped with %o as %s', async (error, status, reason) => {
    // Prepare
    const { backfillId, close, backfills } = await prepare({ toleratedFailurePercentage: 10 });

    // Act
    const output = await close({ backfillId, error });

    // Assess
    expect(output.status).toBe(status);
    expect(await backfills.getBackfill(backfillId)).toMatchObject({ status, error: reason });
  });

  it('says of a backfill that was to stop that it was cancelled, although its map ended', async () => {
    // Prepare
    const { backfillId, close, backfills } = await prepare();
    await backfills.requestBackfillCancel(backfillId);

    // Assess
    expect((await close({ backfillId })).status).toBe('cancelled');
  });

  it('tells whoever asked, again when it is called again, and changes nothing by that', async () => {
    // Prepare
    const webhook = 'https://example.com/hook';
    const { backfillId, close, backfills, notifications } = await prepare({ webhook });

    // Act
    await close({ backfillId });
    const ended = await backfills.getBackfill(backfillId);
    const again = await close({ backfillId, error: { Error: 'Execution.FAILED', Cause: '' } });

    // Assess
    expect(again.status).toBe('completed');
    expect(await backfills.getBackfill(backfillId)).toEqual(ended);
    expect(notifications.sent).toEqual([
      { kind: 'backfill', id: backfillId },
      { kind: 'backfill', id: backfillId },
    ]);
  });
});
