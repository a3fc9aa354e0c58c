import type { Calibration } from '#core/planning/calibration.ts';
import { roundEquivalents } from '#core/planning/equivalents.ts';
import { FlexCacheError } from '#core/errors.ts';
import type { GenerationRequest, GenerationResult, Plan } from '#core/generation.ts';
import {
  latentObjectKey,
  requestCompatibilityKey,
  videoObjectKeys,
} from '#core/requests/identity.ts';
import { limitReuse } from '#core/planning/limit-reuse.ts';
import type { AttendedTensor } from '#core/latents/tensor.ts';
import type { ModelManifest } from '#models/manifest.ts';
import type { VideoModel } from '#models/model.ts';
import { objectMaskOf } from '#models/object-mask.ts';
import { latentShape } from '#models/onnx-video-model.ts';
import { sample, SamplingStoppedError } from '#models/sampler.ts';
import { videoFacts } from '#models/video-facts.ts';
import { sha256Of } from '#ports/object-key.ts';
import type { ObjectStore } from '#ports/objects.ts';
import { degradePlan } from './degrade-plan.ts';
import { DenoiseClock, type DenoiseWork } from './denoise-clock.ts';
import { donorParts, donorReading, loadDonors, type LoadedDonor } from './donors.ts';
import { finishLatent } from './finish-latent.ts';
import { firstFrameOf } from './first-image.ts';
import type { GenerationControl } from './generation-control.ts';
import { putNew } from './put-new.ts';
import { Resumption } from './resumption.ts';

/** What making a video needs; the same for every request of one worker. */
export interface GenerationDependencies {
  model: VideoModel;
  manifest: ModelManifest;
  calibration: Calibration;
  /** Of the package; latents of another key than the request's are foreign. */
  compatibilityKey: string;
  objects: Pick<ObjectStore, 'get' | 'getRange' | 'put' | 'delete'>;
}

/** A generation's result but for what only the worker knows: the queue, the machine and the stores. */
export type GeneratedVideo = Omit<GenerationResult, 'seconds' | 'usage'> & {
  /** Of this worker alone. */
  work: DenoiseWork;
  /** Steps of this worker alone; `stepsRun` has those of all that worked on it. */
  stepsHere: number;
};

/** Share of the progress that denoising stands for; the rest is decoding, encoding and storing. */
const SAMPLING_PERCENT = 90;

/**
 * Makes the video of one request and stores it: donors -> start latent -> denoise -> decode ->
 * objects. Each run writes objects of its own, so running it twice is harmless.
 * A shutdown leaves a checkpoint, from which the next run of the same plan goes on.
 *
 * @throws FlexCacheError `cancelled` when `control.shouldStop` said so.
 */
export async function generateVideo(
  dependencies: GenerationDependencies,
  request: GenerationRequest,
  plan: Plan,
  control: GenerationControl,
): Promise<GeneratedVideo> {
  const { model, manifest, objects } = dependencies;
  if (plan.hit === 'exact') {
    throw new FlexCacheError('internal', 'an exact hit has nothing to generate');
  }
  const shape = latentShape(manifest);
  const compatibilityKey = requestCompatibilityKey(dependencies.compatibilityKey, request);
  const ofRequest = { ...dependencies, compatibilityKey };
  const { plan: actual, donors: used } = await readDonors(ofRequest, request, plan, control);

  const mapsObject = objectMaskOf(manifest)?.source === 'attention';
  const subject = { compatibilityKey, request, plan: actual, mapsObject };
  const resumption = new Resumption(objects, subject, control);
  const from = await resumption.load(shape);
  const firstFrame = await firstFrameOf(dependencies, request);
  const denoiser = new DenoiseClock(model, control.now && (() => control.now!()));
  let latent: AttendedTensor;
  let equivalents = from?.equivalents ?? 0;
  try {
    latent = await sample(denoiser, actual, donorParts(used), {
      latentShape: shape,
      schedule: manifest.scheduler,
      prompt: request.prompt,
      guidance: request.guidanceScale ?? manifest.scheduler.guidance,
      ...(request.negativePrompt !== undefined && { negativePrompt: request.negativePrompt }),
      ...(firstFrame && { firstFrame }),
      ...(from && { from }),
      shouldStop: () => control.shouldStop(),
      onStep: (done, equivalentsDone) => {
        equivalents = equivalentsDone;
        const percent = Math.round((SAMPLING_PERCENT * done) / actual.steps);
        return control.onProgress(percent, denoiser.work);
      },
    });
  } catch (error) {
    if (error instanceof SamplingStoppedError) await resumption.save(error.state);
    throw error;
  }

  const { media, stored } = await finishLatent(ofRequest, latent, isStored(request));
  if (await control.shouldStop()) {
    // No step is left that would need more than the latent.
    await resumption.save({
      latent,
      stepsDone: actual.steps,
      memory: null,
      inside: null,
      equivalents,
      ...(latent.objectMap && { objectMap: latent.objectMap }),
    });
    throw new FlexCacheError('cancelled', 'the request was stopped before its video was stored');
  }

  // Before it is written: it never expires earlier than it is said to.
  const madeAt = new Date().toISOString();
  const put = (key: string, body: Uint8Array, contentType: string): Promise<string> =>
    putNew(objects, key, body, { contentType });
  const names = videoObjectKeys(request.videoId, media.mp4);
  const [videoKey, animationKey, posterKey, spritesheetKey, latentKey] = await Promise.all([
    put(names.videoKey, media.mp4, 'video/mp4'),
    put(names.animationKey, media.webp, 'image/webp'),
    put(names.posterKey, media.png, 'image/png'),
    put(names.spritesheetKey, media.spritesheet, 'image/jpeg'),
    stored === null
      ? null
      : put(
          latentObjectKey(request.videoId, stored.container),
          stored.container,
          'application/octet-stream',
        ),
  ]);

  return {
    videoKey,
    animationKey,
    posterKey,
    spritesheetKey,
    videoBytes: media.mp4.byteLength,
    facts: { ...videoFacts(manifest), madeAt },
    latentKey,
    latentBytes: stored?.container.byteLength ?? 0,
    latentSha256: stored === null ? null : sha256Of(stored.container),
    ...(stored?.description ?? { vectors: { whole: null, object: null, background: null } }),
    ...(stored?.shown && { shown: stored.shown }),
    hit: actual.hit,
    donors: actual.donors,
    startTime: actual.startTime,
    anchor: actual.anchor,
    stepsRun: actual.steps,
    equivalentsRun: roundEquivalents(equivalents),
    stepsHere: actual.steps - resumption.stepsBefore,
    work: denoiser.work,
  };
}

/**
 * The donors of a plan, or of what is left of it where some cannot be read. What is left may start earlier
 * or show its donor: it is read anew. The compatibility key is the request's.
 */
async function readDonors(
  { manifest, calibration, compatibilityKey, objects }: GenerationDependencies,
  request: GenerationRequest,
  plan: Plan,
  control: GenerationControl,
): Promise<{ plan: Plan; donors: LoadedDonor[] }> {
  const expected = { compatibilityKey, shape: latentShape(manifest) };
  for (let left = plan; ;) {
    const { loaded, dropped } = await loadDonors(
      left.donors,
      objects,
      expected,
      donorReading(left, manifest.scheduler),
    );
    if (dropped.length === 0) return { plan: left, donors: loaded };
    for (const donor of dropped) control.onDonorDropped(donor);
    const usable = loaded.map(({ donor }) => donor);
    left = degradePlan(left, usable, limitReuse(calibration, request));
  }
}

function isStored({ cache }: GenerationRequest): boolean {
  return cache === 'auto' || cache === 'refresh';
}
