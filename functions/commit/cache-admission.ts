import { dollarRates } from '#core/costs/charges.ts';
import { dayOf } from '#core/day.ts';
import { entryBytes } from '#core/costs/entry-rent.ts';
import { LOOKUP_PARTS, type Entry } from '#core/generation.ts';
import { addsLittle } from '#core/retention/admission.ts';
import type { PolicyContext } from '#core/retention/estimate-value.ts';
import { bookOn } from '#core/pricing/prices.ts';
import type { RetentionTable } from '#ports/retention-table.ts';
import { gpuSecondUsd, type EvictSettings } from '#retention/evict-settings.ts';
import { NO_STATE, readState, type EvictState } from '#retention/pass-state.ts';
import { Pass } from '#retention/pass.ts';

/** What is asked about an entry before it is stored. */
export interface AdmissionQuestion {
  made: Entry;
  /** Of the generation, as the table has them; null for one that is gone. */
  donors: readonly (Entry | null)[];
  /** Whether the hit kept its one donor as a whole. */
  isWhole: boolean;
  fullSteps: number;
}

/** Whether the entry adds so little that it is not stored. */
export type AdmissionRule = (question: AdmissionQuestion) => Promise<boolean>;

export interface AdmissionOptions {
  retention: Pick<RetentionTable, 'getState'>;
  settings: Pick<EvictSettings, 'book' | 'machine' | 'storageClass'>;
  /** Epoch milliseconds. */
  now?: () => number;
}

/** Passes are hours apart: what the last one learned is not read for every video. */
const KNOWN_FOR_MILLISECONDS = 10 * 60_000;

/**
 * The rule of `addsLittle` by what the last pass over the cache has learned. What cannot be read says
 * nothing, and a video that was made is not lost for that: it is weighed like one before the first pass.
 */
export function admissionRule({
  retention,
  settings,
  now = Date.now,
}: AdmissionOptions): AdmissionRule {
  let known: { state: EvictState; until: number } | undefined;
  const learned = async (): Promise<EvictState> => {
    if (known === undefined || known.until <= now()) {
      const state = await retention.getState().then(readState, () => NO_STATE);
      known = { state, until: now() + KNOWN_FOR_MILLISECONDS };
    }
    return known.state;
  };
  return async ({ made, donors, isWhole, fullSteps }) => {
    const [donor] = donors;
    if (!isWhole || donor === undefined || donor === null || donor.state !== 'READY') return false;
    const context = contextOf(await learned(), settings, now());
    const { vectors, reuseDepth, stepsRun, latentBytes, neighbours = 0 } = made;
    const parts = LOOKUP_PARTS.filter((part) => vectors[part] !== null).length;
    const state = {
      createdAt: context.now,
      lastHitAt: null,
      previousHitAt: null,
      hits: 0,
      decayedHits: 0,
      decayedCredit: 0,
      neighbours,
      reuseDepth,
      stepsRun,
      secondsPerEvaluation: (made.denoiseSeconds ?? made.gpuSeconds) / Math.max(1, stepsRun),
      latentBytes,
      storageClass: settings.storageClass,
      ...entryBytes(vectors.whole.length, parts),
      isPinned: false,
    };
    return addsLittle({ state, vectors, fullSteps, donor }, context);
  };
}

function contextOf(
  state: EvictState,
  settings: AdmissionOptions['settings'],
  now: number,
): PolicyContext {
  const begun = Pass.after({ ...state, pass: null }, 'admission', now);
  const { last } = state;
  const pass =
    last === null
      ? begun
      : new Pass({ ...begun.toJSON(), cacheStats: last.cacheStats }, last.startedAt);
  const rates = dollarRates(bookOn(settings.book, dayOf(new Date(now).toISOString())));
  return pass.context(rates, gpuSecondUsd(settings, rates));
}
