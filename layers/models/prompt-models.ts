import { LexicalEmbedder } from './lexical-embedder.ts';
import { lookupTraits } from './lookup-traits.ts';
import type { ModelPackage } from './manifest.ts';
import type { BatchTextEmbedder } from './model.ts';
import { OnnxTextEmbedder } from './onnx-text-embedder.ts';
import type { TextEmbedderOptions } from './open-networks.ts';
import { ParserPromptSplitter } from './parser-prompt-splitter.ts';
import { ModelPromptSplitter, type PromptSplitter } from './prompt-splitter.ts';
import { SentenceEmbedder } from './sentence-embedder.ts';
import { PromptTokenizer } from './tokenizer.ts';

/** What reads the prompts of a package. */
export interface PromptModels {
  embedder: BatchTextEmbedder;
  splitter: PromptSplitter;
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
      const labels = manifest.splitter?.labels;
      return {
        embedder,
        splitter:
          labels === undefined ? parser : new ModelPromptSplitter(embedder, tokenizer, labels),
      };
    }
    case 'sentence':
      return {
        embedder: await SentenceEmbedder.ofPackage(modelPackage, options),
        splitter: parser,
      };
    case 'lexical':
      return { embedder: new LexicalEmbedder(), splitter: parser };
  }
}
