import { FlexCacheError } from '#core/errors.ts';
import type { EvictOutcome } from '#retention/evict.ts';
import type { SweepSummary } from '#retention/sweep/sweep.ts';
import { openState } from './check-state.ts';
import { EmbeddedRetention, type EvictRequest, type SweepRequest } from './embedded-retention.ts';
import { callOwner } from './owner-calls.ts';
import type { StateUse } from './state-folder.ts';

/** Passes over the cache of a state folder, whoever holds it. */
export interface OpenRetention extends AsyncDisposable {
  evict(request: EvictRequest): Promise<EvictOutcome>;
  sweep(request: SweepRequest): Promise<SweepSummary>;
}

export interface OpenRetentionOptions {
  stateDirectory: string;
  /** Elements of one vector. */
  dimensions: number;
  /** To `change` unless said; to `read` is to change nothing: passes are dry runs. */
  use?: Exclude<StateUse, 'create'>;
}

/**
 * Opens the cache without models. While another process holds the state folder, that process is asked to
 * do the work.
 *
 * @throws FlexCacheError `state_locked`, now or later, when the holder does not answer.
 * @example
 * await using retention = await openRetention({ stateDirectory: '.flexcache', dimensions: 128 });
 * await retention.evict({ isForced: true });
 */
export async function openRetention({
  stateDirectory,
  dimensions,
  use = 'change',
}: OpenRetentionOptions): Promise<OpenRetention> {
  try {
    const stores = await openState(stateDirectory, use);
    const retention = new EmbeddedRetention({ stores, dimensions });
    return {
      evict: (request) => retention.evict(request),
      sweep: (request) => retention.sweep(request),
      [Symbol.asyncDispose]: async () => {
        await retention.close();
        await stores[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    if (!(error instanceof FlexCacheError) || error.code !== 'state_locked') throw error;
    return holders(stateDirectory, error);
  }
}

function holders(stateDirectory: string, locked: FlexCacheError): OpenRetention {
  const call = async (name: string, request: EvictRequest): Promise<unknown> => {
    const { isDryRun, isForced, budgetUsd } = request;
    const answer = await callOwner(stateDirectory, name, { isDryRun, isForced, budgetUsd });
    if (answer === null) throw locked;
    return answer.value;
  };
  return {
    evict: async (request) => (await call('evict', request)) as EvictOutcome,
    sweep: async (request) => (await call('sweep', request)) as SweepSummary,
    [Symbol.asyncDispose]: async () => {},
  };
}
