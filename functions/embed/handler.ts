import { FlexCacheError } from '#core/errors.ts';
import { negativePromptWarnings, promptWarnings } from '#core/requests/prompt-warnings.ts';
import { EMBEDDER_FILES } from '#models/manifest.ts';
import { openPromptModels } from '#models/prompt-models.ts';
import { deployedModel, deployedTable, lazily, type Services } from '../shared/services.ts';
import type { EmbedInput, EmbedOutput } from '../shared/states.ts';
import { deployedTelemetry } from '../shared/deployed-telemetry.ts';
import { StepMeter, type MeteringServices } from '../shared/step-meter.ts';
import { withTaskErrors } from '../shared/task-error.ts';
import { observed } from '../shared/telemetry.ts';
import { embedPrompt } from '../shared/embed-prompt.ts';

/**
 * Marks the job running and turns the prompt and its parts into vectors; what the model cannot take in is
 * kept with the job.
 */
export function createEmbedHandler(
  services: Pick<Services, 'table' | 'embedder' | 'splitter' | 'reader'> &
    Pick<MeteringServices, 'telemetry'>,
): (input: EmbedInput) => Promise<EmbedOutput> {
  return withTaskErrors(({ request: { videoId, prompt, negativePrompt } }) =>
    StepMeter.run('embed', services, videoId, async (meter) => {
      const job = await services.table.startJob(videoId);
      meter.attempt = job.attempt;
      if (job.cancelRequested) {
        throw new FlexCacheError('cancelled', 'the request was cancelled before it began');
      }
      const embedding = await embedPrompt(services, prompt);
      const { reading } = embedding;
      const warnings = [
        ...(reading === undefined ? [] : promptWarnings(reading)),
        ...(negativePrompt === undefined
          ? []
          : negativePromptWarnings(services.reader.readingOf(negativePrompt))),
      ];
      if (warnings.length > 0) await services.table.warnOfPrompt(videoId, warnings);
      const { seconds, startedAt } = meter;
      await meter.enter();
      return { embedding, seconds, usage: meter.usage(), startedAt };
    }),
  );
}

export const handler = lazily(async () => {
  const modelPackage = await deployedModel(EMBEDDER_FILES);
  // A Lambda handles one request at a time: a thread would only cost its start.
  const prompts = await openPromptModels(modelPackage, { inThread: false });
  const telemetry = deployedTelemetry();
  return observed(
    'embed',
    telemetry,
    createEmbedHandler({ table: deployedTable(), ...prompts, telemetry }),
  );
});
