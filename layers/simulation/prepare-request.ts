import type { Calibration } from '#core/planning/calibration.ts';
import { InvalidInputError } from '#core/errors.ts';
import { LOOKUP_PARTS, type LookupPart, type Scope } from '#core/generation.ts';
import type { ReplayedRequest } from './types.ts';
import { VectorSpace } from './vector-space.ts';

/** A request with everything that all caches know about it. */
export interface PreparedRequest {
  request: ReplayedRequest;
  /** Index from 0. */
  index: number;
  /** Epoch milliseconds. */
  now: number;
  partition: number;
  spaces: Record<LookupPart, VectorSpace>;
  /** Indices of its vectors in those spaces. */
  vectors: { readonly [Part in LookupPart]: number | null };
  seed: number;
  /** Null if it cannot repeat another request. */
  exactKey: string | null;
}

/** Computes once per request what every simulated cache needs. */
export class RequestPreparer {
  readonly #scope: Scope;
  readonly #least: Record<LookupPart, number>;
  readonly #partitions = new Map<string, number>();
  readonly #spaces: Record<LookupPart, VectorSpace>[] = [];
  #index = 0;
  #last = -Infinity;

  constructor(scope: Scope, calibration: Calibration) {
    this.#scope = scope;
    this.#least = {
      whole: leastSimilarity(calibration, 'whole'),
      object: leastSimilarity(calibration, 'object'),
      background: leastSimilarity(calibration, 'background'),
    };
  }

  /**
   * Prepares a request and holds its vectors until it is released.
   *
   * @throws InvalidInputError if it precedes the previous request, or its vectors do not match the
   * others
   */
  prepare(request: ReplayedRequest): PreparedRequest {
    const now = request.time * 1000;
    if (!(now >= this.#last)) throw disordered(request.time, this.#last / 1000);
    this.#last = now;
    const index = this.#index++;
    const partition = this.#partitionOf(this.#scope === 'tenant' ? request.tenant : '');
    const spaces = this.#spaces[partition]!;
    const numberOf = (part: LookupPart): number | null => {
      const vector = request.vectors[part];
      return vector === null ? null : spaces[part].hold(vector);
    };
    const { prompt, seed } = request;
    return {
      request,
      index,
      now,
      partition,
      spaces,
      vectors: {
        whole: numberOf('whole'),
        object: numberOf('object'),
        background: numberOf('background'),
      },
      seed: seed ?? index,
      exactKey: seed === null ? null : JSON.stringify([partition, prompt, seed]),
    };
  }

  release({ spaces, vectors }: PreparedRequest): void {
    for (const part of LOOKUP_PARTS) {
      if (vectors[part] !== null) spaces[part].release(vectors[part]);
    }
  }

  #partitionOf(name: string): number {
    const known = this.#partitions.get(name);
    if (known !== undefined) return known;
    const partition = this.#partitions.size;
    this.#partitions.set(name, partition);
    const [whole, object, background] = LOOKUP_PARTS.map(
      (part) => new VectorSpace(this.#least[part]),
    );
    this.#spaces.push({ whole: whole!, object: object!, background: background! });
    return partition;
  }
}

/**
 * Finds the smallest cosine at which a calibration uses a whole or near donor, to a ten-thousandth.
 */
function leastSimilarity(calibration: Calibration, part: LookupPart): number {
  const uses = (similarity: number): boolean =>
    calibration.admits(part, similarity) ||
    (part === 'whole' && calibration.decide('near', similarity, Infinity) !== null);
  let [no, yes] = [-1, 1];
  if (uses(no)) return no;
  while (yes - no > 1e-4) {
    const middle = (no + yes) / 2;
    if (uses(middle)) yes = middle;
    else no = middle;
  }
  return no;
}

function disordered(time: number, last: number): InvalidInputError {
  return new InvalidInputError(
    'time',
    `a request at ${time} follows one at ${last}`,
    'sort the trace by time',
  );
}
