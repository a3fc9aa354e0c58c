import { promptForKeys } from '#core/requests/prompt.ts';
import type { ReplayedRequest } from '#simulation/types.ts';
import type { TraceRequest } from '#simulation/traces/trace-request.ts';
import { readEmbeddings, writeEmbeddings, type EmbeddedPrompts } from './embedding-file.ts';
import type { PromptVectors } from './prompt-vectors.ts';

/** Prompts per embedder call. */
const BATCH = 16;

export interface EmbedTraceOptions {
  /** File that keeps vectors between runs; null keeps none. */
  file: string | null;
  onProgress(embedded: number, total: number): void;
  /** Called between embedder calls; on interruption, finished vectors are kept. */
  isInterrupted(): boolean;
}

/**
 * Embeds every request. Each distinct prompt is embedded only once, across runs.
 *
 * @returns null if interrupted
 */
export async function embedTrace(
  requests: readonly TraceRequest[],
  embedder: PromptVectors,
  { file, onProgress, isInterrupted }: EmbedTraceOptions,
): Promise<ReplayedRequest[] | null> {
  const embedded: EmbeddedPrompts =
    file === null ? new Map() : await readEmbeddings(file, embedder);
  const missing = [...new Set(requests.map(({ prompt }) => prompt))]
    .filter((prompt) => !embedded.has(prompt))
    // An embedder pads a batch to its longest prompt.
    .sort((one, other) => one.length - other.length);
  let done = 0;
  while (done < missing.length && !isInterrupted()) {
    const prompts = missing.slice(done, done + BATCH);
    const vectors = await embedder.embed(prompts);
    for (const [index, prompt] of prompts.entries()) embedded.set(prompt, vectors[index]!);
    done += prompts.length;
    onProgress(done, missing.length);
  }
  if (file !== null && done > 0) await writeEmbeddings(file, embedder, embedded);
  if (done < missing.length) return null;
  return requests.map((request) => ({
    ...request,
    ...shownOf(embedder, request.prompt),
    // As in cache keys: prompts that differ only in case are the same.
    prompt: promptForKeys(request.prompt),
    vectors: embedded.get(request.prompt)!,
  }));
}

/** Returns the simulated adherence of a request's video, if the embedder has one. */
export function shownOf(
  { shownBy }: Pick<PromptVectors, 'shownBy'>,
  prompt: string,
): Pick<ReplayedRequest, 'shown'> {
  return shownBy === null ? {} : { shown: shownBy(promptForKeys(prompt)) };
}
