import { InvalidInputError } from '#core/errors.ts';
import { LOOKUP_PARTS, type LookupPart } from '#core/generation.ts';
import type { TraceVectors } from '#simulation/traces/trace-request.ts';

/** More than any sentence encoder has. */
const MAX_DIMENSIONS = 4096;
/** Vectors written with three digits are still unit vectors. */
const LENGTH_TOLERANCE = 0.01;

/**
 * The vectors of a line's `embedding`: `whole`, and if wanted `object` and `background`.
 *
 * @throws InvalidInputError when one is no unit vector, or they differ in length.
 */
export function parseTraceVectors(value: unknown): TraceVectors {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong('embedding is not an object', 'write {"whole": [...], "object": null, ...}');
  }
  const unknown = Object.keys(value).find((key) => !LOOKUP_PARTS.includes(key as LookupPart));
  if (unknown !== undefined) {
    throw wrong(
      `embedding has a part ${JSON.stringify(unknown)}`,
      `name ${LOOKUP_PARTS.join(', ')} only`,
    );
  }
  const parts = value as Partial<Record<LookupPart, unknown>>;
  if (parts.whole === undefined || parts.whole === null) {
    throw wrong('embedding has no whole', 'give the vector of the whole prompt');
  }
  const whole = parseVector('whole', parts.whole);
  const parsePart = (part: LookupPart): Float32Array | null => {
    const given = parts[part];
    if (given === undefined || given === null) return null;
    const vector = parseVector(part, given);
    if (vector.length === whole.length) return vector;
    throw wrong(
      `embedding.${part} has ${vector.length} numbers, embedding.whole ${whole.length}`,
      'take all vectors from one model',
    );
  };
  return { whole, object: parsePart('object'), background: parsePart('background') };
}

function parseVector(part: LookupPart, value: unknown): Float32Array {
  if (
    !Array.isArray(value) ||
    value.length === 0 ||
    value.length > MAX_DIMENSIONS ||
    !value.every((element) => typeof element === 'number' && Number.isFinite(element))
  ) {
    throw wrong(
      `embedding.${part} is no list of 1 to ${MAX_DIMENSIONS} numbers`,
      'give the vector as numbers',
    );
  }
  const vector = Float32Array.from(value as number[]);
  const length = Math.hypot(...vector);
  if (Math.abs(length - 1) <= LENGTH_TOLERANCE) return vector;
  throw wrong(
    `embedding.${part} has length ${length.toPrecision(4)}, not 1`,
    'divide every vector by its length',
  );
}

function wrong(message: string, fix: string): InvalidInputError {
  return new InvalidInputError('embedding', message, fix);
}
