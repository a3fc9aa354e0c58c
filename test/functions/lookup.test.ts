import { describe, expect, it } from 'vitest';
import { FlexCacheError } from '#core/errors.ts';
import { createLookupHandler, LEASE_MILLISECONDS } from '#functions/lookup/handler.ts';
import { unique } from '../stores/samples.ts';
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
    expect(leased.leaseUntil).toBeGreaterThan(Date.now() + LEASE_MILLISECONDS - 60_000);
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
    expect(usage).toMatchObject({ vectorQueries: 3, tableReadUnits: 3, tableWriteUnits: 4 });
  });

  it('plans again without a donor whose lease is refused', async () => {
    // Prepare
    const request = await submit(table());
    const [object, background] = [await storedEntry(table()), await storedEntry(table())];
    const vectors = new FakeVectors();
    vectors.matches.object = [{ entryId: object.entryId, similarity: 0.95 }];
    vectors.matches.background = [{ entryId: background.entryId, similarity: 0.9 }];
    const evictedMeanwhile = tableWith(table(), {
      leaseEntry: (lease) =>
        lease.entryId === object.entryId ? Promise.resolve(null) : table().leaseEntry(lease),
    });

    // Act
    const { plan } = await createLookupHandler(servicesOn(evictedMeanwhile, vectors))(
      lookupInput(request),
    );

    // Assess
    expect(plan).toMatchObject({
      hit: 'background',
      donors: [{ entryId: background.entryId, part: 'background' }],
    });
    expect((await table().getEntry(background.entryId))!.hits).toBe(1);
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
