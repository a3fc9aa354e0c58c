import { describe, expect, it } from 'vitest';
import type { Entry } from '#core/generation.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { admissionRule, type AdmissionRule } from '#functions/commit/cache-admission.ts';
import { createCommitHandler } from '#functions/commit/handler.ts';
import type { RetentionState } from '#ports/retention-table.ts';
import {
  commitInput,
  FakeVectors,
  generationOf,
  servicesOn,
  storedEntry,
  submit,
  useTable,
} from './fixture.ts';

const SETTINGS = { book: priceBookOf('us-east-1'), storageClass: 'INTELLIGENT_TIERING' } as const;

const NOTHING_LEARNED = { getState: () => Promise.resolve<RetentionState | null>(null) };

const table = useTable();

/** A deep hit on the whole of an entry that its video is like; an evaluation took no time. */
async function deepHit(seconds = 1e-5) {
  const request = await submit(table());
  const vectors = { whole: [0, 0, 0, 1], object: [0, 1, 0, 0], background: null };
  const donor = await storedEntry(table(), { vectors });
  const { usage } = generationOf(request);
  const generation = generationOf(request, {
    hit: 'whole',
    donors: [donorOf(donor)],
    startTime: 0.3,
    stepsRun: 3,
    equivalentsRun: 3,
    usage: { ...usage, gpuSeconds: seconds, denoiseSeconds: seconds, networkEvaluations: 3 },
  });
  return { request, donor, input: { ...commitInput(request, generation), generation } };
}

function donorOf({ entryId, latentKey }: Entry) {
  return { entryId, part: 'whole', similarity: 1, latentKey } as const;
}

function services(addsLittle?: AdmissionRule, vectors = new FakeVectors()) {
  return { ...servicesOn(table(), vectors), ...(addsLittle && { addsLittle }) };
}

describe('Commit', () => {
  it('stores no video that is near its donor and made again in no time', async () => {
    // Prepare
    const { request, input } = await deepHit();
    const vectors = new FakeVectors();
    const rule = admissionRule({ retention: NOTHING_LEARNED, settings: SETTINGS });

    // Act
    const { result } = await createCommitHandler(services(rule, vectors))(input);

    // Assess
    expect(result).toMatchObject({
      hit: 'whole',
      videoKey: input.generation.videoKey,
      admission: { stored: false, reason: 'adds_little' },
    });
    expect(await table().getEntry(request.videoId)).toBeNull();
    expect(vectors.records.size).toBe(0);
    expect((await table().getJob(request.videoId))!.status).toBe('completed');
  });

  it('stores it where it is worth more than storing costs, with its neighbours', async () => {
    // Prepare
    const { request, input } = await deepHit(6);
    const rule = admissionRule({ retention: NOTHING_LEARNED, settings: SETTINGS });
    input.lookup.neighbours = 4;

    // Act
    const { result } = await createCommitHandler(services(rule))(input);

    // Assess
    expect(result.admission).toEqual({ stored: true });
    expect(await table().getEntry(request.videoId)).toMatchObject({
      state: 'READY',
      neighbours: 4,
    });
  });

  it('stores what a request made anew on purpose, and what has lost its donor', async () => {
    // Prepare
    const refreshed = await submit(table(), { cache: 'refresh' });
    const orphan = await deepHit();
    await table().moveEntry(orphan.donor.entryId, 'READY', 'EVICTING', Date.now());
    const rule = admissionRule({ retention: NOTHING_LEARNED, settings: SETTINGS });
    const commit = createCommitHandler(services(rule));

    // Act
    const outputs = [await commit(commitInput(refreshed)), await commit(orphan.input)];

    // Assess
    for (const { result } of outputs) expect(result.admission).toEqual({ stored: true });
  });

  it('keeps what an earlier run has stored', async () => {
    // Prepare
    const { request, input } = await deepHit();
    await storedEntry(table(), { entryId: request.videoId });

    // Act
    const { result } = await createCommitHandler(services(async () => true))(input);

    // Assess
    expect(result.admission).toEqual({ stored: true });
    expect(await table().getEntry(request.videoId)).not.toBeNull();
  });

  it.each(['off', 'readonly'] as const)('says that cache mode %s stores nothing', async (cache) => {
    // Prepare
    const request = await submit(table(), { cache });

    // Act
    const { result } = await createCommitHandler(services())(commitInput(request));

    // Assess
    expect(result.admission).toEqual({ stored: false, reason: 'cache_mode' });
  });

  it('stores as before the first pass when what was learned cannot be read, and asks once', async () => {
    // Prepare
    const { input } = await deepHit(6);
    let reads = 0;
    const retention = { getState: () => (reads++, Promise.reject(new Error('throttled'))) };
    const rule = admissionRule({ retention, settings: SETTINGS });
    const commit = createCommitHandler(services(rule));

    // Act
    const first = await commit(input);
    const second = await commit((await deepHit(6)).input);

    // Assess
    for (const { result } of [first, second]) expect(result.admission).toEqual({ stored: true });
    expect(reads).toBe(1);
  });
});
