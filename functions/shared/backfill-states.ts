import type { CacheMode, GenerationRequest, JobStatus } from '#core/generation.ts';
import type { GuidanceChoice } from '#core/requests/guidance.ts';
import type { CaughtError } from './states.ts';

/** What the `backfill` state machine carries, state by state; docs/architecture.md draws it. */
export interface PrepareInput {
  backfillId: string;
}

export interface PrepareOutput {
  /** Object with a `BackfillItem` a line: one for each video. */
  requestsKey: string;
  /** Below it the map writes what became of each. */
  resultsPrefix: string;
  lines: number;
  concurrency: number;
  /** 0..100 */
  toleratedFailurePercentage: number;
}

/** One video of a file's line as a request, or why the line is none. */
export type BackfillItem = ReadableItem | BrokenItem;

/** A request of which the defaults of its backfill know the rest. */
export interface ReadableItem extends GuidanceChoice {
  /** From 1, of the file as it was given. */
  line: number;
  /** Of a line that asks for several videos, from 2; absent for the first. */
  video?: number;
  idempotencyKey: string;
  prompt: string;
  seed: number;
  cache: CacheMode;
  steps: number;
}

export interface BrokenItem {
  line: number;
  /** The line's beginning, to recognise it by. */
  text: string;
  error: ItemError;
}

export interface ItemError {
  code: string;
  message: string;
  field: string | null;
  fix: string | null;
}

export interface SubmitInput {
  backfillId: string;
  item: BackfillItem;
}

/** What a child of the map goes on with: the execution to run, unless its video is there already. */
export type SubmitOutput =
  | { done: true; videoId: string }
  | { done: false; videoId: string; executionName: string; request: GenerationRequest };

export interface CloseInput extends PrepareInput {
  prepared?: PrepareOutput;
  /** What the map returns. */
  map?: { MapRunArn: string; ResultWriterDetails: { Bucket: string; Key: string } };
  error?: CaughtError;
}

/** An execution of a backfill that did not succeed, as it is told from outside. */
export type EndedBackfill = Required<Pick<CloseInput, 'backfillId' | 'error'>>;

export interface CloseOutput {
  backfillId: string;
  status: JobStatus;
}
