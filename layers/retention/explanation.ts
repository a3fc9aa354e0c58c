import type { Entry, EntryState as StoredState, Job } from '#core/generation.ts';
import type { ValueEstimate } from '#core/retention/estimate-value.ts';
import { EVICTION_GRACE_MILLISECONDS, TOMBSTONE_MILLISECONDS } from '#core/retention/retention.ts';
import type { LeavingReason, Verdict } from '#core/retention/retention-run.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';

/** Why an entry stays or leaves, in numbers. Dollars are estimates and a month's. */
export interface Explanation {
  entryId: string;
  /** `none`: the cache has no record of it. */
  state: StoredState | 'none';
  verdict: Verdict | 'superseded' | 'gone';
  /** One sentence for each thing that decides, or would. */
  because: string[];
  /** Of a READY entry. */
  numbers?: EntryNumbers;
  /** Of one that is leaving or gone, as far as is known. ISO 8601. */
  left?: { at?: string; reason?: LeavingReason; latentGoneAt?: string; recordGoneAt?: string };
  /** Of one that is not in the cache: the job that it was made by, when there is one. */
  job?: { status: Job['status']; createdAt: string; completedAt?: string; deletedAt?: string };
  /** What must change for another verdict. */
  wouldChange?: {
    /** Kept until it has not been hit for so long, by what is known now; null when it would keep for years. */
    unusedSeconds: number | null;
    /** Rent at which it would leave, dollars a month. */
    rentPerMonthUsd: number;
    /** Hits a month from which it stays; null where a hit saves nothing. */
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
  generation: number;
  marginEvaluations: number;
  secondsPerEvaluation: number;
  dollarsPerHit: number;
  hitsPerMonth: number;
  valuePerMonthUsd: number;
  rentPerMonthUsd: { latent: number; vectors: number; scan: number; item: number; total: number };
  density: number;
  breakEvenSeconds: number;
  storageClass: StorageClass;
  /** Where its latent would be cheaper, if anywhere. */
  cheaperIn: StorageClass | null;
  queriesPerMonth: number;
  vectorsInIndex: number;
}

/** What decided, in a sentence. */
export function sentenceOf(
  verdict: Verdict,
  { valuePerMonth, rentPerMonth }: ValueEstimate,
): string {
  const amounts = `its hits are expected to save $${short(valuePerMonth)} a month, its rent is $${short(rentPerMonth)}`;
  switch (verdict) {
    case 'pinned':
      return `it is pinned: ${amounts}`;
    case 'obsolete':
      return 'it was made by another model than the one that is served';
    case 'rent':
      return `${amounts}: it does not pay`;
    case 'budget':
      return `${amounts}: it pays, but less for each dollar than what fills the budget`;
    case 'move':
      return `${amounts}: it pays, and its latent would be cheaper in another storage class`;
    default:
      return `${amounts}: it pays`;
  }
}

function short(usd: number): string {
  return usd.toPrecision(3);
}

/** What is known of an entry that is not READY. */
export function explainAbsence(entryId: string, entry: Entry | null, job: Job | null): Explanation {
  const video = job === null ? {} : { job: factsOf(job) };
  if (entry === null) {
    const why =
      job === null
        ? 'there is no record of it: it was never made, or it left more than a day ago and its job is gone'
        : job.status === 'completed'
          ? 'its video was made; its entry left more than a day ago, was never stored (cache mode, exact hit), or was removed by hand'
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
        ? 'it was removed by hand, with its video'
        : `it left for its ${REASONS[reason]}`,
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
  rent: 'rent: its hits were expected to save less',
  budget: 'rank: what stayed pays more for each dollar of the budget',
  duplicate: 'double: another entry serves the same requests as well',
  obsolete: 'model, which is no longer served',
  'latent-missing': 'latent, which is not there',
  superseded: 'successor: its prompt and seed were made again with cache mode refresh',
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
