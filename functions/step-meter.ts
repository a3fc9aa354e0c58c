import type { UsageRecord } from '#core/generation.ts';

/** Measures one step of the workflow: its time, and with it its usage record. */
export class StepMeter {
  readonly startedAt = Date.now();
  readonly #step: UsageRecord['step'];
  readonly #start = performance.now();

  constructor(step: UsageRecord['step']) {
    this.#step = step;
  }

  get seconds(): number {
    return Math.round(performance.now() - this.#start) / 1000;
  }

  usage(amounts: Omit<UsageRecord, 'step'>): UsageRecord {
    const memory = Number(process.env['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'] ?? 0);
    return {
      step: this.#step,
      lambdaMilliseconds: Math.ceil(performance.now() - this.#start),
      ...(memory > 0 && {
        lambdaMegabytes: memory,
        lambdaArchitecture: process.arch === 'arm64' ? ('arm64' as const) : ('x86_64' as const),
      }),
      ...amounts,
    };
  }
}

/** The record as it stands in the ledger of a job that was tried more than once. */
export function ofAttempt(record: UsageRecord, attempt: number): UsageRecord {
  return attempt === 1 ? record : { ...record, attempt };
}

const ENTRY_BYTES_WITHOUT_VECTORS = 1200;
const VECTORS_PER_ENTRY = 3;
const BYTES_PER_ELEMENT = 4;

/** What reading and writing one entry costs; `DynamoTable` describes its size. */
export function entryUnits(dimensions: number): { read: number; write: number } {
  const bytes = ENTRY_BYTES_WITHOUT_VECTORS + VECTORS_PER_ENTRY * BYTES_PER_ELEMENT * dimensions;
  return { read: Math.ceil(bytes / 4096), write: Math.ceil(bytes / 1024) };
}
