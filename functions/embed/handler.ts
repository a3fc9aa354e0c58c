import { FlexCacheError } from '#core/errors.ts';
import { EMBEDDER_FILES } from '#models/manifest.ts';
import { OnnxTextEmbedder } from '#models/onnx-text-embedder.ts';
import { ModelPromptSplitter } from '#models/prompt-splitter.ts';
import type { TextEmbedder } from '#models/model.ts';
import { deployedModel, deployedTable, lazily, type Services } from '../services.ts';
import type { EmbedInput, EmbedOutput } from '../states.ts';
import { StepMeter } from '../step-meter.ts';
import { namingErrors } from '../task-error.ts';

/** Decimal digits that a float32 needs to survive as text. */
const FLOAT32_DIGITS = 9;

/** Marks the job running and turns the prompt and its parts into vectors. */
export function createEmbedHandler({
  table,
  embedder,
  splitter,
}: Pick<Services, 'table' | 'embedder' | 'splitter'>): (input: EmbedInput) => Promise<EmbedOutput> {
  return namingErrors(async ({ request }) => {
    const meter = new StepMeter('embed');
    const job = await table.startJob(request.videoId);
    if (job.cancelRequested) {
      throw new FlexCacheError('cancelled', 'the request was cancelled before it began');
    }
    const { objectPhrase, backgroundPhrase } = await splitter.split(request.prompt);
    const [whole, object, background] = await Promise.all([
      embed(embedder, request.prompt),
      objectPhrase === null ? null : embed(embedder, objectPhrase),
      backgroundPhrase === null ? null : embed(embedder, backgroundPhrase),
    ]);
    return {
      embedding: { objectPhrase, backgroundPhrase, vectors: { whole, object, background } },
      seconds: meter.seconds,
      usage: meter.usage({ tableWriteUnits: 1 }),
      startedAt: meter.startedAt,
    };
  });
}

/** The state machine carries vectors as text: digits beyond a float32's would only make it longer. */
async function embed(embedder: TextEmbedder, text: string): Promise<number[]> {
  const { vector } = await embedder.embedText(text);
  return Array.from(vector, (element) => Number(element.toPrecision(FLOAT32_DIGITS)));
}

export const handler = lazily(async () => {
  const modelPackage = await deployedModel(EMBEDDER_FILES);
  // A Lambda handles one request at a time: a thread would only cost its start.
  const embedder = await OnnxTextEmbedder.open(modelPackage, { inThread: false });
  const { labels } = modelPackage.manifest.splitter;
  const splitter = new ModelPromptSplitter(embedder, embedder.tokenizer, labels);
  return createEmbedHandler({ table: deployedTable(), embedder, splitter });
});
