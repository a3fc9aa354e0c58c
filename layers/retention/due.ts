import type { DollarRates } from '#core/costs/charges.ts';
import { SECONDS_PER_MONTH } from '#core/retention/estimate-value.ts';
import type { EvictState, LastPass } from './pass-state.ts';

/** Of the rent that is evaluated, what evictionPass it may cost. */
const MOST_SHARE_OF_RENT = 0.05;

const DAY_SECONDS = 24 * 3600;
const LEAST_PERIOD_SECONDS = DAY_SECONDS;
const LONGEST_PERIOD_SECONDS = 30 * DAY_SECONDS;

/** Schedules start a little early or late: what is due within this time is due. */
const EARLY_SECONDS = 600;

/** An entry in the index, with attribute names; a read unit of an index query is 8 KB. */
const ENTRY_BYTES = 500;
const READ_UNIT_BYTES = 8192;
const SEGMENT_READS = 16;
/** Turn, progress, model and record of a pass that is not interrupted. */
const WRITE_UNITS = 200;
const FUNCTION_GIGABYTES = 1769 / 1024;

/** Dollars that a pass like the last one costs: reading the index for each phase, and computing. */
export function costOfPass({ entries, seconds, phases }: LastPass, rates: DollarRates): number {
  const readUnits = phases * (SEGMENT_READS + (entries * ENTRY_BYTES) / READ_UNIT_BYTES);
  return (
    readUnits * rates('dynamodb.read-unit') +
    WRITE_UNITS * rates('dynamodb.write-unit') +
    seconds * FUNCTION_GIGABYTES * rates('lambda.gb-second.x86_64')
  );
}

/**
 * How long the cache is left alone after a pass: a day, or longer where passes would cost more than a
 * twentieth of the rent that they evaluate, a month at most.
 */
export function periodSeconds(last: LastPass, rates: DollarRates): number {
  const { rentPerMonthUsd } = last;
  const months = costOfPass(last, rates) / (MOST_SHARE_OF_RENT * rentPerMonthUsd);
  if (!(rentPerMonthUsd > 0)) return LEAST_PERIOD_SECONDS;
  return Math.min(
    LONGEST_PERIOD_SECONDS,
    Math.max(LEAST_PERIOD_SECONDS, months * SECONDS_PER_MONTH),
  );
}

/**
 * Epoch milliseconds when the cache is to be evaluated again; one that was begun is to be finished now.
 */
export function nextPassAt({ last, pass }: EvictState, rates: DollarRates): number {
  if (pass !== null || last === null) return 0;
  return last.startedAt + (periodSeconds(last, rates) - EARLY_SECONDS) * 1000;
}
