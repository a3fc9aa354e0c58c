import { describe, expect, it } from 'vitest';
import { checkCalibrationFile } from '#core/planning/calibration-file.ts';
import { startPoint } from '#core/planning/calibration.ts';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { FlexCacheError } from '#core/errors.ts';
import type { Entry } from '#core/generation.ts';
import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import { createLookupHandler } from '#functions/lookup/handler.ts';
import type { Services } from '#functions/shared/services.ts';
import type { Telemetry } from '#functions/shared/telemetry.ts';
import { calibrationFile } from '../core/planning/calibration-fixture.ts';
import { unique } from '../aws/samples.ts';
import {
  FakeVectors,
  lookupInput,
  servicesOn,
  storedEntry,
  submit,
  tableWith,
  useTable,
} from './fixture.ts';

describe('Lookup', () => {
  const table = useTable();

  it('leases the exact entry and queries no vectors', async () => {
    // Prepare
    const request = await submit(table(), { prompt: unique('exact ') });
    const entry = await storedEntry(table(), {}, request);
    const vectors = new FakeVectors();

    // Act
    const { plan } = await createLookupHandler(servicesOn(table(), vectors))(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({ hit: 'exact', exactVideoId: entry.entryId, steps: 0 });
    expect(vectors.queries).toHaveLength(0);
    const leased = (await table().getEntry(entry.entryId))!;
    expect(leased.hits).toBe(1);
    expect(leased.leaseUntil).toBeGreaterThan(
      Date.now() + TASK_TIMEOUTS.interactive.totalSeconds * 1000 - 60_000,
    );
  });

  it('leases in the name of the execution, so that an earlier attempt does not release it', async () => {
    // Prepare
    const prompt = unique('again ');
    const request = await submit(table(), { prompt });
    const { videoId } = request;
    const { entryId } = await storedEntry(table(), {}, request);
    await table().failJob(videoId, { code: 'internal', message: 'no' }, false);
    await table().resubmitJob(videoId);

    // Act
    const { attempt } = await createLookupHandler(servicesOn(table()))(lookupInput(request));
    await table().releaseEntry(entryId, videoId);

    // Assess
    expect(attempt).toBe(2);
    expect(await table().moveEntry(entryId, 'READY', 'EVICTING', Date.now())).toBe(false);
    await table().releaseEntry(entryId, `${videoId}-2`);
    expect(await table().moveEntry(entryId, 'READY', 'EVICTING', Date.now())).toBe(true);
  });

  it('starts from the same prompt with another seed', async () => {
    // Prepare
    const request = await submit(table(), { prompt: unique('same ') });
    const entry = await storedEntry(table(), { exactKey: 'other seed' }, { ...request, seed: 1 });

    // Act
    const { plan } = await createLookupHandler(servicesOn(table()))(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({
      hit: 'whole',
      donors: [{ entryId: entry.entryId, part: 'whole', similarity: 1 }],
      seed: request.seed,
    });
  });

  it("starts from the same prompt's video unless the package's judge saw another thing in it", async () => {
    // Prepare
    const judged = [{ name: 'shape', part: 'object', values: ['ball', 'square'] }] as const;
    const lookUp = async (shown: Entry['shown']) => {
      const request = await submit(table(), { prompt: unique('judged ') });
      const stored = { ...request, seed: 1 };
      await storedEntry(table(), { exactKey: 'other', ...(shown && { shown }) }, stored);
      return createLookupHandler({ ...servicesOn(table()), judged })(lookupInput(request));
    };

    // Act
    const [wrong, right, unsure] = [
      await lookUp({ shape: 'square' }),
      await lookUp({ shape: 'ball' }),
      await lookUp(undefined),
    ];

    // Assess
    expect(wrong.plan.hit).toBe('miss');
    expect(right.plan.hit).toBe('whole');
    expect(unsure.plan.hit).toBe('whole');
  });

  it('starts late from a whole video that shows one thing otherwise, and from none that shows two', async () => {
    // Prepare
    const calibration = new PackageCalibration(
      checkCalibrationFile('calibration.json', calibrationFile()),
    );
    const judged = [
      { name: 'shape', part: 'object', values: ['ball', 'square'] },
      { name: 'scene', part: 'background', values: ['sea', 'city'] },
    ] as const;
    const lookUp = async (shown: Entry['shown'], similarity = 0.7) => {
      const request = await submit(table(), { prompt: unique('near ') });
      const { entryId } = await storedEntry(
        table(),
        { exactKey: unique('other'), promptKey: unique('other'), ...(shown && { shown }) },
        { ...request, seed: 1 },
      );
      const vectors = new FakeVectors();
      vectors.matches.whole = [{ entryId, similarity }];
      const services = { ...servicesOn(table(), vectors), calibration, judged };
      const { plan } = await createLookupHandler(services)(lookupInput(request));
      return plan;
    };

    // Act
    const [one, two, far] = [
      await lookUp({ shape: 'square', scene: 'sea' }),
      await lookUp({ shape: 'square', scene: 'city' }),
      await lookUp({ shape: 'square' }, 0.5),
    ];

    // Assess: 4 of 6 evaluations are 8 of 12.
    expect(one).toMatchObject({ hit: 'near', startTime: 0.8, steps: 8, solver: 'ab2' });
    expect(one.donors).toMatchObject([{ part: 'whole', similarity: 0.7 }]);
    expect([two.hit, far.hit]).toEqual(['miss', 'miss']);
  });

  it.each([
    ['was made as a draft', { steps: 1, stepsRun: 1 }],
    ['was made from a draft', { reuseDepth: 1, steps: 1 }],
    ['does not show it', { vectors: { whole: [0.6, 0.8, 0, 0], object: null, background: null } }],
    ['was made again', { supersededBy: 'vid_new' }],
  ] as const)('does not start from a video of the same prompt that %s', async (_, changes) => {
    // Prepare
    const request = await submit(table(), { prompt: unique('draft ') });
    const { entryId } = await storedEntry(
      table(),
      { exactKey: 'other seed', ...structuredClone(changes) } as Partial<Entry>,
      { ...request, seed: 1 },
    );
    const vectors = new FakeVectors();
    vectors.matches.object = [{ entryId, similarity: 0.75 }];

    // Act
    const { plan } = await createLookupHandler(servicesOn(table(), vectors))(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({ hit: 'miss', donors: [] });
  });

  it.each([
    ['was made from too dissimilar a donor', { minSimilarity: 0.95 }, { leastSimilarity: 0.91 }],
    ['was made from a draft', {}, { steps: 1 }],
  ])('does not answer with the video of the very request that %s', async (_, asked, changes) => {
    // Prepare
    const request = await submit(table(), { prompt: unique('bound '), ...asked });
    const made = { reuseDepth: 1, steps: 12, leastSimilarity: 1, ...changes };
    await storedEntry(table(), made, request);

    // Act
    const { plan } = await createLookupHandler(servicesOn(table()))(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({ hit: 'miss', donors: [], exactVideoId: null });
  });

  it('composes an object and a background that two entries lend', async () => {
    // Prepare
    const request = await submit(table());
    const [object, background] = [await storedEntry(table()), await storedEntry(table())];
    const vectors = new FakeVectors();
    vectors.matches.object = [{ entryId: object.entryId, similarity: 0.95 }];
    vectors.matches.background = [{ entryId: background.entryId, similarity: 0.9 }];

    // Act
    const { plan, usage } = await createLookupHandler(servicesOn(table(), vectors))(
      lookupInput(request),
    );

    // Assess
    expect(plan.hit).toBe('object+background');
    expect(plan.donors.map(({ entryId, latentKey }) => [entryId, latentKey])).toEqual([
      [object.entryId, object.latentKey],
      [background.entryId, background.latentKey],
    ]);
    expect((await table().getEntry(object.entryId))!.hits).toBe(1);
    expect((await table().getEntry(background.entryId))!.hits).toBe(1);
    // The job and two entries were read; two leases were taken, and this record entered.
    expect(usage).toMatchObject({ vectorQueries: 3, tableReadUnits: 3, tableWriteUnits: 3 });
  });

  it('plans again without a donor whose lease is refused', async () => {
    // Prepare
    const request = await submit(table(), { steps: 20 });
    const [object, background] = [
      await storedEntry(table(), { stepsRun: 20 }),
      await storedEntry(table(), { stepsRun: 20 }),
    ];
    const vectors = new FakeVectors();
    vectors.matches.object = [{ entryId: object.entryId, similarity: 0.95 }];
    vectors.matches.background = [{ entryId: background.entryId, similarity: 0.9 }];
    const evictedMeanwhile = tableWith(table(), {
      leaseEntry: (lease) =>
        lease.entryId === object.entryId ? Promise.resolve(null) : table().leaseEntry(lease),
    });

    const measured: unknown[] = [];
    const telemetry: Telemetry = {
      log: () => {},
      measure: (...given) => void measured.push(given),
    };

    // Act
    const { plan } = await createLookupHandler({
      ...servicesOn(evictedMeanwhile, vectors),
      telemetry,
    })(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({
      hit: 'background',
      donors: [{ entryId: background.entryId, part: 'background' }],
    });
    expect((await table().getEntry(background.entryId))!.hits).toBe(1);
    expect(measured).toEqual([[{ leaseConflicts: 1 }, {}]]);
  });

  it('makes a video again whose file is gone, from what is left of it', async () => {
    // Prepare
    const request = await submit(table(), { prompt: unique('expired ') });
    const entry = await storedEntry(table(), {}, request);
    const services = servicesOn(table());
    services.objects.gone.add(entry.videoKey);

    // Act
    const { plan } = await createLookupHandler(services)(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({
      hit: 'whole',
      exactVideoId: null,
      donors: [{ entryId: entry.entryId }],
    });
  });

  it('makes everything anew when no lease is granted', async () => {
    // Prepare
    const request = await submit(table(), { prompt: unique('gone ') });
    await storedEntry(table(), {}, request);
    const nothingToLease = tableWith(table(), { leaseEntry: () => Promise.resolve(null) });

    // Act
    const { plan } = await createLookupHandler(servicesOn(nothingToLease))(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({ hit: 'miss', donors: [], startTime: 1, steps: request.steps });
  });

  it.each([
    ['that is being evicted', { state: 'EVICTING' }],
    ['of another tenant', { tenant: 'stranger' }],
    ['of another model', { compatibilityKey: 'foreign' }],
  ] as const)('passes over a proposed entry %s', async (_, changes) => {
    // Prepare
    const request = await submit(table());
    const { entryId } = await storedEntry(table(), changes);
    const vectors = new FakeVectors();
    vectors.matches.whole = [{ entryId, similarity: 0.99 }];

    // Act
    const { plan } = await createLookupHandler(servicesOn(table(), vectors))(lookupInput(request));

    // Assess
    expect(plan.hit).toBe('miss');
  });

  it('passes over a proposed entry that is gone', async () => {
    // Prepare
    const request = await submit(table());
    const vectors = new FakeVectors();
    vectors.matches.whole = [{ entryId: unique('vid_'), similarity: 0.99 }];

    // Act
    const { plan } = await createLookupHandler(servicesOn(table(), vectors))(lookupInput(request));

    // Assess
    expect(plan.hit).toBe('miss');
  });

  it('reads no entry that is too dissimilar to be used', async () => {
    // Prepare
    const request = await submit(table());
    const vectors = new FakeVectors();
    vectors.matches.whole = [{ entryId: 'vid_far', similarity: 0.5 }];
    const reads: string[] = [];
    const watched = tableWith(table(), {
      getEntry: (entryId) => {
        reads.push(entryId);
        return table().getEntry(entryId);
      },
    });

    // Act
    await createLookupHandler(servicesOn(watched, vectors))(lookupInput(request));

    // Assess
    expect(reads).toEqual([]);
  });

  it.each(['off', 'refresh'] as const)('looks at nothing in cache mode %s', async (cache) => {
    // Prepare
    const request = await submit(table(), { prompt: unique('cached '), cache });
    const entry = await storedEntry(table(), {}, request);
    const vectors = new FakeVectors();

    // Act
    const { plan } = await createLookupHandler(servicesOn(table(), vectors))(lookupInput(request));

    // Assess
    expect(plan.hit).toBe('miss');
    expect(vectors.queries).toHaveLength(0);
    expect((await table().getEntry(entry.entryId))!.hits).toBe(0);
  });

  it('counts one hit, whatever often the state is tried', async () => {
    // Prepare
    const request = await submit(table(), { prompt: unique('retried ') });
    const { entryId } = await storedEntry(table(), {}, { ...request, seed: 1 });
    const lookup = createLookupHandler(servicesOn(table()));

    // Act
    await lookup(lookupInput(request));
    await lookup(lookupInput(request));

    // Assess
    expect((await table().getEntry(entryId))!.hits).toBe(1);
  });

  it('withdraws what it leased for a plan that came to nothing', async () => {
    // Prepare
    const request = await submit(table());
    const [object, background] = [await storedEntry(table()), await storedEntry(table())];
    const vectors = new FakeVectors();
    vectors.matches.object = [{ entryId: object.entryId, similarity: 0.95 }];
    vectors.matches.background = [{ entryId: background.entryId, similarity: 0.9 }];
    const evictedMeanwhile = tableWith(table(), {
      leaseEntry: (lease) =>
        lease.entryId === background.entryId ? Promise.resolve(null) : table().leaseEntry(lease),
    });
    const pairsOnly: Services['calibration'] = {
      fullSolver: 'euler',
      maxReuseDepth: 3,
      admits: () => true,
      decide: (kind) => (kind === 'object+background' ? startPoint(0.7, 5) : null),
    };

    // Act
    const { plan } = await createLookupHandler({
      ...servicesOn(evictedMeanwhile, vectors),
      calibration: pairsOnly,
    })(lookupInput(request));

    // Assess
    expect(plan.hit).toBe('miss');
    const released = (await table().getEntry(object.entryId))!;
    expect(released.hits).toBe(0);
    expect(released).not.toHaveProperty('leaseUntil');
  });

  it('stops at a job that was cancelled', async () => {
    // Prepare
    const request = await submit(table(), { prompt: unique('cancelled ') });
    const { entryId } = await storedEntry(table(), {}, request);
    await table().requestCancel(request.videoId);

    // Act
    const lookup = createLookupHandler(servicesOn(table()))(lookupInput(request));

    // Assess
    await expect(lookup).rejects.toMatchObject({ name: 'cancelled' });
    expect((await table().getEntry(entryId))!.hits).toBe(0);
  });

  it.each([
    ['tenant', 'tenant', 'miss'],
    ['tenant', 'shared', 'miss'],
    ['shared', 'tenant', 'miss'],
    ['shared', 'shared', 'exact'],
  ] as const)('finds for a %s request what another tenant made %s: %s', async (asks, made, hit) => {
    // Prepare
    const request = await submit(table(), {
      prompt: unique('partition '),
      tenant: 'asks',
      scope: asks,
    });
    await storedEntry(table(), {}, { ...request, tenant: 'made', scope: made });

    // Act
    const vectors = new FakeVectors();
    const { plan } = await createLookupHandler(servicesOn(table(), vectors))(lookupInput(request));

    // Assess
    expect(plan.hit).toBe(hit);
    for (const query of vectors.queries) {
      expect(query).toMatchObject({ scope: asks, tenant: 'asks' });
    }
  });

  it('answers with no finished video when only a share may be skipped', async () => {
    // Prepare
    const request = await submit(table(), { prompt: unique('bounded '), maxReuse: 0.5 });
    const entry = await storedEntry(table(), {}, request);

    // Act
    const { plan } = await createLookupHandler(servicesOn(table()))(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({
      hit: 'whole',
      startTime: 0.5,
      steps: 6,
      donors: [{ entryId: entry.entryId }],
    });
  });

  it('reads no entry below the least similarity of the request', async () => {
    // Prepare
    const request = await submit(table(), { minSimilarity: 0.97 });
    const { entryId } = await storedEntry(table());
    const vectors = new FakeVectors();
    vectors.matches.whole = [{ entryId, similarity: 0.96 }];

    // Act
    const { plan, usage } = await createLookupHandler(servicesOn(table(), vectors))(
      lookupInput(request),
    );

    // Assess
    expect(plan.hit).toBe('miss');
    // The job alone.
    expect(usage.tableReadUnits).toBe(1);
  });

  it('remixes the named video and no other', async () => {
    // Prepare
    const named = await storedEntry(table(), {
      stepsRun: 20,
      vectors: { whole: [0, 0, 0, 1], object: null, background: [0, 0, 1, 0] },
    });
    const request = await submit(table(), {
      prompt: 'a remix of that',
      steps: 20,
      remixOf: named.entryId,
    });
    const better = await storedEntry(table(), {}, { ...request, seed: 1 });
    const vectors = new FakeVectors();
    vectors.matches.whole = [{ entryId: better.entryId, similarity: 0.99 }];

    // Act
    const { plan } = await createLookupHandler(servicesOn(table(), vectors))(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({
      hit: 'background',
      donors: [{ entryId: named.entryId, part: 'background', similarity: 1 }],
    });
    expect(vectors.queries).toHaveLength(0);
    expect((await table().getEntry(named.entryId))!.hits).toBe(1);
    expect((await table().getEntry(better.entryId))!.hits).toBe(0);
  });

  it('remixes the whole of a video that the new prompt does not resemble', async () => {
    // Prepare
    const named = await storedEntry(table(), {
      vectors: { whole: [0, 0, 0, 1], object: null, background: null },
    });
    const request = await submit(table(), { remixOf: named.entryId });

    // Act
    const { plan } = await createLookupHandler(servicesOn(table()))(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({
      hit: 'whole',
      startTime: 0.8,
      steps: 10,
      donors: [{ entryId: named.entryId, part: 'whole', similarity: 0 }],
    });
  });

  it('answers the same remix with the same video', async () => {
    // Prepare
    const named = await storedEntry(table());
    const request = await submit(table(), { prompt: unique('again '), remixOf: named.entryId });
    const made = await storedEntry(table(), {}, request);

    // Act
    const { plan } = await createLookupHandler(servicesOn(table()))(lookupInput(request));

    // Assess
    expect(plan).toMatchObject({ hit: 'exact', exactVideoId: made.entryId });
  });

  it.each([
    ['of another tenant', { tenant: 'stranger' }],
    ['that is being evicted', { state: 'EVICTING' }],
    ['of the shared scope', { scope: 'shared' }],
  ] as const)('finds nothing to remix in an entry %s', async (_, changes) => {
    // Prepare
    const named = await storedEntry(table(), changes);
    const request = await submit(table(), { remixOf: named.entryId });

    // Act
    const lookup = createLookupHandler(servicesOn(table()))(lookupInput(request));

    // Assess
    await expect(lookup).rejects.toMatchObject({
      name: 'not_found',
      cause: { code: 'not_found', field: 'remixOf' },
    });
  });

  it('finds nothing to remix in an entry whose lease is refused', async () => {
    // Prepare
    const named = await storedEntry(table());
    const request = await submit(table(), { remixOf: named.entryId });
    const nothingToLease = tableWith(table(), { leaseEntry: () => Promise.resolve(null) });

    // Act
    const lookup = createLookupHandler(servicesOn(nothingToLease))(lookupInput(request));

    // Assess
    await expect(lookup).rejects.toMatchObject({ name: 'not_found' });
  });

  it('names an error that may pass so that the workflow tries again', async () => {
    // Prepare
    const request = await submit(table());
    const throttled = tableWith(table(), {
      findExact: () =>
        Promise.reject(new FlexCacheError('throttled', 'too fast', { transient: true })),
    });

    // Act
    const lookup = createLookupHandler(servicesOn(throttled))(lookupInput(request));

    // Assess
    await expect(lookup).rejects.toMatchObject({
      name: 'Transient',
      message: 'throttled: too fast',
    });
  });
});
