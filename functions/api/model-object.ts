import type { z } from 'zod';
import type { Calibration } from '#core/planning/calibration.ts';
import { hasGuidance, MAX_VIDEOS_OF_A_REQUEST } from '#core/requests/capabilities.ts';
import { possibleHits } from '#core/planning/possible-hits.ts';
import { MAX_GUIDANCE_SCALE, MAX_STEPS } from '#core/requests/request.ts';
import { capabilitiesOf } from '#models/capabilities.ts';
import type { ModelManifest } from '#models/manifest.ts';
import { videoFacts } from '#models/video-facts.ts';
import type { modelSchema } from './schemas/service.ts';
import { secondsOf, sizeOf } from '../shared/resources/video-object.ts';

/** What is known of a package without its networks. */
export interface DescribedModel {
  manifest: ModelManifest;
  /** sha256 over the files of the package. */
  modelRevision: string;
  calibration: Calibration;
}

/** What a model package makes, as `GET /v1/models` and `flexcache models` say it. */
export function modelObject({
  manifest,
  modelRevision,
  calibration,
}: DescribedModel): z.infer<typeof modelSchema> {
  const { name, version, license, family = null, latent, scheduler, text, regions } = manifest;
  const capabilities = capabilitiesOf(manifest);
  const { frames, framesPerSecond, guidanceScale, negativePrompt } = capabilities;
  const isGuided = hasGuidance(capabilities);
  const facts = videoFacts(manifest);
  return {
    id: name,
    object: 'model',
    // A package does not say when it was made.
    created: 0,
    owned_by: 'flexcache',
    version,
    family,
    license,
    revision: modelRevision,
    seconds: [secondsOf(facts)],
    sizes: [sizeOf(facts)],
    num_frames: [frames],
    frames_per_second: framesPerSecond,
    latent_shape: [latent.channels, latent.frames, latent.height, latent.width],
    steps: scheduler.steps,
    max_steps: MAX_STEPS,
    guidance_scale: guidanceScale,
    max_guidance_scale: isGuided ? MAX_GUIDANCE_SCALE : guidanceScale,
    negative_prompt: negativePrompt,
    max_prompt_tokens: text.maxTokens,
    max_n: MAX_VIDEOS_OF_A_REQUEST,
    supports: {
      guidance_scale: isGuided,
      negative_prompt: isGuided,
      input_reference: capabilities.firstImage,
      regions: regions !== undefined,
    },
    hits: possibleHits(calibration, scheduler.steps),
  };
}
