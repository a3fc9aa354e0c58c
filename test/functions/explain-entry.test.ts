import { describe, expect, test } from 'vitest';
import type { Entry } from '#core/generation.ts';
import { randomVideoId } from '#core/requests/identity.ts';
import type { EvictSettings } from '#retention/evict-settings.ts';
import { explainEntry } from '#retention/explain-entry.ts';
import type { Explanation } from '#retention/explanation.ts';
import { sampleJob, sampleResult } from '../aws/samples.ts';
import { SETTINGS } from './retention-fixture.ts';
import {
  add,
  DAY,
  hits,
  memoryCache,
  NOW,
  evaluate,
  type MemoryCache,
} from './eviction-fixture.ts';

function explain(
  cache: MemoryCache,
  entryId: string,
  settings: Partial<EvictSettings> = {},
): Promise<Explanation> {
  return explainEntry(cache, { ...SETTINGS, ...settings }, entryId, NOW);
}

function addVideo(cache: MemoryCache, changes: Parameters<typeof add>[1] = {}): Promise<Entry> {
  return add(cache, { entryId: randomVideoId(), ...changes });
}

describe('explainEntry', () => {
  test('gives the numbers behind the verdict of an entry that stays, and they add up', async () => {
    const cache = memoryCache();
    const { entryId } = await addVideo(cache, { ageDays: 2, neighbours: 3, ...hits(4, 6) });
    await evaluate(cache);

    const { verdict, numbers, wouldChange, because } = await explain(cache, entryId);

    expect(verdict).toBe('keep');
    expect(because).toEqual([
      expect.stringMatching(/^its hits are expected to save \$[\d.e+-]+ a month, .*: it pays$/),
    ]);
    expect(numbers).toMatchObject({ hits: 4, reuseDepth: 0, neighbours: 3 });
    expect(numbers!.ageSeconds).toBeCloseTo(0.1 * 24 * 3600, 0);
    const { latent, vectors, scan, item, total } = numbers!.rentPerMonthUsd;
    expect(latent + vectors + scan + item).toBeCloseTo(total, 12);
    // 100 MB of Standard, a GB at $0.023
    expect(latent).toBeCloseTo((100e6 / 2 ** 30) * 0.023, 9);
    expect(numbers!.valuePerMonthUsd).toBeCloseTo(
      numbers!.dollarsPerHit * numbers!.hitsPerMonth,
      9,
    );
    expect(numbers!.valuePerMonthUsd / total).toBeCloseTo(numbers!.density, 6);
    expect(wouldChange!.rentPerMonthUsd).toBe(numbers!.valuePerMonthUsd);
    expect(wouldChange!.hitsPerMonth! * numbers!.dollarsPerHit).toBeCloseTo(total, 9);
    expect(wouldChange!.unusedSeconds).toBeGreaterThan(numbers!.ageSeconds);
  });

  test('says before a pass what the pass then does', async () => {
    const cache = memoryCache();
    const entries = [
      await addVideo(cache, hits(9, 9)),
      await addVideo(cache, { ageDays: 400 }),
      await addVideo(cache, { ageDays: 400, pinnedAt: '2026-03-01T00:00:00.000Z' }),
    ];

    const verdicts = [];
    for (const { entryId } of entries) verdicts.push((await explain(cache, entryId)).verdict);
    const { run } = await evaluate(cache);

    expect(verdicts).toEqual(['keep', 'rent', 'pinned']);
    expect(run.verdicts).toMatchObject({
      keep: { count: 1 },
      rent: { count: 1 },
      pinned: { count: 1 },
    });
  });

  test('tells a lease, another model, and a budget that is full', async () => {
    const cache = memoryCache();
    const poor = await addVideo(cache);
    await addVideo(cache, hits(30, 30));
    const { entryId } = poor;
    await evaluate(cache, { budgetUsd: 0.0025 }, { isDryRun: true });

    const obsolete = await explain(cache, entryId, { onlyCompatibilityKey: 'f'.repeat(64) });
    const lease = { entryId, holder: 'a', now: NOW - 200 * DAY, leaseUntil: NOW + 1000 };
    await cache.table.leaseEntry(lease);
    const leased = await explain(cache, entryId, { onlyCompatibilityKey: 'f'.repeat(64) });
    await cache.table.releaseEntry(entryId, 'a');
    const other = await addVideo(cache);
    await evaluate(cache, { budgetUsd: 0.0025 });
    const left = await explain(cache, other.entryId, { budgetUsd: 0.0025 });

    expect(obsolete.verdict).toBe('obsolete');
    expect(leased.verdict).toBe('leased');
    expect(leased.because[1]).toContain('lease');
    expect(left).toMatchObject({
      state: 'EVICTING',
      verdict: 'budget',
      left: { reason: 'budget' },
    });
  });

  test('of one that left it says when and why, and when the rest of it goes', async () => {
    const cache = memoryCache();
    const { entryId } = await addVideo(cache, { ageDays: 400 });
    await evaluate(cache);

    const leaving = await explain(cache, entryId);
    await cache.table.moveEntry(entryId, 'EVICTING', 'TOMBSTONE', NOW + 1000);
    const latentsDeleted = await explain(cache, entryId);

    expect(leaving).toMatchObject({
      state: 'EVICTING',
      verdict: 'rent',
      left: {
        reason: 'rent',
        at: new Date(NOW).toISOString(),
        latentGoneAt: new Date(NOW + 30 * 60_000).toISOString(),
      },
    });
    expect(latentsDeleted).toMatchObject({
      state: 'TOMBSTONE',
      verdict: 'rent',
      left: { reason: 'rent', recordGoneAt: new Date(NOW + 1000 + DAY).toISOString() },
    });
  });

  test('of one that is gone it says what its job tells, and of one that never was that it knows none', async () => {
    const cache = memoryCache();
    const videoId = randomVideoId();
    await cache.table.createJob(sampleJob({ videoId }));
    await cache.table.completeJob(videoId, sampleResult());

    const gone = await explain(cache, videoId);
    const never = await explain(cache, randomVideoId());

    expect(gone).toMatchObject({ state: 'none', verdict: 'gone', job: { status: 'completed' } });
    expect(gone.because[0]).toContain('was evicted more than a day ago');
    expect(never).toMatchObject({ state: 'none', verdict: 'gone' });
    expect(never).not.toHaveProperty('job');
    await expect(explain(cache, 'nonsense')).rejects.toMatchObject({
      code: 'invalid_input',
      field: 'explain',
    });
  });

  test('changes nothing', async () => {
    const cache = memoryCache();
    const { entryId } = await addVideo(cache, { ageDays: 400 });
    const before = structuredClone(cache.dynamo.items);

    await explain(cache, entryId);

    expect(cache.dynamo.items).toEqual(before);
  });
});
