import type { GenerationRequest, GenerationResult, Plan } from '#core/generation.ts';

/** Namespace of all of FlexCache's metrics in CloudWatch. */
export const METRIC_NAMESPACE = 'FlexCache';

/** Every combination of their values is a metric that is paid for: never an id. */
const DIMENSIONS = ['hit', 'model', 'pool'] as const;

type Unit = 'Count' | 'Seconds' | 'Bytes' | 'None';

export interface VideoMetricsInput {
  request: GenerationRequest;
  plan: Plan;
  result: GenerationResult;
  model: string;
  /** From the start of the process until it could take a message; given for its first video. */
  coldStartSeconds?: number;
  /** Epoch milliseconds. */
  now?: number;
}

/**
 * One line in CloudWatch's embedded metric format: the log group's reader makes metrics of it.
 *
 * Format: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function videoMetrics(input: VideoMetricsInput): string {
  const { request, plan, result, model, coldStartSeconds } = input;
  const metrics: [name: string, unit: Unit, value: number][] = [
    ['Videos', 'Count', 1],
    ['SkippedShare', 'None', 1 - result.stepsRun / plan.fullSteps],
    ['GpuSeconds', 'Seconds', result.usage.gpuSeconds ?? 0],
    ['QueueWait', 'Seconds', result.seconds.queue],
    ['LatentBytes', 'Bytes', result.latentBytes],
    ['NetworkEvaluations', 'Count', result.usage.networkEvaluations ?? 0],
  ];
  if (coldStartSeconds !== undefined) metrics.push(['ColdStart', 'Seconds', coldStartSeconds]);
  return JSON.stringify({
    _aws: {
      Timestamp: input.now ?? Date.now(),
      CloudWatchMetrics: [
        {
          Namespace: METRIC_NAMESPACE,
          Dimensions: [DIMENSIONS],
          Metrics: metrics.map(([Name, Unit]) => ({ Name, Unit })),
        },
      ],
    },
    hit: result.hit,
    model,
    pool: request.pool,
    videoId: request.videoId,
    ...Object.fromEntries(metrics.map(([name, , value]) => [name, value])),
  });
}
