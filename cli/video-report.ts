import { costOfJob } from '#core/costs/cost.ts';
import { costReport, type CostReport } from '#core/costs/cost-report.ts';
import { equivalentsRun } from '#core/planning/equivalents.ts';
import { LOOKUP_PARTS } from '#core/generation.ts';
import type {
  Anchor,
  HitKind,
  Job,
  JobResult,
  LookupPart,
  NotStoredReason,
} from '#core/generation.ts';
import type { PromptWarning } from '#core/requests/prompt-warnings.ts';
import { varietyOf, type Variety } from '#core/planning/variety.ts';
import { embeddedPrices } from '#functions/shared/deployed-prices.ts';
import { objectMaskOf, type ObjectMaskManifest } from '#models/object-mask.ts';
import type { ErrorReport } from './error-line.ts';

/** One finished video as `--json` prints it. Its shape is part of the public contract. */
export interface VideoReport {
  id: string;
  status: 'completed';
  prompt: string;
  seed: number;
  /** Null where they are the model's own. */
  guidanceScale: number | null;
  negativePrompt: string | null;
  /** sha256 of the file of its first image; null where it begins with none. */
  image: string | null;
  /** Absolute path of the written file. */
  video: string;
  cache: {
    hit: HitKind;
    donors: { id: string; part: LookupPart; similarity: number }[];
    /** Cosine of the donor used for each part; null where none was used. */
    similarity: Record<LookupPart, number | null>;
    t0: number;
    /** What of the donors was kept to the end; null when that was not recorded. */
    anchor: Anchor | null;
    /** How much another seed would have changed: little where much is reused. */
    variety: Variety;
    /** Whether the model package tells objects from backgrounds: else whole videos alone are reused. */
    parts: boolean;
    /** Whether other videos may start from this one; null when that was not recorded. */
    stored: boolean | null;
    /** Why not; null when it was stored. */
    reason: NotStoredReason | null;
  };
  steps: { run: number; equivalents: number; full: number };
  seconds: JobResult['seconds'];
  bytes: { latent: number; video: number };
  cost: CostReport;
  /** Revision of the model package. */
  model: string;
  /** What of the prompt the model could not take in. */
  warnings: PromptWarning[];
}

/** A video that was not made, or a request that never became one (`id` null). */
export interface FailureReport {
  id: string | null;
  status: 'failed' | 'cancelled';
  prompt: string;
  error: ErrorReport;
  /** Of what was done all the same; null where nothing was begun. */
  cost: CostReport | null;
}

export function videoReport(
  job: Job,
  result: JobResult,
  video: string,
  manifest: ObjectMaskManifest,
): VideoReport {
  const { admission } = result;
  const donors = result.donors.map(({ entryId, part, similarity }) => ({
    id: entryId,
    part,
    similarity,
  }));
  const best = (part: LookupPart): number | null => {
    const similarities = donors
      .filter((donor) => donor.part === part)
      .map((donor) => donor.similarity);
    return similarities.length === 0 ? null : Math.max(...similarities);
  };
  return {
    id: job.videoId,
    status: 'completed',
    prompt: job.prompt,
    seed: job.seed,
    guidanceScale: job.guidanceScale ?? null,
    negativePrompt: job.negativePrompt ?? null,
    image: job.image ?? null,
    video,
    cache: {
      hit: result.hit,
      donors,
      similarity: Object.fromEntries(
        LOOKUP_PARTS.map((part) => [part, best(part)]),
      ) as VideoReport['cache']['similarity'],
      t0: result.startTime,
      anchor: result.anchor ?? null,
      variety: varietyOf(result),
      parts: objectMaskOf(manifest) !== null,
      stored: admission?.stored ?? null,
      reason: admission?.stored === false ? admission.reason : null,
    },
    steps: {
      run: result.stepsRun,
      equivalents: equivalentsRun(result),
      full: result.fullSteps,
    },
    seconds: result.seconds,
    bytes: { latent: result.latentBytes, video: result.videoBytes },
    cost: costOf(job),
    model: job.modelRevision,
    warnings: job.warnings ?? [],
  };
}

export function failureReport(job: Job): FailureReport {
  return {
    id: job.videoId,
    status: job.status === 'cancelled' ? 'cancelled' : 'failed',
    prompt: job.prompt,
    error: {
      code: job.error?.code ?? (job.status === 'cancelled' ? 'cancelled' : 'internal'),
      message: job.error?.message ?? `the video ended as ${job.status}`,
      field: job.error?.field ?? null,
      fix: null,
    },
    cost: costOf(job),
  };
}

/** Of a request that never became a video. */
export function rejection(prompt: string, error: ErrorReport): FailureReport {
  return { id: null, status: 'failed', prompt, error, cost: null };
}

function costOf(job: Job): CostReport {
  return costReport(costOfJob(job, embeddedPrices()));
}
