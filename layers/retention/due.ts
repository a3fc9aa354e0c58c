import type { DollarRates } from '#core/costs/charges.ts';
import { SECONDS_PER_MONTH } from '#core/retention/estimate-value.ts';
import type { EvictState, LastPass } from './pass-state.ts';

/** Maximum cost of a pass, as a share of the rent that it evaluates. */
const MAX_SHARE_OF_RENT = 0.05;

const DAY_SECONDS = 24 * 3600;
const MIN_PERIOD_SECONDS = DAY_SECONDS;
const MAX_PERIOD_SECONDS = 30 * DAY_SECONDS;

/** Tolerance for schedules: a pass due within this time is due. */
const EARLY_SECONDS = 600;

/** Bytes of an entry in the index, with attribute names; a read unit of an index query is 8 KB. */
const ENTRY_BYTES = 500;
const READ_UNIT_BYTES = 8192;
const SEGMENT_READS = 16;
/** Write units of an uninterrupted pass: turn, progress, model and record. */
const WRITE_UNITS = 200;
const FUNCTION_GIGABYTES = 1769 / 1024;

/** Computes the dollars of a pass like the last one: index reads per phase, and compute. */
export function costOfPass({ entries, seconds, phases }: LastPass, rates: DollarRates): number {
  const readUnits = phases * (SEGMENT_READS + (entries * ENTRY_BYTES) / READ_UNIT_BYTES);
  return (
    readUnits * rates('dynamodb.read-unit') +
    WRITE_UNITS * rates('dynamodb.write-unit') +
    seconds * FUNCTION_GIGABYTES * rates('lambda.gb-second.x86_64')
  );
}

/**
 * Computes the time between passes: a day, or longer if passes would cost more than a twentieth of
 * the rent that they evaluate; a month at most.
 */
export function periodSeconds(last: LastPass, rates: DollarRates): number {
  const { rentPerMonthUsd } = last;
  const months = costOfPass(last, rates) / (MAX_SHARE_OF_RENT * rentPerMonthUsd);
  if (!(rentPerMonthUsd > 0)) return MIN_PERIOD_SECONDS;
  return Math.min(MAX_PERIOD_SECONDS, Math.max(MIN_PERIOD_SECONDS, months * SECONDS_PER_MONTH));
}

/** Computes the epoch milliseconds of the next pass; an unfinished pass is due now. */
export function nextPassAt({ last, pass }: EvictState, rates: DollarRates): number {
  if (pass !== null || last === null) return 0;
  return last.startedAt + (periodSeconds(last, rates) - EARLY_SECONDS) * 1000;
}
