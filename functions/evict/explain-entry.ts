import { dollarRates } from '#core/charges.ts';
import { dayOf } from '#core/day.ts';
import { InvalidInputError } from '#core/errors.ts';
import type { Entry } from '#core/generation.ts';
import { packageDigits, VIDEO_ID_PATTERN } from '#core/identity.ts';
import { likenessOf } from '#core/likeness.ts';
import { SECONDS_PER_MONTH, type Appraisal, type PolicyContext } from '#core/policy/appraise.ts';
import { decayedTo } from '#core/policy/decay.ts';
import type { EntryState } from '#core/policy/entry-state.ts';
import { nameOfClass } from '#core/policy/reuse-class.ts';
import { bookOn } from '#core/prices.ts';
import type { Verdict } from '#core/retention-run.ts';
import type { StorageClass } from '#core/storage-class.ts';
import type { WeighedEntry } from '#core/weighed-entry.ts';
import type { RetentionTable } from '#stores/retention-table.ts';
import type { Table } from '#stores/table.ts';
import { cheaperClassOf, isOfAnotherPackage } from './decide.ts';
import { DensityHistogram } from './density-histogram.ts';
import { gpuSecondUsd, type EvictSettings } from './evict-settings.ts';
import { explainAbsence, sentenceOf, type EntryNumbers, type Explanation } from './explanation.ts';
import { weigh } from './measure.ts';
import { readState, type EvictState } from './pass-state.ts';
import { Pass, type Weighed } from './pass.ts';

export interface ExplainStores {
  table: Pick<Table, 'getEntry' | 'getJob'>;
  retention: Pick<RetentionTable, 'getState'>;
}

/**
 * The numbers behind the verdict about an entry, by what the last pass has learned and the prices of
 * today. Nothing is changed. Whether another entry doubles it is found out by a pass alone.
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
      'give the id of a video, such as those of flexcache cache ls',
    );
  }
  const [entry, job] = await Promise.all([table.getEntry(entryId), table.getJob(entryId)]);
  if (entry?.state !== 'READY') return explainAbsence(entryId, entry, job);
  const state = readState(await retention.getState());
  const pass = knownBy(state, weighedEntryOf(entry), now);
  const rates = dollarRates(bookOn(settings.book, dayOf(new Date(now).toISOString())));
  const context = pass.context(rates, gpuSecondUsd(settings, rates));
  const weighed = weigh(weighedEntryOf(entry), pass, settings, context);
  if (weighed === null) {
    const because = ['its record has numbers that cannot be: no policy can say anything of it'];
    return { entryId, state: 'READY', verdict: 'keep', because };
  }
  const { appraisal } = weighed;
  const cheaperIn = settings.movesStorageClasses ? cheaperClassOf(weighed, context) : null;
  const reason = verdictOf(weighed, settings, state, cheaperIn);
  const isLeaving = reason === 'obsolete' || reason === 'rent' || reason === 'budget';
  const isHeld = isLeaving && entry.leaseUntil !== undefined && entry.leaseUntil > now;
  return {
    entryId,
    state: 'READY',
    verdict: isHeld ? 'leased' : reason,
    because: [
      sentenceOf(reason, appraisal),
      ...(isHeld ? ['a request holds a lease on it: it stays until that ends'] : []),
      ...(state.last === null ? ['no pass has learned anything yet'] : []),
    ],
    numbers: numbersOf(weighed.state, appraisal, context, cheaperIn),
    wouldChange: {
      unusedSeconds: keptUntilAge(appraisal, context),
      rentPerMonthUsd: appraisal.valuePerMonth,
      hitsPerMonth:
        appraisal.dollarsPerHit > 0 ? appraisal.rentPerMonth / appraisal.dollarsPerHit : null,
    },
  };
}

/** What the last pass has learned, as it is now; before the first, what this entry alone tells. */
function knownBy(state: EvictState, entry: WeighedEntry, now: number): Pass {
  const pass = Pass.after({ ...state, pass: null }, 'explain', now);
  if (state.last !== null) return new Pass({ ...pass.toJSON(), census: state.last.census }, 0);
  const createdAt = Date.parse(entry.createdAt);
  if (Number.isFinite(createdAt)) pass.census.add(entry, createdAt, now, now);
  return pass;
}

function verdictOf(
  { entry, appraisal }: Weighed,
  { onlyCompatibilityKey }: EvictSettings,
  { last }: EvictState,
  cheaperIn: StorageClass | null,
): Verdict {
  if (appraisal.verdict === 'pinned') return 'pinned';
  if (isOfAnotherPackage(entry, onlyCompatibilityKey)) return 'obsolete';
  if (appraisal.verdict === 'rent') return 'rent';
  const cutOff = last?.cutOff ?? null;
  if (cutOff !== null && DensityHistogram.binOf(appraisal.density) < cutOff.bin) return 'budget';
  return cheaperIn === null ? 'keep' : 'move';
}

function weighedEntryOf(entry: Entry): WeighedEntry {
  return {
    ...entry,
    vectors: Object.values(entry.vectors).filter((vector) => vector !== null).length,
    likeness: likenessOf(entry, entry.vectors.whole),
    prompt: entry.promptKey.slice(0, 16),
    compatibility: packageDigits(entry.compatibilityKey),
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

/** The age from which no hits are expected that pay the rent, to a tenth. */
function keptUntilAge(
  { reuseClass, age, dollarsPerHit, rentPerMonth }: Appraisal,
  { model }: PolicyContext,
): number | null {
  const longest = 10 * 365 * 24 * 3600;
  for (let unused = Math.max(60, age); unused < longest; unused *= 1.1) {
    const value = model.bestRateFrom(reuseClass, unused) * SECONDS_PER_MONTH * dollarsPerHit;
    if (value <= rentPerMonth) return Math.round(unused);
  }
  return null;
}
