import { equivalentsRun } from '#core/planning/equivalents.ts';
import type { GenerationRequest, GenerationResult, Plan } from '#core/generation.ts';
import { METRIC_DIMENSIONS, METRIC_NAMESPACE } from '#core/metric-names.ts';

type Unit = 'Count' | 'Seconds';

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
 * One line in CloudWatch's embedded metric format: the log group's reader makes metrics of what it
 * declares, and log queries find the rest. Declared is what the worker alone knows; the end of a job
 * publishes its hit, seconds and bytes, and no video may be counted twice.
 *
 * Format: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function videoMetrics(input: VideoMetricsInput): string {
  const { request, plan, result, model, coldStartSeconds } = input;
  const metrics: [name: string, unit: Unit, value: number][] = [
    ['NetworkEvaluations', 'Count', result.stepsRun],
  ];
  if (coldStartSeconds !== undefined) metrics.push(['ColdStart', 'Seconds', coldStartSeconds]);
  return JSON.stringify({
    _aws: {
      Timestamp: input.now ?? Date.now(),
      CloudWatchMetrics: [
        {
          Namespace: METRIC_NAMESPACE,
          Dimensions: [METRIC_DIMENSIONS],
          Metrics: metrics.map(([Name, Unit]) => ({ Name, Unit })),
        },
      ],
    },
    hit: result.hit,
    model,
    pool: request.pool,
    videoId: request.videoId,
    SkippedShare: 1 - equivalentsRun(result) / plan.fullSteps,
    GpuSeconds: result.usage.gpuSeconds ?? 0,
    QueueWait: result.seconds.queue,
    LatentBytes: result.latentBytes,
    ...Object.fromEntries(metrics.map(([name, , value]) => [name, value])),
  });
}
