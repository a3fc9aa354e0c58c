import { describe, expect, it } from 'vitest';
import { FlexCacheError } from '#core/errors.ts';
import { randomVideoId } from '#core/requests/identity.ts';
import { ledgerOf } from '#core/costs/ledger.ts';
import { createCommitHandler } from '#functions/commit/handler.ts';
import { createFailHandler } from '#functions/fail/handler.ts';
import type { CommitInput } from '#functions/shared/states.ts';
import type { Table } from '#ports/table.ts';
import { collect } from '../collect.ts';
import { sampleBackfill, unique } from '../aws/samples.ts';
import {
  commitInput,
  FakeVectors,
  generationOf,
  servicesOn,
  storedEntry,
  submit,
  tableWith,
  useTable,
} from './fixture.ts';

class Crash extends Error {
  override name = 'Crash';
}

/** The stores of a process that dies right after the named write. */
function crashingAfter(write: string, table: Table, vectors: FakeVectors) {
  const after =
    <Arguments extends unknown[], Output>(call: (...given: Arguments) => Promise<Output>) =>
    async (...given: Arguments): Promise<Output> => {
      await call(...given);
      throw new Crash();
    };
  const crashing = {
    putEntry: after((...given: Parameters<Table['putEntry']>) => table.putEntry(...given)),
    completeJob: after((...given: Parameters<Table['completeJob']>) => table.completeJob(...given)),
  };
  if (write !== 'put vectors') {
    const name = write as keyof typeof crashing;
    return servicesOn(tableWith(table, { [name]: crashing[name] }), vectors);
  }
  const dyingVectors = new FakeVectors();
  dyingVectors.put = after((records) => vectors.put(records));
  return servicesOn(table, dyingVectors);
}

describe('Commit', () => {
  const table = useTable();

  it('stores the entry and its vectors, then completes the job with its ledger', async () => {
    // Prepare
    const request = await submit(table());
    const vectors = new FakeVectors();

    // Act
    await createCommitHandler(servicesOn(table(), vectors))(commitInput(request));

    // Assess
    const entry = (await table().getEntry(request.videoId))!;
    expect(entry).toMatchObject({
      state: 'READY',
      latentKey: `latents/${request.videoId}/1.fcl`,
      objectPhrase: 'a red ball',
      reuseDepth: 0,
      gpuSeconds: 2,
      stepsRun: 12,
    });
    expect([...vectors.records.keys()]).toEqual([
      `whole#${request.videoId}`,
      `object#${request.videoId}`,
    ]);
    const job = (await table().getJob(request.videoId))!;
    expect(job).toMatchObject({
      status: 'completed',
      progress: 100,
      result: { hit: 'miss', stepsRun: 12, seconds: { embed: 0.1, lookup: 0.2, generate: 2 } },
    });
    expect(job.usage.map(({ step }) => step)).toEqual(['embed', 'lookup', 'generate', 'commit']);
  });

  it('puts an entry one generation after the latest of its donors', async () => {
    // Prepare
    const request = await submit(table());
    const donors = await Promise.all(
      [0, 2].map(async (reuseDepth) => {
        const { entryId, latentKey } = await storedEntry(table(), { reuseDepth });
        return { entryId, part: 'object' as const, similarity: 0.9, latentKey };
      }),
    );

    // Act
    await createCommitHandler(servicesOn(table()))(
      commitInput(request, generationOf(request, { hit: 'object+background', donors })),
    );

    // Assess
    expect((await table().getEntry(request.videoId))!.reuseDepth).toBe(3);
  });

  it('says what was kept of the donors to the end', async () => {
    // Prepare
    const request = await submit(table());
    const { entryId, latentKey } = await storedEntry(table());
    const donors = [{ entryId, part: 'background' as const, similarity: 0.9, latentKey }];
    const generation = generationOf(request, { hit: 'background', donors, anchor: 'place' });

    // Act
    await createCommitHandler(servicesOn(table()))(commitInput(request, generation));

    // Assess
    const { result } = (await table().getJob(request.videoId))!;
    expect(result).toMatchObject({ hit: 'background', startTime: 1, anchor: 'place' });
  });

  it('stores with an entry the weakest of what it was made from', async () => {
    // Prepare
    const request = await submit(table());
    const donors = await Promise.all(
      [
        { steps: 4, leastSimilarity: 1 },
        { reuseDepth: 1, steps: 12, leastSimilarity: 0.85 },
      ].map(async (lineage) => {
        const { entryId, latentKey } = await storedEntry(table(), lineage);
        return { entryId, part: 'object' as const, similarity: 0.9, latentKey };
      }),
    );

    // Act
    await createCommitHandler(servicesOn(table()))(
      commitInput(request, generationOf(request, { hit: 'object+background', donors })),
    );

    // Assess
    expect(await table().getEntry(request.videoId)).toMatchObject({
      reuseDepth: 2,
      steps: 4,
      leastSimilarity: 0.85,
    });
  });

  it('replaces by a refreshed video what answers its prompt and seed in as many steps or fewer', async () => {
    // Prepare
    const prompt = unique('refreshed ');
    const request = await submit(table(), { prompt, cache: 'refresh' });
    const [draft, same, pinned, leased] = await Promise.all([
      storedEntry(table(), {}, { ...request, steps: 1 }),
      storedEntry(table(), {}, request),
      storedEntry(table(), {}, { ...request, steps: 2 }),
      storedEntry(table(), {}, { ...request, steps: 3 }),
    ]);
    const others = await Promise.all([
      storedEntry(table(), {}, { ...request, steps: 13 }),
      storedEntry(table(), {}, { ...request, seed: 8 }),
      storedEntry(table(), {}, { ...request, remixOf: 'vid_named' }),
      storedEntry(table(), { tenant: 'stranger' }, request),
    ]);
    await table().pinEntry(pinned.entryId, true);
    const now = Date.now();
    const lease = { entryId: leased.entryId, holder: 'reader', now, leaseUntil: now + 60_000 };
    await table().leaseEntry(lease);
    const vectors = new FakeVectors();
    const deleted: string[] = [];
    vectors.delete = async (entryIds) => void deleted.push(...entryIds);
    const commit = createCommitHandler(crashingAfter('completeJob', table(), vectors));

    // Act
    await commit(commitInput(request)).catch(() => {});
    await createCommitHandler(servicesOn(table(), vectors))(commitInput(request));

    // Assess
    const { promptKey } = (await table().getEntry(request.videoId))!;
    const found = await table().findSamePrompt(promptKey, 100);
    expect(found.map(({ entryId }) => entryId).sort()).toEqual(
      [request.videoId, ...others.slice(0, 3).map(({ entryId }) => entryId)].sort(),
    );
    for (const { entryId } of [draft, same, pinned]) {
      expect(await table().getEntry(entryId)).toMatchObject({
        state: 'EVICTING',
        evictionReason: 'superseded',
        supersededBy: request.videoId,
      });
      expect(deleted).toContain(entryId);
    }
    expect((await table().getEntry(request.videoId))!.pinnedAt).toBeDefined();
    expect(await table().getEntry(leased.entryId)).toMatchObject({ state: 'READY' });
    await table().releaseEntry(leased.entryId, 'reader');
    expect(await table().getEntry(leased.entryId)).toMatchObject({ state: 'EVICTING' });
    expect(await table().findExact(others[3]!.exactKey)).toMatchObject({ state: 'READY' });
  });

  it.each(['off', 'readonly'] as const)('stores no entry in cache mode %s', async (cache) => {
    // Prepare
    const request = await submit(table(), { cache });
    const vectors = new FakeVectors();

    // Act
    await createCommitHandler(servicesOn(table(), vectors))(commitInput(request));

    // Assess
    expect(await table().getEntry(request.videoId)).toBeNull();
    expect(vectors.records.size).toBe(0);
    expect((await table().getJob(request.videoId))!.status).toBe('completed');
  });

  it('answers an exact hit with the video that is there', async () => {
    // Prepare
    const request = await submit(table());
    const entry = await storedEntry(table(), {}, request);
    const vectors = new FakeVectors();
    const input = exactInput(commitInput(request), entry.entryId);

    // Act
    await createCommitHandler(servicesOn(table(), vectors))(input);

    // Assess
    const job = (await table().getJob(request.videoId))!;
    expect(job.result).toMatchObject({
      hit: 'exact',
      stepsRun: 0,
      fullSteps: 12,
      videoKey: entry.videoKey,
      donors: [{ entryId: entry.entryId, part: 'whole', similarity: 1 }],
    });
    expect(job.usage.map(({ step }) => step)).toEqual(['embed', 'lookup', 'commit']);
    expect(vectors.records.size).toBe(0);
  });

  it('puts the vectors of its own entry that an earlier run left without', async () => {
    // Prepare
    const request = await submit(table());
    await storedEntry(table(), { entryId: request.videoId }, request);
    const vectors = new FakeVectors();

    // Act
    await createCommitHandler(servicesOn(table(), vectors))(
      exactInput(commitInput(request), request.videoId),
    );

    // Assess
    expect([...vectors.records.keys()]).toContain(`whole#${request.videoId}`);
  });

  it.each(['putEntry', 'put vectors', 'completeJob'])(
    'ends as if nothing had happened when it dies after %s and runs again',
    async (write) => {
      // Prepare
      const request = await submit(table());
      const vectors = new FakeVectors();
      const input = commitInput(request);
      await expect(
        createCommitHandler(crashingAfter(write, table(), vectors))(input),
      ).rejects.toThrow(Crash);

      // Act
      await createCommitHandler(servicesOn(table(), vectors))(input);

      // Assess
      expect((await table().getEntry(request.videoId))!.state).toBe('READY');
      expect(vectors.records.size).toBe(2);
      const job = (await table().getJob(request.videoId))!;
      expect(job.status).toBe('completed');
      const useful = ledgerOf(job).filter(({ isUseful }) => isUseful);
      expect(useful.map(({ record }) => record.step)).toEqual([
        'embed',
        'lookup',
        'generate',
        'commit',
      ]);
      // A run that ended after the ledger was closed has entered nothing more.
      expect(job.usage).toHaveLength(write === 'completeJob' ? 4 : 5);
    },
  );

  it('stores nothing of a job that was cancelled', async () => {
    // Prepare
    const request = await submit(table());
    await table().requestCancel(request.videoId);

    // Act
    const commit = createCommitHandler(servicesOn(table()))(commitInput(request));

    // Assess
    await expect(commit).rejects.toMatchObject({ name: 'cancelled' });
    expect(await table().getEntry(request.videoId)).toBeNull();
    expect((await table().getJob(request.videoId))!.status).toBe('running');
  });

  it('does what follows the end of a job once, however often it runs', async () => {
    // Prepare
    const tenant = unique('tenant-');
    const { backfillId } = sampleBackfill();
    const request = await submit(
      table(),
      { tenant },
      { webhook: 'https://example.com/', backfill: { backfillId, line: 1 } },
    );
    const services = servicesOn(table());
    await services.tenants.takePlace(tenant, request.videoId, 1);
    const reservation = { tenant, day: '2026-01-01', videoId: request.videoId };
    await services.tenants.reserve({ ...reservation, amount: 10n ** 12n }, 10n ** 13n);
    const donor = await storedEntry(table(), { tenant });
    const lease = { entryId: donor.entryId, now: 0, leaseUntil: Date.now() + 1e6 };
    await table().leaseEntry({ ...lease, holder: request.videoId });
    await table().leaseEntry({ ...lease, holder: 'somebody else' });
    const input = commitInput(request);
    input.lookup.plan.donors = [
      { entryId: donor.entryId, part: 'whole', similarity: 1, latentKey: donor.latentKey },
    ];
    const commit = createCommitHandler(services);

    // Act
    await commit(input);
    const job = (await table().getJob(request.videoId))!;
    const spent = await services.tenants.getSpending(tenant, '2026-01-01');
    await commit(input);

    // Assess
    expect(spent).toBe(services.costOf(job));
    expect(spent).toBeGreaterThan(0n);
    expect(await services.tenants.getSpending(tenant, '2026-01-01')).toBe(spent);
    expect(await services.tenants.listPlaces(tenant)).toEqual([]);
    expect(await collect(services.backfills.listLines(backfillId))).toEqual([
      {
        backfillId,
        line: 1,
        status: 'completed',
        videoId: request.videoId,
        alreadyThere: false,
        hit: 'miss',
        stepsRun: 12,
        fullSteps: 12,
        gpuSeconds: 2,
        cost: spent.toString(),
        endedAt: job.completedAt,
      },
    ]);
    expect(services.notifications.sent[0]).toEqual({ kind: 'video', id: request.videoId });
    // The other request still holds the donor.
    expect(await table().moveEntry(donor.entryId, 'READY', 'EVICTING', 1)).toBe(false);
    await table().releaseEntry(donor.entryId, 'somebody else');
    expect(await table().moveEntry(donor.entryId, 'READY', 'EVICTING', 1)).toBe(true);
  });

  it('does the rest of what follows when one part of it fails', async () => {
    // Prepare
    const tenant = unique('tenant-');
    const request = await submit(table(), { tenant });
    const services = servicesOn(table());
    await services.tenants.takePlace(tenant, request.videoId, 1);
    const unpriced = {
      ...services,
      costOf: () => {
        throw new FlexCacheError('internal', 'there is no price');
      },
    };

    // Act
    const commit = createCommitHandler(unpriced)(commitInput(request));

    // Assess
    await expect(commit).rejects.toThrow('there is no price');
    expect((await table().getJob(request.videoId))!.status).toBe('completed');
    expect(await services.tenants.listPlaces(tenant)).toEqual([]);
  });

  it('charges each attempt for its own work and keeps all of it in the ledger', async () => {
    // Prepare
    const tenant = unique('tenant-');
    const videoId = randomVideoId();
    const request = await submit(table(), { tenant, videoId });
    const services = servicesOn(table());
    const input = commitInput(request);
    await createFailHandler(services)({ ...input, error: { Error: 'internal', Cause: 'no' } });
    const failed = (await table().getJob(videoId))!;
    await table().resubmitJob(videoId);
    await table().startJob(videoId);
    input.lookup.attempt = 2;

    // Act
    await createCommitHandler(services)(input);

    // Assess
    const job = (await table().getJob(videoId))!;
    expect(job.usage.map(({ step, attempt }) => [step, attempt])).toEqual([
      ['embed', undefined],
      ['lookup', undefined],
      ['generate', undefined],
      ['fail', undefined],
      ['embed', 2],
      ['lookup', 2],
      ['generate', 2],
      ['commit', 2],
    ]);
    const second = services.costOf({ ...job, usage: job.usage.slice(4) });
    expect(await services.tenants.getSpending(tenant, '2026-01-01')).toBe(
      services.costOf(failed) + second,
    );
  });

  it('of an earlier attempt leaves the present one and its leases alone', async () => {
    // Prepare
    const tenant = unique('tenant-');
    const videoId = randomVideoId();
    const request = await submit(table(), { tenant, videoId });
    const services = servicesOn(table());
    const { entryId, latentKey } = await storedEntry(table(), { tenant });
    const input = commitInput(request);
    input.lookup.plan.donors = [{ entryId, part: 'whole', similarity: 1, latentKey }];
    await table().failJob(videoId, { code: 'timeout', message: 'too late' }, false);
    await table().resubmitJob(videoId);
    const lease = { entryId, holder: `${videoId}-2`, now: 0, leaseUntil: Date.now() + 1e6 };
    await table().leaseEntry(lease);

    // Act
    const late = createCommitHandler(services)(input);

    // Assess
    await expect(late).rejects.toMatchObject({ name: 'condition_failed' });
    expect(await table().getEntry(videoId)).toBeNull();
    expect(await table().getJob(videoId)).toMatchObject({ status: 'queued', attempt: 2 });
    expect(await table().moveEntry(entryId, 'READY', 'EVICTING', Date.now())).toBe(false);
  });

  it('leaves nothing in the cache of a job that was ended meanwhile', async () => {
    // Prepare
    const request = await submit(table());
    const { videoId } = request;
    const ending = tableWith(table(), {
      completeJob: async (...given) => {
        await table().failJob(videoId, { code: 'cancelled', message: 'cancelled' }, true);
        return table().completeJob(...given);
      },
    });
    const vectors = new FakeVectors();
    const deleted: string[] = [];
    vectors.delete = async (entryIds) => void deleted.push(...entryIds);

    // Act
    const commit = createCommitHandler(servicesOn(ending, vectors))(commitInput(request));

    // Assess
    await expect(commit).rejects.toMatchObject({ name: 'condition_failed' });
    expect(await table().getEntry(videoId)).toMatchObject({ state: 'EVICTING' });
    expect(deleted).toEqual([videoId]);
  });

  it('does not answer with a video of which only a tombstone is left', async () => {
    // Prepare
    const request = await submit(table());
    const { entryId } = await storedEntry(table(), { state: 'TOMBSTONE' });
    const { generation: _, ...input } = commitInput(request);
    input.lookup.plan = { ...input.lookup.plan, hit: 'exact', exactVideoId: entryId };

    // Act
    const commit = createCommitHandler(servicesOn(table()))(input);

    // Assess
    await expect(commit).rejects.toMatchObject({ name: 'not_found' });
  });

  it('keeps the vectors of the entry that is stored when a rerun made another latent', async () => {
    // Prepare
    const request = await submit(table());
    const vectors = new FakeVectors();
    const dying = crashingAfter('putEntry', table(), vectors);
    await createCommitHandler(dying)(commitInput(request)).catch(() => {});
    const again = generationOf(request, {
      latentKey: `latents/${request.videoId}/2.fcl`,
      vectors: { whole: [1, 0, 0, 0], object: null, background: null },
    });

    // Act
    await createCommitHandler(servicesOn(table(), vectors))(commitInput(request, again));

    // Assess
    const entry = (await table().getEntry(request.videoId))!;
    expect(entry.latentKey).toBe(`latents/${request.videoId}/1.fcl`);
    expect(vectors.records.get(`whole#${request.videoId}`)!.vector).toEqual([0, 0, 0, 1]);
  });
});

function exactInput(input: CommitInput, exactVideoId: string): CommitInput {
  const { generation: _, lookup, ...rest } = input;
  const plan = { ...lookup.plan, hit: 'exact' as const, startTime: 0, steps: 0, exactVideoId };
  return { ...rest, lookup: { ...lookup, plan } };
}
