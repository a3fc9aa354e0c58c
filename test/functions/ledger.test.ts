import { describe, expect, it } from 'vitest';
import { costOfJob } from '#core/costs/cost.ts';
import { FlexCacheError } from '#core/errors.ts';
import type { GenerationRequest, Job, UsageRecord } from '#core/generation.ts';
import { randomVideoId } from '#core/requests/identity.ts';
import { ledgerOf } from '#core/costs/ledger.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { costOfUsage } from '#core/costs/usage-cost.ts';
import { createCommitHandler } from '#functions/commit/handler.ts';
import { createEmbedHandler } from '#functions/embed/handler.ts';
import { createFailHandler } from '#functions/fail/handler.ts';
import { createLookupHandler } from '#functions/lookup/handler.ts';
import type { Services } from '#functions/shared/services.ts';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';
import { unique } from '../aws/samples.ts';
import {
  commitInput,
  FakeEmbedder,
  FakeVectors,
  generationOf,
  lookupInput,
  servicesOn,
  storedEntry,
  submit,
  tableWith,
  useTable,
} from './fixture.ts';

const TRANSIENT = new FlexCacheError('throttled', 'slow down', { transient: true });
const book = priceBookOf('us-east-1');

/** Steps of a job's ledger, with whether each run was useful. */
function runsOf(job: Job): [step: string, isUseful: boolean][] {
  return ledgerOf(job).map(({ record, isUseful }) => [record.step, isUseful]);
}

function throwing(): never {
  throw TRANSIENT;
}

describe('the ledger of a video', () => {
  const table = useTable();

  async function jobOf({ videoId }: Pick<GenerationRequest, 'videoId'>): Promise<Job> {
    return (await table().getJob(videoId))!;
  }

  /** Embed, Lookup and Commit as the state machine calls them, each after a run that failed. */
  async function runWithRetries(services: Services, request: GenerationRequest): Promise<void> {
    const embedder = new FakeEmbedder();
    embedder.embedText = throwing;
    const vectors = new FakeVectors();
    vectors.query = throwing;
    const broken = { ...services, embedder, vectors: { ...vectors, query: throwing } };
    await expect(createEmbedHandler(broken as never)({ request })).rejects.toThrow();
    const embed = await createEmbedHandler(services)({ request });
    const lookupIt = { request, embed };
    await expect(createLookupHandler(broken)(lookupIt)).rejects.toThrow();
    const lookup = await createLookupHandler(services)(lookupIt);
    const dying = new FakeVectors();
    dying.put = throwing;
    const input = { request, embed, lookup, generation: generationOf(request) };
    await expect(createCommitHandler({ ...services, vectors: dying })(input)).rejects.toThrow();
    await createCommitHandler(services)(input);
  }

  it('has each retried step once as useful and its failed run as waste', async () => {
    // Prepare
    const tenant = unique('tenant-');
    const request = await submit(table(), { tenant });
    const services = servicesOn(table());

    // Act
    await runWithRetries(services, request);

    // Assess
    const job = await jobOf(request);
    expect(runsOf(job)).toEqual([
      ['embed', false],
      ['embed', true],
      ['lookup', false],
      ['lookup', true],
      ['generate', true],
      ['commit', false],
      ['commit', true],
    ]);
    const cost = costOfJob(job, book);
    const wasted = ledgerOf(job)
      .filter(({ isUseful }) => !isUseful)
      .map(({ record }) => record);
    expect(wasted.map(({ stateTransitions }) => stateTransitions)).toEqual([1, 1, 1]);
    expect(cost.wasted).toBe(
      wasted.reduce((sum, record) => sum + costOfUsage([record], book).total, 0n),
    );
    expect(cost.wasted).toBeGreaterThan(0n);
    expect(await services.tenants.getSpending(tenant, '2026-01-01')).toBe(cost.total);
  });

  it('counts a record that is written twice once', async () => {
    // Prepare
    const request = await submit(table());
    await createCommitHandler(servicesOn(table()))(commitInput(request));
    const before = await jobOf(request);

    // Act
    for (const record of before.usage) await table().recordUsage(request.videoId, record);

    // Assess
    expect((await jobOf(request)).usage).toEqual(before.usage);
  });

  it('keeps the units that the table returned, its own record among them', async () => {
    // Prepare
    const tenant = unique('tenant-');
    const request = await submit(table(), { tenant });
    const donor = await storedEntry(table(), { tenant });
    const vectors = new FakeVectors();
    vectors.matches.object = [{ entryId: donor.entryId, similarity: 0.95 }];
    const { usage: entered } = await jobOf(request);

    // Act
    const { usage } = await createLookupHandler(servicesOn(table(), vectors))(lookupInput(request));

    // Assess
    expect(entered).toEqual([]);
    const [record] = (await jobOf(request)).usage;
    // Two reads, of the job and of the donor, and its lease: each is small.
    expect(record).toMatchObject({ tableReadUnits: 2, tableWriteUnits: 1, vectorQueries: 3 });
    // What is handed on has the write of that record too: Commit enters it in its place.
    expect(usage).toMatchObject({ run: record!.run, tableReadUnits: 2, tableWriteUnits: 2 });
  });

  it('is of the attempt that the work was done for', async () => {
    // Prepare
    const tenant = unique('tenant-');
    const request = await submit(table(), { tenant, videoId: randomVideoId() });
    const services = servicesOn(table());
    const input = commitInput(request);
    const error = { Error: 'gpu_missing', Cause: 'no GPU' };
    await createFailHandler(services)({ ...input, error });
    const afterFirst = await jobOf(request);
    const charged = await services.tenants.getSpending(tenant, '2026-01-01');
    await table().resubmitJob(request.videoId);
    await table().startJob(request.videoId);

    // Act
    await createCommitHandler(services)({
      ...input,
      lookup: { ...input.lookup, attempt: 2 },
      generation: generationOf(request, {
        usage: { ...generationOf(request).usage, run: 'second', attempt: 2 },
      }),
    });

    // Assess
    expect(runsOf(afterFirst)).toEqual([
      ['embed', false],
      ['lookup', false],
      ['generate', false],
      ['fail', false],
    ]);
    expect(charged).toBe(costOfJob(afterFirst, book).total);
    const job = await jobOf(request);
    expect(ledgerOf(job).map(({ record, isUseful }) => [record.attempt ?? 1, isUseful])).toEqual([
      ...Array.from({ length: 4 }, () => [1, false]),
      ...Array.from({ length: 4 }, () => [2, true]),
    ]);
    const cost = costOfJob(job, book);
    expect(cost.wasted).toBe(charged);
    // Each attempt was charged by itself, and together they are what the video has cost.
    expect(await services.tenants.getSpending(tenant, '2026-01-01')).toBe(cost.total);
  });

  it('has the work of every worker of a chain, each at its own price, and none of it twice', async () => {
    // Prepare: the first was killed, the second shut down, the third went on with the second.
    const request = await submit(table());
    const worker = (
      run: string,
      startedAt: number,
      changes: Partial<UsageRecord>,
    ): UsageRecord => ({
      ...generationOf(request).usage,
      run,
      startedAt,
      ...changes,
    });
    const killed = worker('killed', 1, { gpuSeconds: 5, networkEvaluations: 4 });
    const stopped = worker('stopped', 2, {
      gpuSeconds: 8,
      networkEvaluations: 9,
      purchaseOption: 'on-demand',
    });
    await table().recordUsage(request.videoId, killed);
    await table().recordUsage(request.videoId, stopped);
    const usage = worker('last', 3, {
      gpuSeconds: 3,
      networkEvaluations: 3,
      continues: ['stopped'],
    });
    const input = commitInput(
      request,
      generationOf(request, { usage, seconds: { queue: 20, generate: 3 } }),
    );

    // Act
    await createCommitHandler(servicesOn(table()))(input);

    // Assess
    const job = await jobOf(request);
    expect(runsOf(job).filter(([step]) => step === 'generate')).toEqual([
      ['generate', false],
      ['generate', true],
      ['generate', true],
    ]);
    const gpu = costOfJob(job, book).items.filter(({ service }) => service === 'ec2');
    const price = (option: string) => book.prices.get(`ec2.g6.xlarge.${option}`)!.amount;
    expect(gpu.map(({ priceId, useful, wasted }) => [priceId, useful, wasted])).toEqual(
      [
        ['ec2.g6.xlarge.spot', (price('spot') * 3n) / 3600n, (price('spot') * 5n) / 3600n],
        ['ec2.g6.xlarge.on-demand', (price('on-demand') * 8n) / 3600n, 0n],
      ].map((expected) => expected.map((part) => (typeof part === 'bigint' ? near(part) : part))),
    );
    // What the earlier worker did was no waiting, and making the entry took both of them.
    expect(job.result!.seconds).toMatchObject({ queue: 12, generate: 11 });
    expect(await table().getEntry(request.videoId)).toMatchObject({ gpuSeconds: 11 });
  });

  it('of an exact hit has no machine in it', async () => {
    // Prepare
    const request = await submit(table(), { tenant: unique('tenant-') });
    const { entryId } = await storedEntry(table(), { gpuSeconds: 3, stepsRun: 12 }, request);
    const services = servicesOn(table());
    const embed = await createEmbedHandler(services)({ request });
    const lookup = await createLookupHandler(services)({ request, embed });

    // Act
    await createCommitHandler(services)({ request, embed, lookup });

    // Assess
    const job = await jobOf(request);
    expect(lookup.plan.exactVideoId).toBe(entryId);
    expect(runsOf(job)).toEqual([
      ['embed', true],
      ['lookup', true],
      ['commit', true],
    ]);
    const cost = costOfJob(job, book);
    expect(cost).toMatchObject({ gpu: 0n, wasted: 0n, idle: 0n, coldStart: 0n });
    // 4 states: embed, lookup, the choice, commit.
    const transitions = cost.items.find(({ priceId }) => priceId === 'states.transition')!;
    expect(transitions.quantity).toBe(4);
    expect(cost.saved).toBeGreaterThan(0n);
  });

  it('that cannot be written keeps no video back, and the log says that it is short', async () => {
    // Prepare
    const request = await submit(table());
    const deaf = tableWith(table(), { recordUsage: () => Promise.reject(TRANSIENT) });
    const logged: TelemetryEvent[] = [];
    const telemetry = {
      log: (event: TelemetryEvent) => void logged.push(event),
      measure: () => {},
    };
    const services = { ...servicesOn(deaf), telemetry };

    // Act
    const embed = await createEmbedHandler(services)({ request });
    await createLookupHandler(services)({ request, embed });

    // Assess
    const { videoId } = request;
    expect(logged).toMatchObject([
      { level: 'warn', event: 'usage_not_recorded', videoId, step: 'embed', error: TRANSIENT },
      { level: 'warn', event: 'usage_not_recorded', videoId, step: 'lookup' },
    ]);
  });

  it('that cannot be written does not hide why a step failed', async () => {
    const request = await submit(table());
    const services = servicesOn(
      tableWith(table(), { recordUsage: () => Promise.reject(new Error('other')) }),
    );
    const embedder = new FakeEmbedder();
    embedder.embedText = () => Promise.reject(TRANSIENT);

    const embedding = createEmbedHandler({ ...services, embedder })({ request });

    await expect(embedding).rejects.toMatchObject({ name: 'Transient' });
  });
});

/** Prices are rounded half up, the quotient above down. */
function near(amount: bigint): unknown {
  return expect.toSatisfy((found: bigint) => found - amount >= 0n && found - amount <= 1n);
}
