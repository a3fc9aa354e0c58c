import { createHash } from 'node:crypto';
import type { BackfillDefaults } from '#core/requests/backfill.ts';
import type { GuidanceChoice } from '#core/requests/guidance.ts';
import { REQUEST_DEFAULTS } from '#core/requests/new-request.ts';
import type { RequestFields } from './request-line.ts';

/** What makes a line of a file the same request in every run. */
export interface LineKey {
  idempotencyKey: string;
  /** Seed for a line that names none; follows from the key, so that a rerun makes the same video. */
  seed: number;
}

/** What a file is made with that says nothing. */
export const STANDARD_DEFAULTS: BackfillDefaults = {
  cache: REQUEST_DEFAULTS.cache,
  scope: REQUEST_DEFAULTS.scope,
  steps: null,
  minSimilarity: REQUEST_DEFAULTS.minSimilarity,
  maxReuse: REQUEST_DEFAULTS.maxReuse,
};

/**
 * Names each line by what it asks for and by how often it was asked before in the same file, so
 * that lines may be added, removed or reordered between two runs. Defaults other than the standard
 * ones make other requests of the same lines.
 */
export class LineKeys {
  readonly #modelRevision: string;
  readonly #defaults: BackfillDefaults;
  readonly #occurrences = new Map<string, number>();

  constructor(modelRevision: string, defaults: BackfillDefaults = STANDARD_DEFAULTS) {
    this.#modelRevision = modelRevision;
    this.#defaults = defaults;
  }

  /** @param guidance where the line, or the defaults, depart from the package's */
  next(request: RequestFields, { guidanceScale, negativePrompt }: GuidanceChoice = {}): LineKey {
    const { prompt, seed = null } = request;
    const { cache: standardCache, scope, minSimilarity, maxReuse } = this.#defaults;
    const cache =
      request.cache ?? (standardCache === STANDARD_DEFAULTS.cache ? null : standardCache);
    const steps = request.steps ?? this.#defaults.steps;
    const shared = [scope, minSimilarity, maxReuse];
    const isStandard =
      scope === STANDARD_DEFAULTS.scope &&
      minSimilarity === STANDARD_DEFAULTS.minSimilarity &&
      maxReuse === STANDARD_DEFAULTS.maxReuse;
    const asked = [
      prompt,
      seed,
      cache,
      steps,
      ...(isStandard ? [] : shared),
      ...(guidanceScale === undefined ? [] : ['guidance scale', guidanceScale]),
      ...(negativePrompt === undefined ? [] : ['negative prompt', negativePrompt]),
    ];
    const fields = hash([this.#modelRevision, ...asked]).toString('base64url');
    const occurrence = (this.#occurrences.get(fields) ?? 0) + 1;
    this.#occurrences.set(fields, occurrence);
    const key = hash([fields, occurrence]);
    return { idempotencyKey: `line-${key.toString('hex')}`, seed: key.readUInt32BE() >>> 1 };
  }
}

function hash(fields: readonly (string | number | null)[]): Buffer {
  return createHash('sha256').update(JSON.stringify(fields)).digest().subarray(0, 16);
}
