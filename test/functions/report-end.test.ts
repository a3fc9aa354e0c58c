import { beforeEach, describe, expect, test } from 'vitest';
import type { Job } from '#core/generation.ts';
import { randomVideoId } from '#core/requests/identity.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import type { MetricDimensions } from '#core/metric-names.ts';
import { createCommitHandler } from '#functions/commit/handler.ts';
import { createFailHandler } from '#functions/fail/handler.ts';
import { endReporter, type ReportServices } from '#functions/shared/report-end.ts';
import type { Telemetry, TelemetryEvent } from '#functions/shared/telemetry.ts';
import { sampleJob, sampleResult } from '../aws/samples.ts';
import { commitInput, servicesOn, submit, useTable } from './fixture.ts';

const table = useTable();

interface Measured {
  amounts: Record<string, number>;
  dimensions: MetricDimensions;
}

/** 9 s x 0.8048 / 3600 = 0.002012 dollars */
const GENERATION = {
  step: 'generate',
  gpuSeconds: 9,
  denoiseSeconds: 8,
  networkEvaluations: 4,
  instanceType: 'g6.xlarge',
  purchaseOption: 'on-demand',
} as const;

describe('endReporter', () => {
  let measured: Measured[];
  let events: TelemetryEvent[];
  let services: ReportServices;
  beforeEach(() => {
    measured = [];
    events = [];
    const telemetry: Telemetry = {
      log: (event) => void events.push(event),
      measure: (amounts, dimensions) =>
        void measured.push({ amounts: { ...amounts }, dimensions: { ...dimensions } }),
    };
    services = { telemetry, model: 'demo-world', priceBook: priceBookOf('us-east-1') };
  });

  function completed(changes: Partial<Job> = {}): Job {
    const result = sampleResult({ hit: 'whole', stepsRun: 4, fullSteps: 12 });
    return sampleJob({ status: 'completed', result, usage: [GENERATION], ...changes });
  }

  test('a completed video is measured by hit, model and pool, and by pool alone', () => {
    const job = completed();

    endReporter(services)(job);

    // saved (12 - 4) x 8 / 4 = 16 s = 0.003576888...
    const amounts = {
      skippedShare: 1 - 4 / 12,
      gpuSeconds: 9,
      queueWait: 0.3,
      latentBytes: 2000,
      dollars: 0.002012,
      dollarsSaved: expect.closeTo(0.003576889, 9),
    };
    expect(measured).toEqual([
      { amounts: { videos: 1 }, dimensions: {} },
      {
        amounts: { videos: 1, ...amounts },
        dimensions: { hit: 'whole', model: 'demo-world', pool: 'interactive' },
      },
      { amounts: { ...amounts, dollarsWasted: 0 }, dimensions: { pool: 'interactive' } },
    ]);
    expect(events).toMatchObject([{ event: 'video_completed', videoId: job.videoId }]);
  });

  test('what an attempt took is measured with its own end', () => {
    const usage = [GENERATION, { ...GENERATION, attempt: 2, gpuSeconds: 18 }];

    endReporter(services)(completed({ attempt: 2, usage }));

    expect(measured[1]!.amounts).toMatchObject({ gpuSeconds: 18, dollars: 0.004024 });
  });

  test.each([
    ['failed', [{ amounts: { failures: 1 }, dimensions: {} }]],
    ['cancelled', []],
  ] as const)('a %s job has wasted all of it', (status, counted) => {
    endReporter(services)(completed({ status }));

    expect(measured).toEqual([
      ...counted,
      { amounts: { dollarsWasted: 0.002012 }, dimensions: { pool: 'interactive' } },
    ]);
  });

  test('without a price book nothing is said of dollars', () => {
    endReporter({ ...services, priceBook: null })(completed());

    expect(measured[1]!.amounts).not.toHaveProperty('dollars');
    expect(measured[1]!.amounts).toHaveProperty('gpuSeconds', 9);
  });

  test('what cannot be priced is logged and throws nothing', () => {
    endReporter(services)(completed({ usage: [{ step: 'generate', gpuSeconds: 9 }] }));

    expect(measured).toEqual([]);
    expect(events).toMatchObject([{ level: 'warn', event: 'metrics_missing' }]);
  });

  test('Commit and Fail report the end that they wrote, once', async () => {
    // Prepare
    const ended: [videoId: string, status: string][] = [];
    const reporting = {
      ...servicesOn(table()),
      reportEnd: ({ videoId, status }: Job) => void ended.push([videoId, status]),
    };
    const made = await submit(table(), { videoId: randomVideoId() });
    const broken = await submit(table(), { videoId: randomVideoId() });
    const error = { Error: 'internal', Cause: 'broken' };

    // Act
    for (let call = 0; call < 2; call++) {
      await createCommitHandler(reporting)(commitInput(made));
      await createFailHandler(reporting)({ request: broken, error });
      await createFailHandler(reporting)({ execution: made.videoId, error });
    }

    // Assess
    expect(ended).toEqual([
      [made.videoId, 'completed'],
      [broken.videoId, 'failed'],
    ]);
  });
});
