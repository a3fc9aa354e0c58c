import { describe, expect, test } from 'vitest';
import type { Backfill, BackfillLine } from '#core/requests/backfill.ts';
import { ConditionFailedError } from '#core/errors.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import { collect } from '../collect.ts';
import { sampleBackfill, unique } from '../aws/samples.ts';

/**
 * What every table of backfills does.
 *
 * @param isAtomic false for a server whose conditional writes are checked and done in two steps, as
 * moto's are: who wins a race is not tested on it.
 */
export function backfillsContract(
  open: () => BackfillTable,
  { isAtomic }: { isAtomic: boolean },
): void {
  const race = test.skipIf(!isAtomic);

  describe('backfills', () => {
    test('a backfill that was created reads back as it was', async () => {
      const backfill = sampleBackfill({ webhook: 'https://example.com/', metadata: { a: 'b' } });

      const answer = await open().createBackfill(backfill);

      expect(answer).toEqual({ backfill, created: true });
      expect(await open().getBackfill(backfill.backfillId)).toEqual(backfill);
      expect(await open().getBackfill('bkf_nobody')).toBeNull();
    });

    race('of 20 who create the same backfill one does', async () => {
      const backfill = sampleBackfill();

      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, concurrency) =>
          open().createBackfill({ ...backfill, concurrency }),
        ),
      );

      const winners = answers.filter(({ created }) => created);
      expect(winners).toHaveLength(1);
      for (const answer of answers) expect(answer.backfill).toEqual(winners[0]!.backfill);
    });

    test('backfills of a tenant come newest first, page by page, and nobody else sees them', async () => {
      const tenant = unique('tenant-');
      const backfills: Backfill[] = [];
      for (const day of ['02', '03', '01']) {
        const backfill = sampleBackfill({ tenant, createdAt: `2026-01-${day}T00:00:00.000Z` });
        await open().createBackfill(backfill);
        backfills.push(backfill);
      }
      const stranger = sampleBackfill({ tenant: unique('tenant-') });
      await open().createBackfill(stranger);

      const first = await open().listBackfills(tenant, { limit: 2 });
      const after = first.items[1]!.backfillId;
      const second = await open().listBackfills(tenant, { limit: 2, after });
      const oldest = await open().listBackfills(tenant, { limit: 1, order: 'asc' });

      expect(first).toEqual({ items: [backfills[1], backfills[0]], hasMore: true });
      expect(second).toEqual({ items: [backfills[2]], hasMore: false });
      expect(oldest).toEqual({ items: [backfills[2]], hasMore: true });
      await expect(
        open().listBackfills(tenant, { limit: 2, after: stranger.backfillId }),
      ).rejects.toMatchObject({ code: 'not_found', field: 'after' });
    });

    test('a scan yields every backfill as it is, and no line', async () => {
      const backfills = [await created(), await created()];
      const { backfillId } = backfills[0]!;
      await open().putLine({
        backfillId,
        line: 1,
        status: 'cancelled',
        videoId: null,
        alreadyThere: false,
        endedAt: '2026-01-01T00:00:02.000Z',
      });

      const scanned = await collect(open().scanBackfills());

      for (const backfill of backfills) expect(scanned).toContainEqual(backfill);
      expect(scanned.every((one) => 'inputKey' in one)).toBe(true);
    });

    test('a backfill is changed until it has ended, and then no more', async () => {
      const { backfillId } = await created();

      const running = await open().updateBackfill(backfillId, {
        status: 'running',
        startedAt: '2026-01-01T00:00:01.000Z',
        lines: 200,
      });
      const ended = await open().updateBackfill(backfillId, {
        status: 'completed',
        completedAt: '2026-01-01T00:01:00.000Z',
        manifestKey: 'backfills/1/manifest.json',
      });

      expect(running).toMatchObject({ status: 'running', lines: 200 });
      expect(ended).toMatchObject({
        status: 'completed',
        startedAt: '2026-01-01T00:00:01.000Z',
        manifestKey: 'backfills/1/manifest.json',
      });
      await expect(open().updateBackfill(backfillId, { status: 'failed' })).rejects.toThrow(
        ConditionFailedError,
      );
      await open().requestBackfillCancel(backfillId);
      expect(await open().getBackfill(backfillId)).toEqual(ended);
    });

    test('a cancellation that was asked for is remembered', async () => {
      const { backfillId } = await created();

      await open().requestBackfillCancel(backfillId);
      await open().requestBackfillCancel(backfillId);

      expect(await open().getBackfill(backfillId)).toMatchObject({
        status: 'queued',
        cancelRequested: true,
      });
    });

    test('a change of a backfill that is not there says so', async () => {
      for (const change of [
        () => open().updateBackfill('bkf_nobody', { lines: 1 }),
        () => open().requestBackfillCancel('bkf_nobody'),
      ]) {
        await expect(change()).rejects.toMatchObject({ code: 'not_found' });
      }
      expect(await open().getBackfill('bkf_nobody')).toBeNull();
    });

    test('lines come in their order, the last end of each, without those of others', async () => {
      const { backfillId } = await created();
      const other = await created();
      await Promise.all(
        [100, 2, 10, 1, 11].map((line) => open().putLine(lineOf(backfillId, line))),
      );
      await open().putLine(lineOf(other.backfillId, 3));
      const failed = lineOf(backfillId, 2, {
        status: 'failed',
        videoId: null,
        error: { code: 'prompt_empty', message: 'prompt is empty', field: 'prompt' },
      });

      await open().putLine(failed);
      for (const video of [10, 2]) await open().putLine(lineOf(backfillId, 10, { video }));

      const lines = await collect(open().listLines(backfillId));
      expect(lines.map(({ line, video = 1 }) => [line, video])).toEqual([
        [1, 1],
        [2, 1],
        [10, 1],
        [10, 2],
        [10, 10],
        [11, 1],
        [100, 1],
      ]);
      expect(lines[0]).toEqual(lineOf(backfillId, 1));
      expect(lines[1]).toEqual(failed);
      expect(await collect(open().listLines((await created()).backfillId))).toEqual([]);
    });

    test('more lines than one page holds are listed', async () => {
      const { backfillId } = await created();
      const message = 'x'.repeat(10_000);
      await Promise.all(
        Array.from({ length: 150 }, (_, index) =>
          open().putLine(lineOf(backfillId, index + 1, { error: { code: 'internal', message } })),
        ),
      );

      const lines = await collect(open().listLines(backfillId));

      expect(lines.map(({ line }) => line)).toEqual(
        Array.from({ length: 150 }, (_, index) => index + 1),
      );
    });
  });

  async function created(): Promise<Backfill> {
    return (await open().createBackfill(sampleBackfill())).backfill;
  }
}

function lineOf(
  backfillId: string,
  line: number,
  changes: Partial<BackfillLine> = {},
): BackfillLine {
  return {
    backfillId,
    line,
    status: 'completed',
    videoId: `vid_${line}`,
    alreadyThere: false,
    hit: 'miss',
    stepsRun: 12,
    fullSteps: 12,
    gpuSeconds: 1.5,
    cost: '123456789',
    endedAt: '2026-01-01T00:00:00.000Z',
    ...changes,
  };
}
