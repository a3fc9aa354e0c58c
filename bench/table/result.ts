import type { HitKind } from '#core/generation.ts';
import type { Estimate } from '#core/statistics/intervals.ts';
import type { ExecutionProvider } from '#models/execution-provider.ts';
import type { Row } from './rows.ts';
import type { FrechetResult } from './statistics.ts';
import type { FullGeneration, Holdings } from './system.ts';
import type { Tuning } from './tuning.ts';

export const RESULT_FORMAT = 'flexcache-table-row/1';

/** How a row's file writes hits, one letter a request. */
export const HIT_LETTERS: Readonly<Record<HitKind, string>> = {
  exact: 'e',
  whole: 'w',
  near: 'n',
  'object+background': 'p',
  object: 'o',
  background: 'b',
  miss: 'm',
};

/** What a row's file says. */
export interface RowResult {
  format: typeof RESULT_FORMAT;
  row: Row;
  full: FullGeneration;
  createdAt: string;
  machine: string;
  provider: ExecutionProvider;
  /** No video was made: counts alone, nothing of quality. */
  isPlanned: boolean;
  seed: number;
  modelRevision: string;
  /** When the calibration was made that ours runs by; null for others. */
  calibratedAt: string | null;
  tuning: Tuning | null;
  /** Request by request, in the order of the trace. */
  requests: {
    index: number[];
    hits: string;
    evaluations: number[];
    equivalents: number[];
    /** Attributes that the judge saw, of those that were asked for: one digit a request; empty where nothing was made. */
    right: string;
    asked: string;
  };
  evaluations: Estimate;
  equivalents: Estimate;
  /** On the requests that quality is compared on. */
  frechet: FrechetResult | null;
  /** Mean distance of the judge's features between videos of one prompt. */
  diversity: Estimate | null;
  /** Videos that were made; the other requests are exact answers. */
  videos: number;
  holdings: Holdings;
  /** Of the whole replay on the machine, other rows beside it: no measure of the system. */
  replaySeconds: number;
}
