import { dollarRates } from '#core/charges.ts';
import { dayOf } from '#core/day.ts';
import { InvalidInputError } from '#core/errors.ts';
import type { Entry, EntryState as StoredState, Job } from '#core/generation.ts';
import { VIDEO_ID_PATTERN } from '#core/identity.ts';
import { likenessOf } from '#core/likeness.ts';
import { SECONDS_PER_MONTH, type Appraisal, type PolicyContext } from '#core/policy/appraise.ts';
import { decayedTo } from '#core/policy/decay.ts';
import type { EntryState } from '#core/policy/entry-state.ts';
import { nameOfClass } from '#core/policy/reuse-class.ts';
import { bookOn } from '#core/prices.ts';
import { EVICTION_GRACE_MILLISECONDS, TOMBSTONE_MILLISECONDS } from '#core/retention.ts';
import type { EvictionReason, Verdict } from '#core/retention-run.ts';
import type { StorageClass } from '#core/storage-class.ts';
import type { WeighedEntry } from '#core/weighed-entry.ts';
import type { RetentionTable } from '#stores/retention-table.ts';
import type { Table } from '#stores/table.ts';
import { betterClass } from './better-class.ts';
import { DensityHistogram } from './density-histogram.ts';
import { gpuSecondUsd, type EvictSettings } from './evict-settings.ts';
import { weigh } from './measure.ts';
import { readState } from './pass-state.ts';
import { Pass } from './pass.ts';

export interface ExplainStores {
  table: Pick<Table, 'getEntry' | 'getJob'>;
  retention: Pick<RetentionTable, 'getState'>;
}

/** Why an entry stays or leaves, in numbers. Dollars are estimates and a month's. */
export interface Explanation {
  entryId: string;
  /** `none`: the cache has no record of it. */
  state: StoredState | 'none';
  verdict: Verdict | 'gone';
  /** One sentence for each thing that decides, or would. */
  because: string[];
  /** Of a READY entry. */
  numbers?: EntryNumbers;
  /** Of one that is leaving or gone, as far as is known. ISO 8601. */
  left?: { at?: string; reason?: EvictionReason; latentGoneAt?: string; recordGoneAt?: string };
  /** The video that it was made with, when there is one. */
  job?: { status: Job['status']; createdAt: string; completedAt?: string; deletedAt?: string };
  /** What must change for another verdict. */
  wouldChange?: {
    /** Kept until it has not been hit for so long, by what is known now; null when it would stay for years. */
    unusedSeconds: number | null;
    /** Rent at which it would leave, dollars a month. */
    rentPerMonthUsd: number;
    /** Hits a month from which it stays. */
    hitsPerMonth: number;
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

/**
 * The numbers behind the verdict about an entry, by what the last pass has learned and the prices of
 * today. Nothing is changed.
 *
 * @throws InvalidInputError when no entry can have this id.
 */
export async function explainEntry(
  { table, retention }: ExplainStores,
  settings: EvictSettings,
  entryId: string,
  now: number,
): Promise<Explanation> {
  if (!VIDEO_ID_PATTERN.test(entryId)) {
    throw new InvalidInputError(
      'explain',
      `${JSON.stringify(entryId)} is no id of an entry`,
      'give the id of a video, such as those of flexcache cache list',
    );
  }
  const [entry, job] = await Promise.all([table.getEntry(entryId), table.getJob(entryId)]);
  const video = job === null ? {} : { job: factsOf(job) };
  if (entry?.state !== 'READY') return { ...explainAbsence(entryId, entry, job), ...video };
  const state = readState(await retention.getState());
  // What was learned, as it is now: an entry is weighed alone.
  const pass = Pass.after({ ...state, pass: null }, 'explain', now);
  const rates = dollarRates(bookOn(settings.book, dayOf(new Date(now).toISOString())));
  const census = state.last?.census;
  const lastPass = census === undefined ? pass : new Pass({ ...pass.toJSON(), census }, 0);
  const context = lastPass.context(rates, gpuSecondUsd(settings, rates));
  const weighed = weigh(weighedEntryOf(entry), lastPass, settings, context);
  if (weighed === null) {
    return {
      entryId,
      state: 'READY',
      verdict: 'keep',
      because: ['its record has numbers that cannot be: nothing can be said of it, and it stays'],
      ...video,
    };
  }
  const { appraisal } = weighed;
  const cheaperIn = settings.movesStorageClasses ? betterClass(weighed, context) : null;
  const cutOff = state.last?.cutOff ?? null;
  const isLeased = entry.leaseUntil !== undefined && entry.leaseUntil > now;
  const isObsolete =
    settings.onlyCompatibilityKey !== null &&
    settings.onlyCompatibilityKey !== entry.compatibilityKey;
  const isOverBudget = cutOff !== null && DensityHistogram.binOf(appraisal.density) < cutOff.bin;
  const reason: Verdict =
    appraisal.verdict === 'pinned'
      ? 'pinned'
      : isObsolete
        ? 'obsolete'
        : appraisal.verdict === 'rent'
          ? 'rent'
          : isOverBudget
            ? 'budget'
            : cheaperIn !== null
              ? 'move'
              : 'keep';
  const isLeaving = reason === 'obsolete' || reason === 'rent' || reason === 'budget';
  const verdict = isLeaving && isLeased ? 'leased' : reason;
  return {
    entryId,
    state: 'READY',
    verdict,
    because: [
      sentenceOf(reason, appraisal),
      ...(verdict === 'leased' ? ['a request holds a lease on it: it stays until that ends'] : []),
      ...(state.last === null ? ['no pass has learned anything yet'] : []),
    ],
    numbers: numbersOf(weighed.state, appraisal, context, cheaperIn),
    wouldChange: {
      unusedSeconds: keptUntilAge(appraisal, context),
      rentPerMonthUsd: appraisal.valuePerMonth,
      hitsPerMonth:
        appraisal.dollarsPerHit > 0 ? appraisal.rentPerMonth / appraisal.dollarsPerHit : Infinity,
    },
    ...video,
  };
}

function sentenceOf(verdict: Verdict, { valuePerMonth, rentPerMonth }: Appraisal): string {
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

function explainAbsence(entryId: string, entry: Entry | null, job: Job | null): Explanation {
  if (entry === null) {
    const why =
      job === null
        ? 'there is no record of it: it was never made, or it left more than a day ago and its job is gone'
        : job.status === 'completed'
          ? 'its video was made; its entry left more than a day ago, was never stored (cache mode, exact hit), or was removed by hand'
          : `its video is ${job.status}: there is no entry yet`;
    return { entryId, state: 'none', verdict: 'gone', because: [why] };
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
  };
}

const REASONS: Readonly<Record<EvictionReason, string>> = {
  rent: 'rent: its hits were expected to save less',
  budget: 'rank: what stayed pays more for each dollar of the budget',
  duplicate: 'double: another entry serves the same requests as well',
  obsolete: 'model, which is no longer served',
  'latent-missing': 'latent, which is not there',
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

function weighedEntryOf(entry: Entry): WeighedEntry {
  return {
    ...entry,
    vectors: Object.values(entry.vectors).filter((vector) => vector !== null).length,
    likeness: likenessOf(entry, entry.vectors.whole),
    prompt: entry.promptKey.slice(0, 16),
    compatibility: entry.compatibilityKey.slice(0, 16),
  };
}

function numbersOf(
  state: EntryState,
  appraisal: Appraisal,
  { now, queriesPerMonth, vectorsInIndex }: PolicyContext,
  cheaperIn: StorageClass | null,
): EntryNumbers {
  return {
    ageSeconds: appraisal.age,
    reuseClass: nameOfClass(appraisal.reuseClass),
    hits: state.hits,
    decayedHits: decayedTo(state.decayedHits, now),
    decayedCredit: decayedTo(state.decayedCredit, now),
    neighbours: state.neighbours,
    generation: state.generation,
    marginEvaluations: appraisal.margin,
    secondsPerEvaluation: state.secondsPerEvaluation,
    dollarsPerHit: appraisal.dollarsPerHit,
    hitsPerMonth: appraisal.rate,
    valuePerMonthUsd: appraisal.valuePerMonth,
    rentPerMonthUsd: appraisal.rent,
    density: appraisal.density,
    breakEvenSeconds: appraisal.breakEvenSeconds,
    storageClass: state.storageClass,
    cheaperIn,
    queriesPerMonth,
    vectorsInIndex,
  };
}

/** The age at which the learned rate falls below what pays the rent, to a tenth. */
function keptUntilAge(
  { reuseClass, age, dollarsPerHit, rentPerMonth }: Appraisal,
  { model }: PolicyContext,
): number | null {
  const longest = 10 * 365 * 24 * 3600;
  for (let unused = Math.max(60, age); unused < longest; unused *= 1.1) {
    const value = model.rateAt(reuseClass, unused) * SECONDS_PER_MONTH * dollarsPerHit;
    if (value <= rentPerMonth) return Math.round(unused);
  }
  return null;
}
