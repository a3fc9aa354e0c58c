import { readFile } from 'node:fs/promises';
import type { PromptEmbedding } from '#core/generation.ts';
import { embedPrompt } from '#functions/embed/embed-prompt.ts';
import type { ModelPackage } from '#models/manifest.ts';
import type { TextEmbedding } from '#models/model.ts';
import { OnnxTextEmbedder } from '#models/onnx-text-embedder.ts';
import { ModelPromptSplitter } from '#models/prompt-splitter.ts';
import { writeFileAtomically } from '#files/write-file-atomically.ts';

/** Texts in one call of the text tower. */
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
  const tower = await OnnxTextEmbedder.open(modelPackage);
  const texts = new Map<string, TextEmbedding>();
  const embedAll = async (wanted: readonly string[]): Promise<void> => {
    const missing = [...new Set(wanted)].filter((text) => !texts.has(text));
    for (let start = 0; start < missing.length; start += BATCH) {
      const chunk = missing.slice(start, start + BATCH);
      const embeddings = await tower.embedTexts(chunk);
      for (const [index, text] of chunk.entries()) texts.set(text, embeddings[index]!);
    }
  };
  const embedder = {
    embedText: async (text: string): Promise<TextEmbedding> => {
      if (!texts.has(text)) await embedAll([text]);
      return texts.get(text)!;
    },
    close: async (): Promise<void> => {},
  };
  const splitter = new ModelPromptSplitter(
    embedder,
    tower.tokenizer,
    modelPackage.manifest.splitter.labels,
  );
  await embedAll(distinct);
  const split = await Promise.all(distinct.map((prompt) => splitter.split(prompt)));
  await embedAll(
    split.flatMap(({ objectPhrase, backgroundPhrase }) =>
      [objectPhrase, backgroundPhrase].filter((phrase) => phrase !== null),
    ),
  );
  const embedded = new Map<string, PromptEmbedding>(known);
  for (const prompt of distinct) {
    embedded.set(prompt, await embedPrompt({ embedder, splitter }, prompt));
  }
  await tower.close();
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
