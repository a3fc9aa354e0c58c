import { dollarRates } from '#core/costs/charges.ts';
import { dayOf } from '#core/day.ts';
import { InvalidInputError } from '#core/errors.ts';
import type { Entry } from '#core/generation.ts';
import { packageDigits, VIDEO_ID_PATTERN } from '#core/requests/identity.ts';
import { signatureOf } from '#core/retention/signature.ts';
import {
  SECONDS_PER_MONTH,
  type ValueEstimate,
  type PolicyContext,
} from '#core/retention/estimate-value.ts';
import { decayedTo } from '#core/retention/decay.ts';
import type { ReuseStats } from '#core/retention/reuse-stats.ts';
import { nameOfClass } from '#core/retention/reuse-class.ts';
import { bookOn } from '#core/pricing/prices.ts';
import type { Verdict } from '#core/retention/retention-run.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import type { RetentionTable } from '#ports/retention-table.ts';
import type { Table } from '#ports/table.ts';
import { cheapestClassOf, isOfAnotherPackage } from './decide.ts';
import { DensityHistogram } from './density-histogram.ts';
import { gpuSecondUsd, type EvictSettings } from './evict-settings.ts';
import { explainAbsence, sentenceOf, type EntryNumbers, type Explanation } from './explanation.ts';
import { evaluate } from './measure.ts';
import { readState, type EvictState } from './pass-state.ts';
import { Pass, type EvaluatedEntry } from './pass.ts';

export interface ExplainStores {
  table: Pick<Table, 'getEntry' | 'getJob'>;
  retention: Pick<RetentionTable, 'getState'>;
}

/**
 * Explains the verdict on an entry with today's prices and what the last pass learned. Changes
 * nothing. Only a pass detects duplicates.
 *
 * @throws InvalidInputError if the id is malformed
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
      `${JSON.stringify(entryId)} is not an entry id`,
      'give an id from flexcache cache ls',
    );
  }
  const [entry, job] = await Promise.all([table.getEntry(entryId), table.getJob(entryId)]);
  if (entry?.state !== 'READY') return explainAbsence(entryId, entry, job);
  const state = readState(await retention.getState());
  const pass = knownBy(state, candidateOf(entry), now);
  const rates = dollarRates(bookOn(settings.book, dayOf(new Date(now).toISOString())));
  const context = pass.context(rates, gpuSecondUsd(settings, rates));
  const evaluated = evaluate(candidateOf(entry), pass, settings, context);
  if (evaluated === null) {
    const because = ['its record has invalid values, so no policy can evaluate it'];
    return { entryId, state: 'READY', verdict: 'keep', because };
  }
  const { estimate } = evaluated;
  const cheaperIn = settings.movesStorageClasses ? cheapestClassOf(evaluated, context) : null;
  const reason = verdictOf(evaluated, settings, state, cheaperIn);
  const isLeaving = reason === 'obsolete' || reason === 'rent' || reason === 'budget';
  const isHeld = isLeaving && entry.leaseUntil !== undefined && entry.leaseUntil > now;
  return {
    entryId,
    state: 'READY',
    verdict: isHeld ? 'leased' : reason,
    because: [
      sentenceOf(reason, estimate),
      ...(isHeld ? ['a request holds a lease on it: it stays until the lease ends'] : []),
      ...(state.last === null ? ['no eviction pass has run yet'] : []),
    ],
    numbers: numbersOf(evaluated.state, estimate, context, cheaperIn),
    wouldChange: {
      unusedSeconds: keptUntilAge(estimate, context),
      rentPerMonthUsd: estimate.valuePerMonth,
      hitsPerMonth:
        estimate.dollarsPerHit > 0 ? estimate.rentPerMonth / estimate.dollarsPerHit : null,
    },
  };
}

/**
 * Returns what the last pass learned, as of now; before the first pass, only what this entry shows.
 */
function knownBy(state: EvictState, entry: EvictionCandidate, now: number): Pass {
  const pass = Pass.after({ ...state, pass: null }, 'explain', now);
  if (state.last !== null)
    return new Pass({ ...pass.toJSON(), cacheStats: state.last.cacheStats }, 0);
  const createdAt = Date.parse(entry.createdAt);
  if (Number.isFinite(createdAt)) pass.cacheStats.add(entry, createdAt, now, now);
  return pass;
}

function verdictOf(
  { entry, estimate }: EvaluatedEntry,
  { onlyCompatibilityKey }: EvictSettings,
  { last }: EvictState,
  cheaperIn: StorageClass | null,
): Verdict {
  if (estimate.verdict === 'pinned') return 'pinned';
  if (isOfAnotherPackage(entry, onlyCompatibilityKey)) return 'obsolete';
  if (estimate.verdict === 'rent') return 'rent';
  const cutOff = last?.cutOff ?? null;
  if (cutOff !== null && DensityHistogram.binOf(estimate.density) < cutOff.bin) return 'budget';
  return cheaperIn === null ? 'keep' : 'move';
}

function candidateOf(entry: Entry): EvictionCandidate {
  return {
    ...entry,
    vectors: Object.values(entry.vectors).filter((vector) => vector !== null).length,
    signature: signatureOf(entry, entry.vectors.whole),
    prompt: entry.promptKey.slice(0, 16),
    compatibility: packageDigits(entry.compatibilityKey),
  };
}

function numbersOf(
  state: ReuseStats,
  estimate: ValueEstimate,
  { now, queriesPerMonth, vectorsInIndex }: PolicyContext,
  cheaperIn: StorageClass | null,
): EntryNumbers {
  return {
    ageSeconds: estimate.age,
    reuseClass: nameOfClass(estimate.reuseClass),
    hits: state.hits,
    decayedHits: decayedTo(state.decayedHits, now),
    decayedCredit: decayedTo(state.decayedCredit, now),
    neighbours: state.neighbours,
    reuseDepth: state.reuseDepth,
    marginEvaluations: estimate.margin,
    secondsPerEvaluation: state.secondsPerEvaluation,
    dollarsPerHit: estimate.dollarsPerHit,
    hitsPerMonth: estimate.rate,
    valuePerMonthUsd: estimate.valuePerMonth,
    rentPerMonthUsd: estimate.rent,
    density: estimate.density,
    breakEvenSeconds: estimate.breakEvenSeconds,
    storageClass: state.storageClass,
    cheaperIn,
    queriesPerMonth,
    vectorsInIndex,
  };
}

/** Computes the age, within a tenth, beyond which expected hits no longer cover the rent. */
function keptUntilAge(
  { reuseClass, age, dollarsPerHit, rentPerMonth }: ValueEstimate,
  { model }: PolicyContext,
): number | null {
  const longest = 10 * 365 * 24 * 3600;
  for (let unused = Math.max(60, age); unused < longest; unused *= 1.1) {
    const value = model.bestRateFrom(reuseClass, unused) * SECONDS_PER_MONTH * dollarsPerHit;
    if (value <= rentPerMonth) return Math.round(unused);
  }
  return null;
}
