import { InvalidInputError } from '#core/errors.ts';
import type { SimulationOptions } from './types.ts';

/**
 * Checks the options of a simulation. @throws InvalidInputError that names the first invalid one
 */
export function checkOptions(options: SimulationOptions): void {
  wholeAbove('steps', options.steps, 0);
  wholeAbove('latentBytes', options.latentBytes, 0);
  atLeast('secondsPerEvaluation', options.secondsPerEvaluation, 0);
  atLeast('dollarsPerGpuSecond', options.dollarsPerGpuSecond, 0);
  atLeast('fetch.seconds', options.fetch.seconds, 0);
  if (options.fetch.bytesPerSecond !== Infinity) {
    atLeast('fetch.bytesPerSecond', options.fetch.bytesPerSecond, 1);
  }
  if (options.caches.length === 0) throw wrong('caches', 'none', 'at least one cache');
  for (const [index, { capacity, fastTier }] of options.caches.entries()) {
    const name = `caches[${index}]`;
    if (capacity.entries !== null) wholeAbove(`${name}.capacity.entries`, capacity.entries, 0);
    if (capacity.latentBytes !== null) {
      atLeast(`${name}.capacity.latentBytes`, capacity.latentBytes, 0);
    }
    if (fastTier === null) continue;
    atLeast(`${name}.fastTier.bytes`, fastTier.bytes, 0);
    atLeast(`${name}.fastTier.dollarsPerGbMonth`, fastTier.dollarsPerGbMonth, 0);
  }
}

function wholeAbove(field: string, value: number, limit: number): void {
  if (Number.isSafeInteger(value) && value > limit) return;
  throw wrong(field, value, `a whole number above ${limit}`);
}

function atLeast(field: string, value: number, limit: number): void {
  if (value >= limit && Number.isFinite(value)) return;
  throw wrong(field, value, `a number of at least ${limit}`);
}

function wrong(field: string, value: unknown, expected: string): InvalidInputError {
  return new InvalidInputError(
    field,
    `${field} ${String(value)} is not ${expected}`,
    `give ${expected}`,
  );
}
