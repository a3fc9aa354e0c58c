import { resolve } from 'node:path';
import { modelObject } from '#functions/api/model-object.ts';
import { loadManifest } from '#models/manifest.ts';
import { loadCalibration } from '#models/package-calibration.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';

export interface ModelsOptions extends GlobalOptions {
  json?: boolean;
}

/** Says what the model package makes, and what requests may choose; reads none of its networks. */
export async function models(context: CliContext, options: ModelsOptions): Promise<ExitCode> {
  const modelPackage = await loadManifest(resolve(context.workingDirectory, options.model), {
    files: [],
  });
  const { manifest, revision: modelRevision } = modelPackage;
  const { calibration } = await loadCalibration(modelPackage);
  const model = modelObject({ manifest, modelRevision, calibration });
  context.stdout.write(options.json ? `${JSON.stringify(model)}\n` : describe(model));
  return EXIT.success;
}

function describe(model: ReturnType<typeof modelObject>): string {
  const { id, version, family, license, revision, supports, hits } = model;
  const { steps, max_steps, guidance_scale, max_guidance_scale, negative_prompt } = model;
  return [
    `model            ${id} ${version}${family === null ? '' : `, family ${family}`}, license ${license}`,
    `revision         ${revision}`,
    `size             ${model.sizes.join(', ')}`,
    `frames           ${model.num_frames.join(', ')} at ${model.frames_per_second} a second, ${model.seconds.join(', ')} s`,
    `latent           [${model.latent_shape.join(', ')}]`,
    `steps            ${steps}, 1 to ${max_steps}`,
    `guidance scale   ${guidance_scale}${supports.guidance_scale ? `, 1 to ${max_guidance_scale}` : ', fixed'}`,
    `negative prompt  ${JSON.stringify(negative_prompt)}${supports.negative_prompt ? '' : ', fixed'}`,
    `prompt           at most ${model.max_prompt_tokens} tokens`,
    `videos           at most ${model.max_n} a request`,
    `regions          ${supports.regions ? 'yes' : 'no'}`,
    `hits             ${hits.join(', ')}`,
    '',
  ].join('\n');
}
