import { LexicalEmbedder } from './lexical-embedder.ts';
import { lookupTraits } from './lookup-traits.ts';
import type { ModelManifest, ModelPackage } from './manifest.ts';
import type { BatchTextEmbedder } from './model.ts';
import { OnnxTextEmbedder } from './onnx-text-embedder.ts';
import type { TextEmbedderOptions } from './open-networks.ts';
import { ParserPromptSplitter } from './parser-prompt-splitter.ts';
import {
  ModelPromptSplitter,
  type PromptSplitter,
  type TokenLabeller,
  type WordLabeller,
} from './prompt-splitter.ts';
import { SentenceEmbedder } from './sentence-embedder.ts';
import { PromptTokenizer, type PromptReader } from './tokenizer.ts';

/** What reads the prompts of a package. */
export interface PromptModels {
  embedder: BatchTextEmbedder;
  splitter: PromptSplitter;
  reader: PromptReader;
}

/**
 * What reads the prompts of a package: its own networks, and what stands in for those that it does not bring
 * (`lookupTraits`). The networks are loaded when they are first run.
 *
 * @throws FlexCacheError `model_corrupt` when a tokenizer is none.
 * @example
 * const { embedder, splitter } = await openPromptModels(await loadManifest(directory));
 */
export async function openPromptModels(
  modelPackage: ModelPackage,
  options: TextEmbedderOptions = {},
): Promise<PromptModels> {
  const { manifest } = modelPackage;
  const tokenizer = await PromptTokenizer.open(modelPackage);
  const parser = new ParserPromptSplitter(tokenizer);
  switch (lookupTraits(manifest).embedder) {
    case 'textTower': {
      const embedder = OnnxTextEmbedder.with(modelPackage, tokenizer, options);
      return {
        embedder,
        reader: tokenizer,
        splitter: promptSplitter(manifest, tokenizer, embedder),
      };
    }
    case 'sentence':
      return {
        embedder: await SentenceEmbedder.ofPackage(modelPackage, options),
        splitter: parser,
        reader: tokenizer,
      };
    case 'lexical':
      return { embedder: new LexicalEmbedder(), splitter: parser, reader: tokenizer };
  }
}

/**
 * What splits the prompts of a package: labels of its text tower where it has them, else a parser of English.
 *
 * @param textTower not run unless its labels are needed
 */
export function promptSplitter(
  { splitter }: Pick<ModelManifest, 'splitter'>,
  tokenizer: PromptTokenizer,
  textTower: TokenLabeller,
): PromptSplitter & WordLabeller {
  return splitter === undefined
    ? new ParserPromptSplitter(tokenizer)
    : new ModelPromptSplitter(textTower, tokenizer, splitter.labels);
}
