import { readFile } from 'node:fs/promises';
import type { PromptEmbedding } from '#core/generation.ts';
import { embedPrompt } from '#functions/shared/embed-prompt.ts';
import type { ModelPackage } from '#models/manifest.ts';
import { openPromptModels } from '#models/prompt-models.ts';
import { writeFileAtomically } from '#files/write-file-atomically.ts';

/** Prompts in one call of the embedder. */
const BATCH = 64;

export type PromptEmbeddings = ReadonlyMap<string, PromptEmbedding>;

/**
 * Embeds prompts as the product's Embed does, once for all systems of a table, and keeps them in a file.
 *
 * @param file read if it is there and has all of them
 */
export async function embedPrompts(
  modelPackage: ModelPackage,
  prompts: readonly string[],
  file: string,
): Promise<PromptEmbeddings> {
  const distinct = [...new Set(prompts)];
  const known = await readEmbeddings(file, modelPackage.revision);
  if (distinct.every((prompt) => known.has(prompt))) return known;
  const { embedder, splitter } = await openPromptModels(modelPackage);
  const embedded = new Map<string, PromptEmbedding>(known);
  for (let start = 0; start < distinct.length; start += BATCH) {
    const chunk = distinct.slice(start, start + BATCH);
    // In few calls of the network: a text tower keeps what it embedded last.
    await embedder.embedTexts(chunk);
    const split = await Promise.all(chunk.map((prompt) => splitter.split(prompt)));
    const phrases = split.flatMap(({ objectPhrase, backgroundPhrase }) =>
      [objectPhrase, backgroundPhrase].filter((phrase) => phrase !== null),
    );
    await embedder.embedTexts(phrases);
    for (const prompt of chunk) {
      embedded.set(prompt, await embedPrompt({ embedder, splitter }, prompt));
    }
  }
  await embedder.close();
  const content = { revision: modelPackage.revision, prompts: [...embedded] };
  await writeFileAtomically(file, JSON.stringify(content));
  return embedded;
}

/** What a file has, if it is of this model. */
export async function readEmbeddings(file: string, revision: string): Promise<PromptEmbeddings> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return new Map();
  }
  const content = JSON.parse(text) as { revision: string; prompts: [string, PromptEmbedding][] };
  return new Map(content.revision === revision ? content.prompts : []);
}
