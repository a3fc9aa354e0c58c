import { InvalidInputError } from '#core/errors.ts';
import { promptForKeys } from '#core/requests/prompt.ts';
import type { TraceRequest } from '#simulation/traces/trace-request.ts';
import type { ReplayedRequest } from '#simulation/types.ts';
import { shownOf } from './embed-trace.ts';
import type { PromptVectors } from './prompt-vectors.ts';

/**
 * Uses the vectors of the trace itself, with the embedder's rules.
 *
 * @throws InvalidInputError if their length differs from the embedder's
 */
export function givenVectors(
  requests: readonly TraceRequest[],
  embedder: Pick<PromptVectors, 'name' | 'dimensions' | 'shownBy'>,
): ReplayedRequest[] {
  const { name, dimensions } = embedder;
  return requests.map(({ vectors, prompt, ...request }) => {
    if (vectors?.whole.length === dimensions) {
      const known = { ...request, prompt: promptForKeys(prompt), vectors };
      return { ...known, ...shownOf(embedder, prompt) };
    }
    throw new InvalidInputError(
      'embedding',
      `the trace has embeddings of ${vectors?.whole.length} dimensions, ${name} has ${dimensions}`,
      'name the embedder that made them with --embedder or --model, or remove them from the trace',
    );
  });
}
