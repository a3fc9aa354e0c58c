import { FlexCacheError } from '#core/errors.ts';
import { createRandomSource } from '#core/random.ts';
import type { EmbeddedModels } from '#local/embedded-models.ts';
import type { EmbeddedParts } from '#local/embedded-cloud.ts';

/** Of the calls of each network: how many end in an error that the workflow retries, and in one that it does not. */
export interface FaultShares {
  transient: number;
  final: number;
}

/** The models, failing at random. */
export function withFaults(
  models: EmbeddedModels,
  { transient, final }: FaultShares,
  seed: number,
): EmbeddedModels {
  const random = createRandomSource(seed, 'faults');
  const perhapsFail = (what: string): void => {
    const drawn = random.nextBelow(1_000_000) / 1_000_000;
    if (drawn < transient) {
      throw new FlexCacheError('throttled', `${what} was busy`, { transient: true });
    }
    if (drawn < transient + final) throw new FlexCacheError('internal', `${what} broke`);
  };
  const failing = <Part extends object>(part: Part, names: readonly (keyof Part)[]): Part =>
    new Proxy(part, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (names.includes(name as keyof Part)) perhapsFail(String(name));
          return value.apply(target, args);
        };
      },
    });
  return {
    ...models,
    embedder: failing(models.embedder, ['embedText']),
    video: failing(models.video, ['encodeText', 'velocity', 'decode', 'embedParts']),
  };
}

/** Nobody waits for a fault to pass that was made up. */
export const SHORT_PAUSES: EmbeddedParts['retryPauses'] = Object.fromEntries(
  ['Embed', 'Lookup', 'Generate', 'GenerateInBackfill', 'Commit', 'Fail'].map((state) => [
    state,
    1,
  ]),
);

/** What a faulty command is told by its environment. */
export const FAULT_SEED = 'FLEXCACHE_FAULT_SEED';
export const FAULTS_TRANSIENT = 'FLEXCACHE_FAULTS_TRANSIENT';
export const FAULTS_FINAL = 'FLEXCACHE_FAULTS_FINAL';

/** The models with the faults that the environment asks for. */
export function withFaultsOfEnvironment(models: EmbeddedModels): EmbeddedModels {
  const number = (name: string): number => Number(process.env[name] ?? 0);
  const shares = { transient: number(FAULTS_TRANSIENT), final: number(FAULTS_FINAL) };
  return withFaults(models, shares, number(FAULT_SEED));
}
