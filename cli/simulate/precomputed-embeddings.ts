import { InvalidInputError } from '#core/errors.ts';
import { promptForKeys } from '#core/requests/prompt.ts';
import type { TraceRequest } from '#simulation/traces/trace-request.ts';
import type { ReplayedRequest } from '#simulation/types.ts';
import { shownOf } from './embed-trace.ts';
import type { PromptVectors } from './prompt-vectors.ts';

/**
 * The vectors that the trace itself brings, looked up by the embedder's rules.
 *
 * @throws InvalidInputError when they are not of the embedder's length.
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
      `the trace has embeddings of ${vectors?.whole.length} numbers, ${name} gives ${dimensions}`,
      'name the embedder that made them with --embedder or --model, or leave them out of the trace',
    );
  });
}
