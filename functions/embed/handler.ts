import { FlexCacheError } from '#core/errors.ts';
import { EMBEDDER_FILES } from '#models/manifest.ts';
import { OnnxTextEmbedder } from '#models/onnx-text-embedder.ts';
import { ModelPromptSplitter } from '#models/prompt-splitter.ts';
import { deployedModel, deployedTable, lazily, type Services } from '../services.ts';
import type { EmbedInput, EmbedOutput } from '../states.ts';
import { deployedTelemetry } from '../deployed-telemetry.ts';
import { StepMeter } from '../step-meter.ts';
import { namingErrors } from '../task-error.ts';
import { observed } from '../telemetry.ts';
import { embedPrompt } from './embed-prompt.ts';

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
    return {
      embedding: await embedPrompt({ embedder, splitter }, request.prompt),
      seconds: meter.seconds,
      usage: meter.usage({ tableWriteUnits: 1 }),
      startedAt: meter.startedAt,
    };
  });
}

export const handler = lazily(async () => {
  const modelPackage = await deployedModel(EMBEDDER_FILES);
  // A Lambda handles one request at a time: a thread would only cost its start.
  const embedder = await OnnxTextEmbedder.open(modelPackage, { inThread: false });
  const { labels } = modelPackage.manifest.splitter;
  const splitter = new ModelPromptSplitter(embedder, embedder.tokenizer, labels);
  return observed(
    'embed',
    deployedTelemetry(),
    createEmbedHandler({ table: deployedTable(), embedder, splitter }),
  );
});
