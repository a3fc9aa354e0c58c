import { createHash } from 'node:crypto';
import type { RequestFields } from './readers/request-line.ts';

/** What makes a line of a file the same request in every run. */
export interface LineKey {
  idempotencyKey: string;
  /** Seed for a line that names none; follows from the key, so that a rerun makes the same video. */
  seed: number;
}

/**
 * Names each line by what it asks for and by how often it was asked before in the same file, so
 * that lines may be added, removed or reordered between two runs.
 */
export class LineKeys {
  readonly #modelRevision: string;
  readonly #occurrences = new Map<string, number>();

  constructor(modelRevision: string) {
    this.#modelRevision = modelRevision;
  }

  next(request: RequestFields): LineKey {
    const { prompt, seed = null, cache = null, steps = null } = request;
    const fields = hash([this.#modelRevision, prompt, seed, cache, steps]).toString('base64url');
    const occurrence = (this.#occurrences.get(fields) ?? 0) + 1;
    this.#occurrences.set(fields, occurrence);
    const key = hash([fields, occurrence]);
    return { idempotencyKey: `line-${key.toString('hex')}`, seed: key.readUInt32BE() >>> 1 };
  }
}

function hash(fields: readonly (string | number | null)[]): Buffer {
  return createHash('sha256').update(JSON.stringify(fields)).digest().subarray(0, 16);
}
