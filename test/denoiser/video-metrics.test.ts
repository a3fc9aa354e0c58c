import { describe, expect, it } from 'vitest';
import type { GenerationResult } from '#core/generation.ts';
import { METRIC_DIMENSIONS, METRIC_NAMESPACE, METRICS } from '#core/metric-names.ts';
import { videoMetrics } from '#denoiser/video-metrics.ts';
import { planFor, requestFor, VIDEO_ID } from './fakes.ts';

const RESULT = {
  hit: 'object',
  stepsRun: 3,
  latentBytes: 4640,
  seconds: { queue: 2.5, generate: 4 },
  usage: { step: 'generate', gpuSeconds: 4, networkEvaluations: 5 },
} as GenerationResult;

const INPUT = {
  request: requestFor('a red ball'),
  plan: planFor('object+background'),
  result: RESULT,
  model: 'demo-world',
  now: 1_795_000_000_000,
};

describe('videoMetrics', () => {
  it('is one line of the embedded metric format, with all that there is to say of a video', () => {
    // Act
    const line = videoMetrics(INPUT);

    // Assess
    expect(line).not.toContain('\n');
    expect(JSON.parse(line)).toEqual({
      _aws: {
        Timestamp: 1_795_000_000_000,
        CloudWatchMetrics: [
          {
            Namespace: 'FlexCache',
            Dimensions: [['hit', 'model', 'pool']],
            Metrics: [{ Name: 'NetworkEvaluations', Unit: 'Count' }],
          },
        ],
      },
      hit: 'object',
      model: 'demo-world',
      pool: 'interactive',
      videoId: VIDEO_ID,
      SkippedShare: 0.75,
      GpuSeconds: 4,
      QueueWait: 2.5,
      LatentBytes: 4640,
      NetworkEvaluations: 3,
    });
  });

  it('has the cold start of the first video of a process alone', () => {
    const line = JSON.parse(videoMetrics({ ...INPUT, coldStartSeconds: 31 })) as {
      ColdStart: number;
      _aws: { CloudWatchMetrics: [{ Metrics: unknown[] }] };
    };

    expect(line.ColdStart).toBe(31);
    expect(line._aws.CloudWatchMetrics[0].Metrics).toContainEqual({
      Name: METRICS.coldStart.name,
      Unit: METRICS.coldStart.unit,
    });
  });

  it('declares no metric that the end of a job publishes too', () => {
    // Prepare
    const line = JSON.parse(videoMetrics({ ...INPUT, coldStartSeconds: 31 })) as {
      _aws: {
        CloudWatchMetrics: [
          { Namespace: string; Dimensions: string[][]; Metrics: { Name: string }[] },
        ];
      };
    };

    // Assess
    const [{ Namespace, Dimensions, Metrics }] = line._aws.CloudWatchMetrics;
    const theirs = Object.entries(METRICS).filter(([name]) => name !== 'coldStart');
    for (const { Name } of Metrics) {
      expect(theirs.map(([, { name }]) => name)).not.toContain(Name);
    }
    expect({ Namespace, Dimensions }).toEqual({
      Namespace: METRIC_NAMESPACE,
      Dimensions: [METRIC_DIMENSIONS],
    });
  });
});
