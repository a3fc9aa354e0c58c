import type { BackfillReference, CacheMode, HitKind, JobStatus, Scope } from '../generation.ts';
import type { GuidanceChoice } from './guidance.ts';
import type { WebhookDelivery } from './webhook-delivery.ts';

export type BackfillFormat = 'txt' | 'jsonl' | 'csv';

export const BACKFILL_FORMATS: readonly BackfillFormat[] = ['txt', 'jsonl', 'csv'];

/** What holds for every line that does not say otherwise. */
export interface BackfillDefaults extends GuidanceChoice {
  cache: CacheMode;
  scope: Scope;
  /** Null: the package's tuned N. */
  steps: number | null;
  minSimilarity: number;
  maxReuse: number;
}

/** A file of prompts whose videos are made without anybody waiting for each. */
export interface Backfill {
  /** `bkf_` + 26 characters; also the name of its execution. */
  backfillId: string;
  tenant: string;
  status: JobStatus;
  /** Object key of the file as it was given. */
  inputKey: string;
  format: BackfillFormat;
  defaults: BackfillDefaults;
  /** Lines in the making at once. */
  concurrency: number;
  /** 0..100; more failed lines than this end the backfill. */
  toleratedFailurePercentage: number;
  webhook: string | null;
  /** What became of telling `webhook`. */
  webhookDelivery?: WebhookDelivery;
  metadata: Record<string, string>;
  modelRevision: string;
  /** ISO 8601, UTC. */
  createdAt: string;
  updatedAt: string;
  startedAt?: string;
  completedAt?: string;
  cancelRequested: boolean;
  /** Known once the file was read. */
  lines?: number;
  /** Object key of the result writer's manifest, once there is one. */
  manifestKey?: string;
  error?: { code: string; message: string };
}

/** How one video of a backfill's line ended. Written once per video and attempt; the last one stands. */
export interface BackfillLine extends BackfillReference {
  status: Extract<JobStatus, 'completed' | 'failed' | 'cancelled'>;
  /** Null when the line never became a request. */
  videoId: string | null;
  /** The video was there before this backfill began. */
  alreadyThere: boolean;
  hit?: HitKind;
  stepsRun?: number;
  fullSteps?: number;
  gpuSeconds?: number;
  /** Pico-dollars, decimal; absent for what was already there. */
  cost?: string;
  error?: { code: string; message: string; field?: string };
  endedAt: string;
}
