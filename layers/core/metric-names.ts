/** Namespace of all of FlexCache's metrics in CloudWatch. */
export const METRIC_NAMESPACE = 'FlexCache';

/**
 * What is measured, and in which unit. Those of a video are published twice: by hit, model and pool,
 * and by pool alone, because an alarm cannot sum over dimensions. What alarms count, `videos`,
 * `failures`, `deadLetters` and `leaseConflicts`, is published as a whole: each metric of an alarm is paid for.
 */
export const METRICS = {
  /** Completed. */
  videos: { name: 'Videos', unit: 'Count' },
  /** Share of the network evaluations that reuse saved, 0..1. */
  skippedShare: { name: 'SkippedShare', unit: 'NoUnit' },
  gpuSeconds: { name: 'GpuSeconds', unit: 'Seconds' },
  queueWait: { name: 'QueueWait', unit: 'Seconds' },
  latentBytes: { name: 'LatentBytes', unit: 'Bytes' },
  /** List prices, marginal: machines that idle or start are not in it. */
  dollars: { name: 'Dollars', unit: 'NoUnit' },
  dollarsSaved: { name: 'DollarsSaved', unit: 'NoUnit' },
  /** Of `dollars`, those of work that came to nothing; failed and cancelled jobs have nothing else. By pool alone. */
  dollarsWasted: { name: 'DollarsWasted', unit: 'NoUnit' },
  /** Jobs that failed; cancelled ones did not. */
  failures: { name: 'Failures', unit: 'Count' },
  /** Requests that no worker could answer, ends of executions that were lost, announcements given up. */
  deadLetters: { name: 'DeadLetters', unit: 'Count' },
  /** Donors that a look-up wanted and did not get. */
  leaseConflicts: { name: 'LeaseConflicts', unit: 'Count' },
  /** From the start of a GPU worker's process until it could take a message. */
  coldStart: { name: 'ColdStart', unit: 'Seconds' },
  /** What a pass over the cache found to stay: entries, bytes of their latents, dollars a month. */
  entries: { name: 'Entries', unit: 'Count' },
  entryBytes: { name: 'EntryBytes', unit: 'Bytes' },
  rentPerMonth: { name: 'RentPerMonth', unit: 'NoUnit' },
  /** Entries that it evicts, by reason. */
  leavingEntries: { name: 'LeavingEntries', unit: 'Count' },
  /** Those whose latents were deleted. */
  evictedEntries: { name: 'EvictedEntries', unit: 'Count' },
  evictedBytes: { name: 'EvictedBytes', unit: 'Bytes' },
  /** Mended or removed by a sweep; more than a few say that something crashes. */
  orphans: { name: 'Orphans', unit: 'Count' },
} as const;

export type MetricName = keyof typeof METRICS;

/** Each combination of their values is a metric that is paid for: never an id. */
export const METRIC_DIMENSIONS = ['hit', 'model', 'pool'] as const;

/** Of what leaves the cache. */
export const REASON_DIMENSION = 'reason';

export type MetricDimensions = Partial<
  Record<(typeof METRIC_DIMENSIONS)[number] | typeof REASON_DIMENSION, string>
>;
