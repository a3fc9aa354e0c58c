import { InvalidInputError } from '#core/errors.ts';
import { checkOptions } from './check-options.ts';
import { RequestPreparer } from './prepare-request.ts';
import { SimulatedCache } from './simulated-cache.ts';
import type { ReplayedRequest, SimulationOptions, SimulationResult } from './types.ts';

/**
 * Replays a trace through several caches: the product's lookup, planner and credits, without GPU or
 * storage. All caches replay the same requests and share the neighbor search.
 *
 * @throws InvalidInputError that names the problem of the trace or the options
 */
export async function simulate(
  trace: AsyncIterable<ReplayedRequest> | Iterable<ReplayedRequest>,
  options: SimulationOptions,
): Promise<SimulationResult> {
  checkOptions(options);
  const preparer = new RequestPreparer(options.scope, options.calibration);
  const caches = options.caches.map((setup) => new SimulatedCache(setup, options));
  let requests = 0;
  let [from, to] = [0, 0];
  for await (const request of trace) {
    const prepared = preparer.prepare(request);
    if (requests++ === 0) from = prepared.now;
    to = prepared.now;
    for (const cache of caches) cache.serve(prepared);
    preparer.release(prepared);
  }
  if (requests === 0) {
    throw new InvalidInputError('trace', 'the trace has no requests', 'give at least one');
  }
  return { requests, from, to, caches: caches.map((cache) => cache.finish(from, to)) };
}
