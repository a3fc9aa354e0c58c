import type { BackfillDefaults, BackfillFormat } from '#core/requests/backfill.ts';
import type { ErrorCode } from '#core/errors.ts';
import { HIT_KINDS, type HitKind } from '#core/generation.ts';
import type { RequestFields } from '#readers/request-line.ts';

/** Where the lines of a backfill come from. */
export type BackfillSource =
  { prompts: RequestFields[] } | { inputKey: string; format: BackfillFormat };

/** A backfill that is only asked about. */
export interface PredictionQuestion {
  tenant: string;
  source: BackfillSource;
  defaults: BackfillDefaults;
  /** Videos in progress at once: so many are begun before the first of them can be a donor. */
  concurrency: number;
  /** Pico-dollars a day in digits; null is no limit. */
  budgetPerDay: string | null;
}

/** What a backfill would come to, for all of its lines. Money is pico-dollars in digits: it travels as JSON. */
export interface Prediction {
  lines: number;
  /** Lines that ask for nothing that could be made. */
  rejected: number;
  /** Lines that admission would refuse as things are, by the code of the refusal. */
  refused: Partial<Record<ErrorCode, number>>;
  /** Lines whose videos are there already. */
  alreadyThere: number;
  /** Lines that were looked up; the others are taken to be like them. */
  lookedAt: number;
  hits: Record<HitKind, number>;
  /** Network evaluations. */
  stepsRun: number;
  stepsFull: number;
  cost: string;
  costWithoutCache: string;
  /** Videos of this tenant whose GPU time the money rests on; 0 when none was measured and it is assumed. */
  measuredVideos: number;
}

/** A prediction with nothing in it. */
export function noHits(): Record<HitKind, number> {
  return Object.fromEntries(HIT_KINDS.map((hit) => [hit, 0])) as Record<HitKind, number>;
}
