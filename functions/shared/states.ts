import type {
  GenerationRequest,
  GenerationResult,
  Plan,
  PromptEmbedding,
  UsageRecord,
} from '#core/generation.ts';

/** What the `generate` state machine carries, state by state; docs/architecture.md draws it. */
export interface EmbedInput {
  request: GenerationRequest;
}

export interface EmbedOutput {
  embedding: PromptEmbedding;
  seconds: number;
  usage: UsageRecord;
  /** Epoch milliseconds when work on the request began; what a video's total seconds count from. */
  startedAt: number;
}

export interface LookupInput extends EmbedInput {
  embed: EmbedOutput;
}

export interface LookupOutput {
  plan: Plan;
  /** Of the job, from the second on: the execution of this attempt holds the leases. */
  attempt?: number;
  /** Entries that could have been its donors; absent where none were looked for. */
  neighbours?: number;
  seconds: number;
  usage: UsageRecord;
}

export interface CommitInput extends LookupInput {
  lookup: LookupOutput;
  /** Absent for an exact hit: nothing was generated. */
  generation?: GenerationResult;
}

/** How the state machine passes on what went wrong. */
export interface CaughtError {
  /** A name: one of ours, of Lambda, or `States.*`. */
  Error: string;
  /** A message, or the JSON in which Lambda reports an error. */
  Cause: string;
}

/** An execution that did not succeed, as it is told from outside. */
export interface EndedExecution {
  /** Its name; see `executionName`. */
  execution: string;
  error: CaughtError;
}

export interface FailInput {
  request: Pick<GenerationRequest, 'videoId'>;
  error: CaughtError;
  embed?: EmbedOutput;
  lookup?: LookupOutput;
  generation?: GenerationResult;
}
