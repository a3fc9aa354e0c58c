import type { Entry, EntryStatus, Job } from '#core/generation.ts';
import type { ValueEstimate } from '#core/retention/estimate-value.ts';
import { EVICTION_GRACE_MILLISECONDS, TOMBSTONE_MILLISECONDS } from '#core/retention/retention.ts';
import type { LeavingReason, Verdict } from '#core/retention/retention-run.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';

/** Why an entry stays or is evicted, in numbers. Dollars are monthly estimates. */
export interface Explanation {
  entryId: string;
  /** `none`: the cache has no record of it. */
  state: EntryStatus | 'none';
  verdict: Verdict | 'superseded' | 'gone';
  /** One sentence per deciding factor. */
  because: string[];
  /** For a READY entry. */
  numbers?: EntryNumbers;
  /** For an entry that is being evicted or gone, as far as known. ISO 8601. */
  left?: { at?: string; reason?: LeavingReason; latentGoneAt?: string; recordGoneAt?: string };
  /** For an entry that is not in the cache: the job that made it, if any. */
  job?: { status: Job['status']; createdAt: string; completedAt?: string; deletedAt?: string };
  /** What would change the verdict. */
  wouldChange?: {
    /**
     * Seconds without a hit until it is evicted, by current knowledge; null if that takes years.
     */
    unusedSeconds: number | null;
    /** Monthly rent in dollars above which it would be evicted. */
    rentPerMonthUsd: number;
    /** Hits a month above which it stays; null if a hit saves nothing. */
    hitsPerMonth: number | null;
  };
}

export interface EntryNumbers {
  ageSeconds: number;
  reuseClass: string;
  hits: number;
  decayedHits: number;
  decayedCredit: number;
  neighbours: number;
  reuseDepth: number;
  marginEvaluations: number;
  secondsPerEvaluation: number;
  dollarsPerHit: number;
  hitsPerMonth: number;
  valuePerMonthUsd: number;
  rentPerMonthUsd: { latent: number; vectors: number; scan: number; item: number; total: number };
  density: number;
  breakEvenSeconds: number;
  storageClass: StorageClass;
  /** Cheaper storage class for its latent, if any. */
  cheaperIn: StorageClass | null;
  queriesPerMonth: number;
  vectorsInIndex: number;
}

/** Returns the reason for a verdict in one sentence. */
export function sentenceOf(
  verdict: Verdict,
  { valuePerMonth, rentPerMonth }: ValueEstimate,
): string {
  const amounts = `its hits are expected to save $${short(valuePerMonth)} a month, its rent is $${short(rentPerMonth)}`;
  switch (verdict) {
    case 'pinned':
      return `it is pinned: ${amounts}`;
    case 'obsolete':
      return 'it was made by a model that is no longer served';
    case 'rent':
      return `${amounts}: it does not pay`;
    case 'budget':
      return `${amounts}: it pays, but less per dollar than the entries within the budget`;
    case 'move':
      return `${amounts}: it pays, and its latent would be cheaper in another storage class`;
    default:
      return `${amounts}: it pays`;
  }
}

function short(usd: number): string {
  return usd.toPrecision(3);
}

/** Explains an entry that is not READY. */
export function explainAbsence(entryId: string, entry: Entry | null, job: Job | null): Explanation {
  const video = job === null ? {} : { job: factsOf(job) };
  if (entry === null) {
    const why =
      job === null
        ? 'there is no record of it: it was never made, or it was evicted more than a day ago and its job is gone'
        : job.status === 'completed'
          ? 'its video was made; its entry was evicted more than a day ago, never stored (cache mode, exact hit), or removed manually'
          : `its video is ${job.status}: there is no entry yet`;
    return { entryId, state: 'none', verdict: 'gone', because: [why], ...video };
  }
  const { state, leavingAt, evictionReason: reason } = entry;
  const isTombstone = state === 'TOMBSTONE';
  const after = (milliseconds: number) => new Date(leavingAt! + milliseconds).toISOString();
  return {
    entryId,
    state,
    verdict: reason ?? 'gone',
    because: [
      reason === undefined
        ? 'it was removed manually, with its video'
        : `it was evicted: ${REASONS[reason]}`,
    ],
    left: {
      ...(reason !== undefined && { reason }),
      ...(leavingAt !== undefined && {
        at: after(0),
        ...(isTombstone
          ? { recordGoneAt: after(TOMBSTONE_MILLISECONDS) }
          : { latentGoneAt: after(EVICTION_GRACE_MILLISECONDS) }),
      }),
    },
    ...video,
  };
}

const REASONS: Readonly<Record<LeavingReason, string>> = {
  rent: 'its expected savings were below its rent',
  budget: 'the entries within the budget save more per dollar',
  duplicate: 'it is a duplicate: another entry serves the same requests',
  obsolete: 'its model is no longer served',
  'latent-missing': 'its latent is missing',
  superseded: 'cache mode refresh replaced it: same prompt and seed',
};

function factsOf({
  status,
  createdAt,
  completedAt,
  deletedAt,
}: Job): NonNullable<Explanation['job']> {
  return {
    status,
    createdAt,
    ...(completedAt !== undefined && { completedAt }),
    ...(deletedAt !== undefined && { deletedAt }),
  };
}
