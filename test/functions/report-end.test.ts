import { beforeEach, describe, expect, test } from 'vitest';
import type { GenerationRequest } from '#core/generation.ts';
import { priceBookOf } from '#core/prices.ts';
import type { MetricDimensions } from '#core/metric-names.ts';
import { reportingEnd, type ReportServices } from '#functions/report-end.ts';
import type { Telemetry, TelemetryEvent } from '#functions/telemetry.ts';
import { sampleResult } from '../stores/samples.ts';
import { submit, tableWith, useTable } from './fixture.ts';

const table = useTable();

interface Measured {
  amounts: Record<string, number>;
  dimensions: MetricDimensions;
}

describe('reportingEnd', () => {
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
    services = {
      table: table(),
      telemetry,
      model: 'demo-world',
      priceBook: priceBookOf('us-east-1'),
    };
  });

  async function complete({ videoId }: GenerationRequest): Promise<void> {
    await table().recordUsage(videoId, {
      step: 'generate',
      gpuSeconds: 9,
      denoiseSeconds: 8,
      networkEvaluations: 4,
      instanceType: 'g6.xlarge',
      purchaseOption: 'on-demand',
    });
    await table().completeJob(videoId, sampleResult({ hit: 'whole', stepsRun: 4, fullSteps: 12 }));
  }

  test('a completed video is measured by hit, model and pool, and by pool alone', async () => {
    const request = await submit(table());

    await reportingEnd(services, () => complete(request))({ request });

    // 9 s x 0.8048 / 3600 = 0.002012; saved (12 - 4) x 8 / 4 = 16 s = 0.003576888...
    const amounts = {
      videos: 1,
      skippedShare: 1 - 4 / 12,
      gpuSeconds: 9,
      queueWait: 0.3,
      latentBytes: 2000,
      dollars: 0.002012,
      dollarsSaved: expect.closeTo(0.003576889, 9),
    };
    expect(measured).toEqual([
      { amounts, dimensions: { hit: 'whole', model: 'demo-world', pool: 'interactive' } },
      { amounts, dimensions: { pool: 'interactive' } },
    ]);
    expect(events).toMatchObject([{ event: 'video_completed', videoId: request.videoId }]);
  });

  test('a second call for the same end counts nothing', async () => {
    const request = await submit(table());
    await complete(request);

    await reportingEnd(services, () => complete(request))({ request });

    expect(measured).toEqual([]);
  });

  test.each([
    ['failed', false, [{ amounts: { failures: 1 }, dimensions: { pool: 'interactive' } }]],
    ['cancelled', true, []],
  ])('a %s job', async (_, isCancelled, expected) => {
    const request = await submit(table());
    const fail = () =>
      table().failJob(request.videoId, { code: 'internal', message: 'broken' }, isCancelled);

    await reportingEnd(services, fail)({ request });

    expect(measured).toEqual(expected);
  });

  test('without a price book nothing is said of dollars', async () => {
    const request = await submit(table());

    await reportingEnd({ ...services, priceBook: null }, () => complete(request))({ request });

    expect(measured[0]!.amounts).not.toHaveProperty('dollars');
    expect(measured[0]!.amounts).toHaveProperty('gpuSeconds', 9);
  });

  test('what cannot be priced is logged and undoes nothing', async () => {
    const request = await submit(table());
    const handle = async (): Promise<string> => {
      await table().recordUsage(request.videoId, { step: 'generate', gpuSeconds: 9 });
      await table().completeJob(request.videoId, sampleResult());
      return 'done';
    };

    await expect(reportingEnd(services, handle)({ request })).resolves.toBe('done');

    expect(events).toMatchObject([{ level: 'warn', event: 'metrics_missing' }]);
  });

  test("the handler's own error is passed on", async () => {
    const request = await submit(table());
    const error = new Error('broken');

    const handling = reportingEnd(services, async () => Promise.reject(error))({ request });

    await expect(handling).rejects.toBe(error);
    expect(measured).toEqual([]);
  });

  test.each([1, 2])('a table that does not answer its read %d fails nothing', async (failing) => {
    const request = await submit(table());
    let reads = 0;
    const unsteady = tableWith(table(), {
      getJob: async (videoId) => {
        if (++reads === failing) throw new Error('unreachable');
        return table().getJob(videoId);
      },
    });

    const handle = reportingEnd({ ...services, table: unsteady }, () => complete(request));

    await expect(handle({ request })).resolves.toBeUndefined();
    expect(measured).toEqual([]);
    expect(events).toMatchObject([{ event: 'metrics_missing' }]);
  });
});
