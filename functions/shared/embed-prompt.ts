import type { PromptEmbedding } from '#core/generation.ts';
import type { TextEmbedder } from '#models/model.ts';
import type { Services } from './services.ts';

/** Decimal digits that a float32 needs to survive as text. */
const FLOAT32_DIGITS = 9;

/** The vectors of a prompt and of the parts that it names. */
export async function embedPrompt(
  { embedder, splitter }: Pick<Services, 'embedder' | 'splitter'>,
  prompt: string,
): Promise<PromptEmbedding> {
  const { objectPhrase, backgroundPhrase, reading } = await splitter.split(prompt);
  const [whole, object, background] = await Promise.all([
    embed(embedder, prompt),
    objectPhrase === null ? null : embed(embedder, objectPhrase),
    backgroundPhrase === null ? null : embed(embedder, backgroundPhrase),
  ]);
  return {
    objectPhrase,
    backgroundPhrase,
    ...(reading !== undefined && { reading }),
    vectors: { whole, object, background },
  };
}

/** The state machine carries vectors as text: digits beyond a float32's would only make it longer. */
async function embed(embedder: TextEmbedder, text: string): Promise<number[]> {
  const { vector } = await embedder.embedText(text);
  return Array.from(vector, (element) => Number(element.toPrecision(FLOAT32_DIGITS)));
}
