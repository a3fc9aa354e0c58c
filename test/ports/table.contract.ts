import { describe, expect, test } from 'vitest';
import { ConditionFailedError } from '#core/errors.ts';
import type { Entry } from '#core/generation.ts';
import { HALF_LIFE_MILLISECONDS, LANDMARK } from '#core/retention/decay.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import { segmentOf } from '#aws/entry-items.ts';
import { SEGMENTS, type MoveOptions, type Table } from '#ports/table.ts';
import { collect } from '../collect.ts';
import { sampleEntry, sampleJob, sampleResult, unique } from '../aws/samples.ts';

/**
 * What every table does.
 *
 * @param isAtomic false for a server whose conditional writes are checked and done in two steps, as
 * moto's are: who wins a race is not tested on it.
 */
export function tableContract(open: () => Table, { isAtomic }: { isAtomic: boolean }): void {
  const race = test.skipIf(!isAtomic);

  describe('jobs', () => {
    test('a job that was created reads back as it was', async () => {
      const job = sampleJob({ error: { code: 'internal', message: 'no' }, result: sampleResult() });

      const answer = await open().createJob(job);

      expect(answer).toEqual({ job, created: true });
      expect(await open().getJob(job.videoId)).toEqual(job);
    });

    test('a job that is not there is null', async () => {
      expect(await open().getJob('vid_nobody')).toBeNull();
    });

    test('a queue has those that wait for a worker, in the order in which they came', async () => {
      const [pool, ids] = ['backfill', [unique('vid_'), unique('vid_'), unique('vid_')]] as const;
      const ours = async (): Promise<string[]> =>
        (await open().readQueue(pool)).filter((id) => ids.includes(id));
      for (const id of ids) {
        await open().enterQueue(pool, id);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      expect(await ours()).toEqual(ids);
      expect(await open().readQueue('interactive')).not.toContain(ids[0]);

      await open().leaveQueue(pool, ids[1]);
      await open().leaveQueue(pool, ids[1]);
      expect(await ours()).toEqual([ids[0], ids[2]]);

      await open().enterQueue(pool, ids[0]);
      expect(await ours()).toEqual([ids[2], ids[0]]);
      for (const id of ids) await open().leaveQueue(pool, id);
    });

    test('a job that runs again was taken by no worker', async () => {
      const { videoId } = sampleJob();
      await open().createJob(sampleJob({ videoId }));
      await open().startJob(videoId);
      expect((await open().getJob(videoId))!.takenAt).toBeUndefined();
      await open().setJobProgress(videoId, 0);
      const { takenAt } = (await open().getJob(videoId))!;
      await open().setJobProgress(videoId, 50);
      expect((await open().getJob(videoId))!.takenAt).toBe(takenAt);
      expect((await open().startJob(videoId)).takenAt).toBeUndefined();
    });

    test('creating a job twice returns the first one', async () => {
      const job = sampleJob();
      await open().createJob(job);

      const second = await open().createJob({ ...job, prompt: 'something else' });

      expect(second).toEqual({ job, created: false });
    });

    race('of 50 who create the same job one does', async () => {
      const job = sampleJob();

      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, seed) => open().createJob({ ...job, seed })),
      );

      const winners = answers.filter(({ created }) => created);
      expect(winners).toHaveLength(1);
      for (const answer of answers) expect(answer.job).toEqual(winners[0]!.job);
    });

    test('the jobs of a tenant come newest first, no others, and no more than asked', async () => {
      const tenant = unique('tenant-');
      const days = ['03', '01', '05', '02', '04'];
      const jobs = days.map((day) =>
        sampleJob({ tenant, createdAt: `2026-01-${day}T00:00:00.000Z` }),
      );
      for (const job of jobs) await open().createJob(job);
      await open().createJob(sampleJob({ tenant: unique('tenant-') }));

      const listed = await open().listJobs(tenant, { limit: 4 });

      expect(listed.items.map((job) => job.createdAt.slice(8, 10))).toEqual([
        '05',
        '04',
        '03',
        '02',
      ]);
      expect(listed.items[0]).toEqual(jobs[2]);
      expect(listed.hasMore).toBe(true);
      expect(await open().listJobs(tenant, { limit: 0 })).toEqual({ items: [], hasMore: false });
    });

    test('more jobs than one batch holds are listed', async () => {
      const tenant = unique('tenant-');
      await Promise.all(
        Array.from({ length: 120 }, (_, index) =>
          open().createJob(
            sampleJob({ tenant, createdAt: new Date(1_767_225_600_000 + index).toISOString() }),
          ),
        ),
      );

      const listed = await open().listJobs(tenant, { limit: 200 });

      const times = listed.items.map((job) => job.createdAt);
      expect(times).toHaveLength(120);
      expect(times).toEqual([...times].sort().reverse());
    });

    test('a job goes from queued over running to completed', async () => {
      const { videoId } = (await open().createJob(sampleJob())).job;

      const started = await open().startJob(videoId);
      await open().setJobProgress(videoId, 40);
      const halfway = await open().getJob(videoId);
      await open().completeJob(videoId, sampleResult());

      expect(started.status).toBe('running');
      expect(halfway?.progress).toBe(40);
      const completed = await open().getJob(videoId);
      expect(completed).toMatchObject({
        status: 'completed',
        progress: 100,
        result: sampleResult(),
      });
      expect(completed?.completedAt).toBeDefined();
    });

    test('a job keeps what its prompt is warned of', async () => {
      const { videoId } = (await open().createJob(sampleJob())).job;
      const warnings = [
        { code: 'unknown_words', message: 'no zorbly', words: ['zorbly'] },
      ] as const;
      const given = warnings.map((warning) => ({ ...warning, words: [...warning.words] }));

      await open().warnOfPrompt(videoId, given);
      await open().warnOfPrompt(videoId, given);

      expect((await open().getJob(videoId))!.warnings).toEqual(given);
      await expect(open().warnOfPrompt('vid_nobody', given)).rejects.toThrow('vid_nobody');
    });

    test('an entry keeps the vectors of its prompt nearly as they are', async () => {
      const vector = [0.6, -0.48, 0.64, 0];
      const entry = sampleEntry({
        promptVectors: { object: vector, background: null },
        unheardWords: ['zorbly'],
      });

      await open().putEntry(entry);

      const { promptVectors, unheardWords } = (await open().getEntry(entry.entryId))!;
      expect(unheardWords).toEqual(['zorbly']);
      expect(promptVectors!.background).toBeNull();
      for (const [index, value] of vector.entries()) {
        expect(promptVectors!.object![index]).toBeCloseTo(value, 2);
      }
    });

    test('a completed job stays completed, whatever comes late', async () => {
      const { videoId } = (await open().createJob(sampleJob())).job;
      await open().startJob(videoId);
      await open().completeJob(videoId, sampleResult());
      const completed = await open().getJob(videoId);

      await open().completeJob(videoId, sampleResult({ stepsRun: 99 }));
      await open().setJobProgress(videoId, 10);
      await open().requestCancel(videoId);

      await expect(open().startJob(videoId)).rejects.toThrow(ConditionFailedError);
      await expect(
        open().failJob(videoId, { code: 'internal', message: 'late' }, false),
      ).rejects.toThrow(ConditionFailedError);
      expect(await open().getJob(videoId)).toEqual(completed);
    });

    test('a failed job keeps its reason and cannot be completed', async () => {
      const { videoId } = (await open().createJob(sampleJob())).job;
      const error = { code: 'gpu_missing', message: 'no GPU', field: 'device' };

      await open().failJob(videoId, error, false);

      expect(await open().getJob(videoId)).toMatchObject({ status: 'failed', error });
      await expect(open().completeJob(videoId, sampleResult())).rejects.toThrow(
        ConditionFailedError,
      );
    });

    test('a cancelled job that is submitted again starts afresh', async () => {
      const { videoId } = (await open().createJob(sampleJob())).job;
      await open().startJob(videoId);
      await open().setJobProgress(videoId, 70);
      await open().requestCancel(videoId);
      await open().failJob(videoId, { code: 'cancelled', message: 'cancelled' }, true);
      const cancelled = await open().getJob(videoId);
      await expect(open().startJob(videoId)).rejects.toThrow(ConditionFailedError);

      const again = await open().resubmitJob(videoId);

      expect(cancelled).toMatchObject({ status: 'cancelled', cancelRequested: true, attempt: 1 });
      expect(again).toMatchObject({
        status: 'queued',
        progress: 0,
        cancelRequested: false,
        attempt: 2,
      });
      expect(again).not.toHaveProperty('error');
      expect(again).not.toHaveProperty('completedAt');
      expect((await open().startJob(videoId)).status).toBe('running');
    });

    test('a backfill takes over the failed job that it submits again, and no other', async () => {
      const line = { backfillId: 'bkf_2', line: 3 };
      const made = { backfillId: 'bkf_1', line: 1 };
      const { videoId } = (await open().createJob(sampleJob({ backfill: made }))).job;

      const queued = await open().resubmitJob(videoId, line);
      await open().failJob(videoId, { code: 'internal', message: 'no' }, false);
      const again = await open().resubmitJob(videoId, line);

      expect(queued.backfill).toEqual(made);
      expect(again).toMatchObject({ attempt: 2, backfill: line });
    });

    race('of 20 who submit a failed job again one begins the next attempt', async () => {
      const { videoId } = (await open().createJob(sampleJob())).job;
      await open().failJob(videoId, { code: 'internal', message: 'no' }, false);

      const answers = await Promise.all(
        Array.from({ length: 20 }, () => open().resubmitJob(videoId)),
      );

      expect(answers.every(({ status, attempt }) => status === 'queued' && attempt === 2)).toBe(
        true,
      );
    });

    test('a job that is queued, running or completed is not submitted again', async () => {
      const { videoId } = (await open().createJob(sampleJob())).job;

      const queued = await open().resubmitJob(videoId);
      await open().startJob(videoId);
      const running = await open().resubmitJob(videoId);
      await open().completeJob(videoId, sampleResult());
      const completed = await open().resubmitJob(videoId);

      expect([queued, running, completed].map(({ status, attempt }) => [status, attempt])).toEqual([
        ['queued', 1],
        ['running', 1],
        ['completed', 1],
      ]);
    });

    test('a deleted job leaves the listings and keeps its record', async () => {
      const tenant = unique('tenant-');
      const { videoId } = (await open().createJob(sampleJob({ tenant }))).job;
      await expect(open().deleteJob(videoId)).rejects.toThrow(ConditionFailedError);
      await open().failJob(videoId, { code: 'internal', message: 'no' }, false);

      await open().deleteJob(videoId);
      const deleted = (await open().getJob(videoId))!;
      await open().deleteJob(videoId);

      expect(deleted).toMatchObject({ videoId, tenant, status: 'failed' });
      expect(Date.parse(deleted.deletedAt!)).not.toBeNaN();
      expect((await open().getJob(videoId))!.deletedAt).toBe(deleted.deletedAt);
      expect((await open().listJobs(tenant, { limit: 5 })).items).toEqual([]);
      expect(await open().resubmitJob(videoId)).toMatchObject({ status: 'failed', attempt: 1 });
    });

    test('the jobs of a day are all of that day in UTC, whoever owns them, oldest first', async () => {
      // Another year than the other tests' jobs.
      const times = [
        '2024-02-28T23:59:59.999Z',
        '2024-02-29T00:00:00.000Z',
        '2024-02-29T12:00:00.000Z',
        '2024-02-29T23:59:59.999Z',
        '2024-03-01T00:00:00.000Z',
      ];
      const jobs = times.map((createdAt) => sampleJob({ createdAt, tenant: unique('tenant-') }));
      for (const job of jobs.toReversed()) await open().createJob(job);

      const listed = await collect(open().listDay('2024-02-29'));

      expect(listed).toEqual(jobs.slice(1, 4));
      expect(await collect(open().listDay('2023-02-28'))).toEqual([]);
    });

    test('a day lists more jobs than one page holds, each once', async () => {
      const jobs = await Promise.all(
        Array.from({ length: 230 }, async (_, index) => {
          const createdAt = new Date(Date.parse('2024-04-01') + (index >> 1)).toISOString();
          return (await open().createJob(sampleJob({ createdAt }))).job;
        }),
      );

      const listed = await collect(open().listDay('2024-04-01'));

      expect(listed.map(({ videoId }) => videoId).sort()).toEqual(
        jobs.map(({ videoId }) => videoId).sort(),
      );
      const times = listed.map(({ createdAt }) => createdAt);
      expect(times).toEqual(times.toSorted());
    });

    test('a job stays in the day of its creation, deleted and whenever it ended', async () => {
      const job = sampleJob({ createdAt: '2024-05-31T23:59:59.000Z' });
      await open().createJob(job);
      await open().startJob(job.videoId);
      await open().completeJob(job.videoId, sampleResult());
      await open().deleteJob(job.videoId);

      const listed = await collect(open().listDay('2024-05-31'));

      expect(listed).toMatchObject([{ videoId: job.videoId, status: 'completed' }]);
      expect(listed[0]!.deletedAt).toBeDefined();
    });

    test.each(['desc', 'asc'] as const)('pages in order %s join into the whole', async (order) => {
      const tenant = unique('tenant-');
      // Two of each second: the id decides between them.
      const jobs = await Promise.all(
        Array.from({ length: 7 }, async (_, index) => {
          const createdAt = `2026-01-01T00:00:0${index >> 1}.000Z`;
          return (await open().createJob(sampleJob({ tenant, createdAt }))).job;
        }),
      );
      const pages: string[][] = [];
      let after: string | undefined;
      for (let hasMore = true; hasMore;) {
        const page = await open().listJobs(tenant, { limit: 3, order, ...(after && { after }) });
        pages.push(page.items.map(({ videoId }) => videoId));
        hasMore = page.hasMore;
        after = page.items.at(-1)!.videoId;
        // A job that is deleted between two pages still says where the next one begins.
        if (pages.length === 1) {
          await open().failJob(after, { code: 'internal', message: 'no' }, false);
          await open().deleteJob(after);
        }
      }

      const expected = jobs
        .map((job) => `${job.createdAt}#${job.videoId}`)
        .sort()
        .map((name) => name.split('#')[1]!);
      if (order === 'desc') expected.reverse();
      expect(pages.flat()).toEqual(expected);
      expect(pages.map(({ length }) => length)).toEqual([3, 3, 1]);
    });

    test('a page begins behind a job of the same tenant only', async () => {
      const tenant = unique('tenant-');
      const stranger = (await open().createJob(sampleJob({ tenant: unique('tenant-') }))).job;

      for (const after of [stranger.videoId, 'vid_nobody']) {
        await expect(open().listJobs(tenant, { limit: 3, after })).rejects.toMatchObject({
          code: 'not_found',
          field: 'after',
        });
      }
    });

    test('a scan yields the jobs of every tenant and no entry', async () => {
      const jobs = await Promise.all(
        Array.from({ length: 3 }, async () => {
          const job = sampleJob({ tenant: unique('tenant-') });
          return (await open().createJob(job)).job;
        }),
      );
      await open().putEntry(sampleEntry());

      const scanned = await collect(open().scanJobs());

      const ids = new Set(scanned.map(({ videoId }) => videoId));
      expect(ids.size).toBe(scanned.length);
      for (const { videoId } of jobs) expect(ids).toContain(videoId);
      expect(scanned.every((job) => 'prompt' in job && 'cancelRequested' in job)).toBe(true);
    });

    test('a cancellation of a queued job outlives its start', async () => {
      const { videoId } = (await open().createJob(sampleJob())).job;

      await open().requestCancel(videoId);
      await open().startJob(videoId);

      expect((await open().startJob(videoId)).cancelRequested).toBe(true);
    });

    test('each run of a step has one usage record, in the order of the workflow and of time', async () => {
      const { videoId } = (await open().createJob(sampleJob())).job;
      const first = { step: 'lookup', run: '0f-1', startedAt: 1, tableReadUnits: 9 } as const;
      const second = { ...first, run: '0f-2', startedAt: 2 } as const;

      await open().recordUsage(videoId, { step: 'generate', gpuSeconds: 3, instanceType: 'x' });
      await open().recordUsage(videoId, second);
      await open().recordUsage(videoId, first);
      await open().recordUsage(videoId, { step: 'embed', lambdaMilliseconds: 12 });
      await open().recordUsage(videoId, { step: 'generate', gpuSeconds: 1.5 });
      await open().recordUsage(videoId, { ...first, attempt: 2 });
      await open().recordUsage(videoId, { ...second, tableReadUnits: 3 });

      expect((await open().getJob(videoId))?.usage).toEqual([
        { step: 'embed', lambdaMilliseconds: 12 },
        first,
        { ...second, tableReadUnits: 3 },
        { step: 'generate', gpuSeconds: 1.5 },
        { ...first, attempt: 2 },
      ]);
    });

    test('progress and the end of a job enter usage with the same write', async () => {
      const [made, broken] = await Promise.all(
        [1, 2].map(async () => (await open().createJob(sampleJob())).job.videoId),
      );
      const soFar = { step: 'generate', run: 'a', gpuSeconds: 1 } as const;
      const inAll = { ...soFar, gpuSeconds: 2 };
      const end = { step: 'commit', run: 'b' } as const;
      await open().startJob(made!);
      await open().startJob(broken!);

      await open().setJobProgress(made!, 30, soFar);
      await open().setJobProgress(broken!, 30, soFar);

      expect(await open().completeJob(made!, sampleResult(), [soFar, end, inAll])).toMatchObject({
        status: 'completed',
        usage: [inAll, end],
      });
      const reason = { code: 'internal', message: 'no' };
      expect(await open().failJob(broken!, reason, false, [{ step: 'fail' }])).toMatchObject({
        status: 'failed',
        usage: [soFar, { step: 'fail' }],
      });
      // Its books are closed.
      await open().setJobProgress(made!, 99, soFar);
      expect(await open().completeJob(made!, sampleResult(), [soFar])).toEqual(
        await open().getJob(made!),
      );
      expect((await open().getJob(made!))!.usage).toEqual([inAll, end]);
    });

    test('a change of a job that is not there says so', async () => {
      const table = open();
      const changes = [
        () => table.startJob('vid_nobody'),
        () => table.setJobProgress('vid_nobody', 1),
        () => table.recordUsage('vid_nobody', { step: 'embed' }),
        () => table.completeJob('vid_nobody', sampleResult()),
        () => table.failJob('vid_nobody', { code: 'internal', message: '' }, false),
        () => table.requestCancel('vid_nobody'),
        () => table.resubmitJob('vid_nobody'),
        () => table.deleteJob('vid_nobody'),
      ];

      for (const change of changes)
        await expect(change()).rejects.toMatchObject({ code: 'not_found' });

      expect(await table.getJob('vid_nobody')).toBeNull();
    });
  });

  describe('entries', () => {
    test('an entry that was put reads back as it was', async () => {
      const entry = sampleEntry();

      expect(await open().putEntry(entry)).toBe(true);

      expect(await open().getEntry(entry.entryId)).toEqual(entry);
      expect(await open().getEntry('vid_nobody')).toBeNull();
    });

    race('of 50 who put the same entry one does', async () => {
      const entry = sampleEntry();

      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, seed) => open().putEntry({ ...entry, seed })),
      );

      expect(answers.filter(Boolean)).toHaveLength(1);
    });

    test('the exact key finds READY entries only', async () => {
      const entry = await put(sampleEntry());

      const found = await open().findExact(entry.exactKey);
      await open().moveEntry(entry.entryId, 'READY', 'EVICTING', 0);

      expect(found).toEqual(entry);
      expect(await open().findExact(entry.exactKey)).toBeNull();
      expect(await open().findExact('nothing')).toBeNull();
    });

    test('entries of one prompt come newest first and only while READY', async () => {
      const promptKey = unique('prompt-');
      const [oldest, newest, leaving] = await Promise.all(
        ['01', '04', '03'].map((day) =>
          put(sampleEntry({ promptKey, createdAt: `2026-01-${day}T00:00:00.000Z` })),
        ),
      );
      const middle = await put(sampleEntry({ promptKey, createdAt: '2026-01-02T00:00:00.000Z' }));

      await open().moveEntry(leaving!.entryId, 'READY', 'EVICTING', 0);

      const all = await open().findSamePrompt(promptKey, 10);
      expect(all.map(({ entryId }) => entryId)).toEqual(
        [newest, middle, oldest].map((entry) => entry!.entryId),
      );
      const two = await open().findSamePrompt(promptKey, 2);
      expect(two.map(({ entryId }) => entryId)).toEqual([newest!.entryId, middle.entryId]);
    });

    test('a lease confirms, counts the hit and says when', async () => {
      const { entryId } = await put(sampleEntry());

      const leased = await open().leaseEntry({ entryId, holder: 'a', now: 1000, leaseUntil: 5000 });

      expect(leased).toMatchObject({
        entryId,
        hits: 1,
        leaseUntil: 5000,
        lastHitAt: '1970-01-01T00:00:01.000Z',
      });
      expect(leased).toEqual(await open().getEntry(entryId));
    });

    test('a shorter lease counts a hit and leaves the longer one', async () => {
      const { entryId } = await put(sampleEntry());
      await open().leaseEntry({ entryId, holder: 'a', now: 1000, leaseUntil: 5000 });

      const leased = await open().leaseEntry({ entryId, holder: 'b', now: 2000, leaseUntil: 3000 });

      expect(leased).toMatchObject({ hits: 2, leaseUntil: 5000 });
    });

    test('leasing again moves the lease outward and counts no second hit', async () => {
      const { entryId } = await put(sampleEntry());
      const lease = { entryId, holder: 'a', now: 1000 };
      await open().leaseEntry({ ...lease, leaseUntil: 5000 });

      const longer = await open().leaseEntry({ ...lease, leaseUntil: 6000 });
      const same = await open().leaseEntry({ ...lease, leaseUntil: 6000 });
      const shorter = await open().leaseEntry({ ...lease, leaseUntil: 2000 });

      for (const leased of [longer, same, shorter]) {
        expect(leased).toMatchObject({ hits: 1, leaseUntil: 6000 });
      }
    });

    race('of leases at the same time every holder counts once and the longest stays', async () => {
      const { entryId } = await put(sampleEntry());

      const leases = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          open().leaseEntry({
            entryId,
            holder: `holder ${index % 25}`,
            now: 0,
            leaseUntil: 1000 + ((index * 37) % 50),
          }),
        ),
      );

      expect(leases.every((lease) => lease !== null)).toBe(true);
      expect(await open().getEntry(entryId)).toMatchObject({ hits: 25, leaseUntil: 1049 });
    });

    test('a hit counts with its credit once for a holder, heavier the later it comes', async () => {
      const { entryId, createdAt } = await put(sampleEntry());
      const lease = { entryId, leaseUntil: LANDMARK + 2 * HALF_LIFE_MILLISECONDS };
      const later = LANDMARK + HALF_LIFE_MILLISECONDS;
      const first = { ...lease, holder: 'a', now: LANDMARK, credit: 7 };

      const once = await open().leaseEntry(first);
      const again = await open().leaseEntry(first);
      const second = await open().leaseEntry({ ...lease, holder: 'b', now: later, credit: 3 });
      const third = await open().leaseEntry({ ...lease, holder: 'c', now: later + 1000 });

      expect(once).toMatchObject({ decayedHits: 1, decayedCredit: 7, previousHitAt: createdAt });
      expect(again).toEqual(once);
      expect(second).toMatchObject({
        hits: 2,
        decayedHits: 3,
        decayedCredit: 13,
        previousHitAt: new Date(LANDMARK).toISOString(),
        lastHitAt: new Date(later).toISOString(),
      });
      expect(third).toMatchObject({ hits: 3, decayedCredit: 13 });
      expect(third!.decayedHits).toBeCloseTo(5, 4);
    });

    test('decayed sums outgrow the whole numbers of a float and are read as they are', async () => {
      const { entryId } = await put(sampleEntry());
      const now = LANDMARK + 100 * HALF_LIFE_MILLISECONDS;

      const leased = await open().leaseEntry({
        entryId,
        holder: 'a',
        now,
        leaseUntil: now + 1,
        credit: 5,
      });

      expect(leased).toMatchObject({ decayedHits: 2 ** 100, decayedCredit: 5 * 2 ** 100 });
      expect(await weighed(entryId)).toMatchObject({ decayedCredit: 5 * 2 ** 100 });
    });

    test('an entry is moved on only while its hits are those that were weighed', async () => {
      const { entryId } = await put(sampleEntry());
      const evict = (hits: number) =>
        open().moveEntry(entryId, 'READY', 'EVICTING', 2000, { hits, reason: 'rent' });
      await open().leaseEntry({ entryId, holder: 'a', now: 0, leaseUntil: 1000 });

      const late = await evict(0);
      const inTime = await evict(1);

      expect([late, inTime]).toEqual([false, true]);
      expect(await open().getEntry(entryId)).toMatchObject({
        state: 'EVICTING',
        evictionReason: 'rent',
        leavingAt: 2000,
      });
    });

    test('a pinned entry is not evicted, but removed by hand or when its latent is gone', async () => {
      const entries = await Promise.all([0, 1, 2].map(() => put(sampleEntry())));
      const [byHand, broken, unpinned] = entries.map(({ entryId }) => entryId);
      for (const { entryId } of entries) await open().pinEntry(entryId, true);
      const pinned = await open().pinEntry(byHand!, true);
      const move = (entryId: string, options?: MoveOptions) =>
        open().moveEntry(entryId, 'READY', 'EVICTING', 0, options);

      const evicted = await move(byHand!, { reason: 'budget' });
      const removed = await move(byHand!);
      const lost = await move(broken!, { reason: 'latent-missing' });
      const { pinnedAt } = await open().pinEntry(unpinned!, false);
      const released = await move(unpinned!, { reason: 'budget' });

      expect(pinned.pinnedAt).toMatch(/^\d{4}-/);
      expect(pinnedAt).toBeUndefined();
      expect([evicted, removed, lost, released]).toEqual([false, true, true, true]);
      for (const entryId of [byHand!, 'vid_nobody']) {
        const pinning = open().pinEntry(entryId, true);
        await expect(pinning).rejects.toMatchObject({ code: 'not_found', field: 'entryId' });
      }
    });

    test('a superseded entry is found by no key, and leaves without holders', async () => {
      const { entryId, exactKey, promptKey } = await put(sampleEntry());
      const now = Date.now();
      const lease = { entryId, holder: 'a', now, leaseUntil: now + 60_000 };
      await open().leaseEntry(lease);

      await open().supersedeEntry(entryId, 'vid_new');
      await open().supersedeEntry(entryId, 'vid_new');
      const held = await open().getEntry(entryId);
      const found = [await open().findExact(exactKey), await open().findSamePrompt(promptKey, 9)];
      await open().releaseEntry(entryId, 'a');

      expect(held).toMatchObject({ state: 'READY', supersededBy: 'vid_new' });
      expect(found).toEqual([null, []]);
      expect(await open().getEntry(entryId)).toMatchObject({
        state: 'EVICTING',
        evictionReason: 'superseded',
      });
      await open().supersedeEntry('vid_nobody', 'vid_new');
      expect(await open().getEntry('vid_nobody')).toBeNull();
    });

    test('where a latent lies is recorded while its entry is READY', async () => {
      const { entryId } = await put(sampleEntry());

      const isSet = await open().setStorageClass(entryId, 'GLACIER_IR');
      const found = await weighed(entryId);
      await open().moveEntry(entryId, 'READY', 'EVICTING', 0);

      expect(isSet).toBe(true);
      expect(found).toMatchObject({ storageClass: 'GLACIER_IR' });
      expect(await open().getEntry(entryId)).toMatchObject({ storageClass: 'GLACIER_IR' });
      expect(await open().setStorageClass(entryId, 'STANDARD')).toBe(false);
      expect(await open().setStorageClass('vid_nobody', 'STANDARD')).toBe(false);
      expect(await open().getEntry('vid_nobody')).toBeNull();
    });

    test('what is weighed of an entry is what it has', async () => {
      const plain = await put(sampleEntry({ neighbours: 3, reuseDepth: 1, denoiseSeconds: 0.5 }));
      const { entryId } = plain;
      const now = LANDMARK;
      await open().leaseEntry({ entryId, holder: 'a', now, leaseUntil: now + 1, credit: 4 });
      await open().pinEntry(entryId, true);

      const { signature, prompt, compatibility, ...found } = (await weighed(entryId))!;

      const stored = (await open().getEntry(entryId))!;
      expect(found).toEqual({
        entryId,
        state: 'READY',
        vectors: 2,
        createdAt: stored.createdAt,
        hits: 1,
        lastHitAt: stored.lastHitAt,
        previousHitAt: stored.previousHitAt,
        decayedHits: 1,
        decayedCredit: 4,
        neighbours: 3,
        pinnedAt: stored.pinnedAt,
        latentBytes: 2000,
        videoBytes: 1000,
        reuseDepth: 1,
        gpuSeconds: 1.25,
        denoiseSeconds: 0.5,
        stepsRun: 12,
      });
      expect(signature).toMatch(/^[0-9a-f]{16}$/);
      expect(prompt).toBe(plain.promptKey.slice(0, 16));
      expect(compatibility).toBe('compatible');
    });

    test('entries are weighed segment by segment, page by page, each once and only while READY', async () => {
      const entries = await Promise.all(Array.from({ length: 60 }, () => put(sampleEntry())));
      const [evicting, tombstone, gone] = entries.map(({ entryId }) => entryId);
      await open().moveEntry(evicting!, 'READY', 'EVICTING', 5);
      await open().moveEntry(tombstone!, 'READY', 'TOMBSTONE', 6);
      await open().moveEntry(gone!, 'READY', 'TOMBSTONE', 7);
      await open().deleteEntry(gone!);

      const found: EvictionCandidate[] = [];
      const sizes = new Set<number>();
      for (let segment = 0; segment < SEGMENTS; segment++) {
        let after: string | undefined;
        do {
          const page = await open().listCandidates(segment, { limit: 2, ...(after && { after }) });
          found.push(...page.entries);
          sizes.add(page.entries.length);
          after = page.next ?? undefined;
        } while (after !== undefined);
      }

      const ids = found.map(({ entryId }) => entryId);
      expect(new Set(ids).size).toBe(ids.length);
      expect(Math.max(...sizes)).toBe(2);
      for (const { entryId } of entries.slice(3)) expect(ids).toContain(entryId);
      for (const left of [evicting, tombstone, gone]) expect(ids).not.toContain(left);
      expect(found.every(({ state }) => state === 'READY')).toBe(true);
    });

    test('what is leaving is listed with since when, and nothing else', async () => {
      const entries = await Promise.all(Array.from({ length: 6 }, () => put(sampleEntry())));
      for (const [index, { entryId }] of entries.entries()) {
        if (index < 4) await open().moveEntry(entryId, 'READY', 'EVICTING', index);
        if (index < 2) await open().moveEntry(entryId, 'EVICTING', 'TOMBSTONE', 10 + index);
      }

      const leaving = new Map<string, EvictionCandidate>();
      for await (const entry of open().leavingEntries()) leaving.set(entry.entryId, entry);

      expect(
        entries.map(({ entryId }) => {
          const entry = leaving.get(entryId);
          return entry && [entry.state, entry.leavingAt];
        }),
      ).toEqual([
        ['TOMBSTONE', 10],
        ['TOMBSTONE', 11],
        ['EVICTING', 2],
        ['EVICTING', 3],
        undefined,
        undefined,
      ]);
    });

    test('an entry that is gone, leaving or of another partition gives no lease', async () => {
      const lease = { holder: 'a', now: 0, leaseUntil: 1000 };
      const leaving = await put(sampleEntry({ state: 'EVICTING' }));
      const mine = { tenant: 'mine', scope: 'tenant', compatibilityKey: 'c1' } as const;
      const { entryId } = await put(sampleEntry(mine));
      const partitions = [
        { ...mine, tenant: 'other' },
        { ...mine, compatibilityKey: 'c2' },
        { ...mine, scope: 'shared' as const },
      ];

      expect(await open().leaseEntry({ ...lease, entryId: 'vid_nobody' })).toBeNull();
      expect(await open().leaseEntry({ ...lease, entryId: leaving.entryId })).toBeNull();
      for (const partition of partitions) {
        expect(await open().leaseEntry({ ...lease, entryId, partition })).toBeNull();
      }

      expect(await open().getEntry(entryId)).toMatchObject({ hits: 0 });
      expect(await open().leaseEntry({ ...lease, entryId, partition: mine })).toMatchObject({
        hits: 1,
      });
    });

    test('a shared entry is leased by any tenant that asks for shared ones', async () => {
      const { entryId } = await put(
        sampleEntry({ tenant: 'maker', scope: 'shared', compatibilityKey: 'c1' }),
      );
      const lease = { entryId, now: 0, leaseUntil: 1000 };
      const shared = { tenant: 'other', scope: 'shared', compatibilityKey: 'c1' } as const;

      expect(await open().leaseEntry({ ...lease, holder: 'a', partition: shared })).toMatchObject({
        hits: 1,
      });
      for (const tenant of ['maker', 'other']) {
        const partition = { ...shared, scope: 'tenant' as const, tenant };
        expect(await open().leaseEntry({ ...lease, holder: 'b', partition })).toBeNull();
      }
    });

    test('a live lease holds an entry; an ended one does not', async () => {
      const { entryId } = await put(sampleEntry());
      await open().leaseEntry({ entryId, holder: 'a', now: 0, leaseUntil: 1000 });

      expect(await open().moveEntry(entryId, 'READY', 'EVICTING', 999)).toBe(false);
      expect(await open().moveEntry(entryId, 'READY', 'EVICTING', 1000)).toBe(true);
      expect(await open().moveEntry(entryId, 'READY', 'EVICTING', 1000)).toBe(false);
      const left = await open().getEntry(entryId);
      expect(left).toMatchObject({ state: 'EVICTING' });
      expect(left).not.toHaveProperty('leaseUntil');
    });

    test('an entry is held until the last of its holders releases it', async () => {
      const { entryId } = await put(sampleEntry());
      const lease = { entryId, now: 0, leaseUntil: 1000 };
      await open().leaseEntry({ ...lease, holder: 'a' });
      await open().leaseEntry({ ...lease, holder: 'b', leaseUntil: 2000 });

      await open().releaseEntry(entryId, 'a');
      await open().releaseEntry(entryId, 'a');
      await open().releaseEntry(entryId, 'stranger');
      const isHeld = !(await open().moveEntry(entryId, 'READY', 'EVICTING', 500));
      await open().releaseEntry(entryId, 'b');
      const released = await open().getEntry(entryId);

      expect(isHeld).toBe(true);
      expect(released).toMatchObject({ state: 'READY', hits: 2 });
      expect(released).not.toHaveProperty('leaseUntil');
      expect(await open().moveEntry(entryId, 'READY', 'EVICTING', 500)).toBe(true);
      await open().releaseEntry(entryId, 'b');
      await open().releaseEntry('vid_nobody', 'b');
      expect(await open().getEntry('vid_nobody')).toBeNull();
    });

    test('a holder that released and leases again counts a second hit', async () => {
      const { entryId } = await put(sampleEntry());
      const lease = { entryId, holder: 'a', now: 0, leaseUntil: 1000 };
      await open().leaseEntry(lease);
      await open().releaseEntry(entryId, 'a');

      expect(await open().leaseEntry(lease)).toMatchObject({ hits: 2, leaseUntil: 1000 });
    });

    test('a lease that is withdrawn was never counted; those of others stay', async () => {
      const { entryId } = await put(sampleEntry());
      const now = Date.parse('2026-11-22T00:00:00Z');
      const lease = { entryId, now, leaseUntil: now + 1000 };
      const before = await open().leaseEntry({ ...lease, holder: 'a', credit: 3 });
      await open().leaseEntry({ ...lease, now: now + 500, holder: 'b', credit: 0.1 });

      await open().withdrawLease({ ...lease, now: now + 500, holder: 'b', credit: 0.1 });
      await open().withdrawLease({ ...lease, now: now + 500, holder: 'b', credit: 0.1 });

      const { hits, decayedHits, decayedCredit } = before!;
      expect(await open().getEntry(entryId)).toMatchObject({ hits, decayedHits, decayedCredit });
      expect(await open().moveEntry(entryId, 'READY', 'EVICTING', now)).toBe(false);
      await open().withdrawLease({ ...lease, holder: 'a', credit: 3 });
      const unused = await open().getEntry(entryId);
      expect(unused).toMatchObject({ hits: 0, decayedHits: 0, decayedCredit: 0 });
      expect(unused).not.toHaveProperty('leaseUntil');
      expect(await open().moveEntry(entryId, 'READY', 'EVICTING', now)).toBe(true);
    });

    test('withdrawing more than was counted ends the lease and leaves no sum below zero', async () => {
      const { entryId } = await put(sampleEntry());
      const now = Date.parse('2026-11-22T00:00:00Z');
      const lease = { entryId, holder: 'a', now, leaseUntil: now + 1000, credit: 3 };
      const counted = await open().leaseEntry(lease);

      await open().withdrawLease({ ...lease, now: now + 60_000 });

      const { hits, decayedHits, decayedCredit } = counted!;
      const released = await open().getEntry(entryId);
      expect(released).toMatchObject({ hits, decayedHits, decayedCredit });
      expect(released).not.toHaveProperty('leaseUntil');
    });

    race(
      'of those who lease and those who release at the same time nobody loses a lease',
      async () => {
        const { entryId } = await put(sampleEntry());
        const lease = { entryId, now: 0 };
        const leavers = Array.from({ length: 10 }, (_, index) => `leaver ${index}`);
        for (const [index, holder] of leavers.entries()) {
          await open().leaseEntry({ ...lease, holder, leaseUntil: 2000 + index });
        }

        const [leases] = await Promise.all([
          Promise.all(
            Array.from({ length: 10 }, (_, index) =>
              open().leaseEntry({ ...lease, holder: `stayer ${index}`, leaseUntil: 1000 + index }),
            ),
          ),
          Promise.all(leavers.map((holder) => open().releaseEntry(entryId, holder))),
        ]);

        expect(leases.every((leased) => leased !== null)).toBe(true);
        expect(await open().moveEntry(entryId, 'READY', 'EVICTING', 999)).toBe(false);
        for (let index = 0; index < 10; index++) {
          await open().releaseEntry(entryId, `stayer ${index}`);
        }
        expect(await open().moveEntry(entryId, 'READY', 'EVICTING', 0)).toBe(true);
      },
    );

    race('of those who lease and those who evict at the same time one side wins', async () => {
      for (let round = 0; round < 5; round++) {
        const { entryId } = await put(sampleEntry());

        const [leases, moves] = await Promise.all([
          Promise.all(
            Array.from({ length: 8 }, (_, index) =>
              open().leaseEntry({ entryId, holder: `${index}`, now: 500, leaseUntil: 9000 }),
            ),
          ),
          Promise.all(
            Array.from({ length: 8 }, () => open().moveEntry(entryId, 'READY', 'EVICTING', 500)),
          ),
        ]);

        const won = leases.filter(Boolean).length;
        const evicted = moves.filter(Boolean).length;
        expect([won, evicted]).toEqual(evicted === 1 ? [0, 1] : [8, 0]);
      }
    });

    test('an entry that comes back is found again', async () => {
      const entry = await put(sampleEntry());
      await open().moveEntry(entry.entryId, 'READY', 'EVICTING', 0);

      await open().moveEntry(entry.entryId, 'EVICTING', 'READY', 0);

      expect(await open().findExact(entry.exactKey)).toEqual(entry);
      expect(await open().findSamePrompt(entry.promptKey, 5)).toEqual([entry]);
    });

    test('only an entry that is leaving is deleted; twice is as good as once', async () => {
      const { entryId } = await put(sampleEntry());

      await expect(open().deleteEntry(entryId)).rejects.toThrow(ConditionFailedError);
      await open().moveEntry(entryId, 'READY', 'TOMBSTONE', 0);
      await open().deleteEntry(entryId);
      await open().deleteEntry(entryId);

      expect(await open().getEntry(entryId)).toBeNull();
    });

    test('a scan yields every entry in any state and no job', async () => {
      const entries = await Promise.all(
        Array.from({ length: 40 }, (_, index) =>
          put(
            sampleEntry({
              state: index % 2 ? 'EVICTING' : 'READY',
              vectors: {
                whole: Array(4096).fill(0.5),
                object: Array(4096).fill(1),
                background: null,
              },
            }),
          ),
        ),
      );
      await open().createJob(sampleJob());

      const scanned = await collect(open().scanEntries());

      const ids = new Set(scanned.map(({ entryId }) => entryId));
      expect(ids.size).toBe(scanned.length);
      for (const { entryId } of entries) expect(ids).toContain(entryId);
      expect(scanned.every((entry) => 'entryId' in entry && 'vectors' in entry)).toBe(true);
    });
  });

  async function weighed(entryId: string): Promise<EvictionCandidate | undefined> {
    const { entries } = await open().listCandidates(segmentOf(entryId));
    return entries.find((entry) => entry.entryId === entryId);
  }

  async function put(entry: Entry): Promise<Entry> {
    expect(await open().putEntry(entry)).toBe(true);
    return entry;
  }
}
