import { context, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { FlexCacheError } from '#core/errors.ts';
import { deployedTelemetry } from '#functions/shared/deployed-telemetry.ts';
import { METRIC_DIMENSIONS, METRIC_NAMESPACE, METRICS } from '#core/metric-names.ts';
import { TaskError } from '#functions/shared/task-error.ts';
import {
  observed,
  traced,
  type Telemetry,
  type TelemetryEvent,
} from '#functions/shared/telemetry.ts';

const input = { request: { videoId: 'vid_1', prompt: 'a secret' } };

describe('traced', () => {
  const exporter = new InMemorySpanExporter();
  beforeAll(() => {
    trace.setGlobalTracerProvider(
      new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
    );
  });
  afterEach(() => exporter.reset());
  afterAll(() => {
    trace.disable();
    context.disable();
  });

  test('a call is one span that knows its video and not its prompt', async () => {
    const handle = traced(
      'lookup',
      async ({ request }: typeof input) => `plan of ${request.videoId}`,
    );

    await expect(handle(input)).resolves.toBe('plan of vid_1');

    const [span, ...others] = exporter.getFinishedSpans();
    expect(others).toEqual([]);
    expect(span).toMatchObject({
      name: 'lookup',
      attributes: { 'flexcache.video_id': 'vid_1' },
      status: { code: SpanStatusCode.UNSET },
    });
    expect(JSON.stringify(span!.attributes)).not.toContain('secret');
  });

  test('an error ends the span as an error and is passed on as it is', async () => {
    const error = new Error('broken');
    const handle = traced('commit', async () => Promise.reject(error));

    await expect(handle(input)).rejects.toBe(error);

    const [span] = exporter.getFinishedSpans();
    expect(span!.status.code).toBe(SpanStatusCode.ERROR);
    expect(span!.events).toMatchObject([{ name: 'exception' }]);
  });

  test('an input without a request is a span without a video', async () => {
    await traced('evict', async () => null)(null);

    expect(exporter.getFinishedSpans()[0]!.attributes).toEqual({});
  });
});

describe('observed', () => {
  const events: TelemetryEvent[] = [];
  const telemetry: Telemetry = { log: (event) => void events.push(event), measure: () => {} };
  beforeEach(() => void events.splice(0));

  test('says what was done for which video', async () => {
    await observed('embed', telemetry, async () => 1)(input);

    expect(events).toEqual([
      { level: 'info', event: 'embed_done', videoId: 'vid_1', seconds: expect.any(Number) },
    ]);
  });

  test.each([
    ['error', new Error('broken')],
    ['error', new TaskError(new FlexCacheError('not_found', 'gone'))],
    ['warn', new TaskError(new FlexCacheError('throttled', 'busy', { transient: true }))],
    ['info', new TaskError(new FlexCacheError('cancelled', 'stopped'))],
  ])('an error is logged at level %s: %s', async (level, error) => {
    const handle = observed('embed', telemetry, async () => Promise.reject(error));

    await expect(handle(input)).rejects.toBe(error);

    expect(events).toMatchObject([{ level, event: 'embed_failed', videoId: 'vid_1', error }]);
  });
});

describe('deployedTelemetry', () => {
  const lines: string[] = [];
  beforeEach(() => {
    lines.length = 0;
    // Powertools writes through consoles of its own on these streams.
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, 'write').mockImplementation((chunk) => {
        lines.push(...String(chunk).split('\n').filter(Boolean));
        return true;
      });
    }
  });
  afterEach(() => void vi.restoreAllMocks());

  function written(): Record<string, unknown>[] {
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  test('logs one line of JSON with the video id', () => {
    deployedTelemetry().log({
      level: 'warn',
      event: 'wake_failed',
      videoId: 'vid_1',
      pool: 'backfill',
      error: new FlexCacheError('throttled', 'slow down'),
    });

    expect(written()).toMatchObject([
      {
        level: 'WARN',
        message: 'wake_failed',
        service: 'flexcache',
        videoId: 'vid_1',
        pool: 'backfill',
        error: { name: 'FlexCacheError', message: 'slow down', code: 'throttled' },
      },
    ]);
  });

  test('an error that is no Error is logged too', () => {
    deployedTelemetry().log({ level: 'error', event: 'odd', error: 'text' });

    expect(written()).toMatchObject([{ level: 'ERROR', error: { message: 'text' } }]);
  });

  test('publishes metrics in the namespace, by the dimensions that were given and no other', () => {
    deployedTelemetry().measure(
      { videos: 1, skippedShare: 0.9, gpuSeconds: 3.5, latentBytes: 1000 },
      { hit: 'whole', model: 'demo-world', pool: 'interactive' },
    );

    const [line, ...others] = written();
    expect(others).toEqual([]);
    expect(line).toMatchObject({
      hit: 'whole',
      model: 'demo-world',
      pool: 'interactive',
      Videos: 1,
      SkippedShare: 0.9,
      GpuSeconds: 3.5,
      LatentBytes: 1000,
      _aws: {
        CloudWatchMetrics: [
          {
            Namespace: METRIC_NAMESPACE,
            Dimensions: [['hit', 'model', 'pool']],
            Metrics: [
              { Name: 'Videos', Unit: 'Count' },
              { Name: 'SkippedShare', Unit: 'None' },
              { Name: 'GpuSeconds', Unit: 'Seconds' },
              { Name: 'LatentBytes', Unit: 'Bytes' },
            ],
          },
        ],
      },
    });
  });

  test('dimensions of one call do not reach the next', () => {
    const telemetry = deployedTelemetry();

    telemetry.measure({ videos: 1 }, { hit: 'miss', model: 'demo-world', pool: 'interactive' });
    telemetry.measure({ failures: 1 }, { pool: 'backfill' });
    telemetry.measure({ orphans: 2 }, {});

    expect(
      written().map((line) => {
        const { CloudWatchMetrics } = line['_aws'] as {
          CloudWatchMetrics: [{ Dimensions: unknown }];
        };
        return CloudWatchMetrics[0].Dimensions;
      }),
    ).toEqual([[['hit', 'model', 'pool']], [['pool']], [[]]]);
  });
});

test('no two metrics share a name, and none is named like a dimension', () => {
  const names = Object.values(METRICS).map(({ name }) => name);

  expect(new Set([...names, ...METRIC_DIMENSIONS]).size).toBe(
    names.length + METRIC_DIMENSIONS.length,
  );
});
