import { InvalidInputError } from '#core/errors.ts';
import type { AttendedTensor } from '#core/latents/tensor.ts';
import type { TextCondition, VelocityRequest, VideoModel } from './model.ts';
import { RunAnswers, type Denoiser } from './run-answers.ts';
import type { SampleRun } from './sample-run.ts';

/** The part of a model that denoising many latents at once needs. */
export type BatchDenoiser = Denoiser & Pick<VideoModel, 'velocities'>;

/** A run and the prompt that it follows. */
export interface BatchSample {
  run: SampleRun;
  prompt: string;
}

export interface BatchOptions {
  /** Classifier-free guidance; 1 is none. */
  guidance: number;
  /** Most runs of one network call. */
  batch: number;
  /**
   * Each clean latent as soon as it is there, with its run's place among the samples. It may be called
   * again before it has ended.
   */
  onResult?: (latent: AttendedTensor, index: number) => void | Promise<void>;
}

interface ActiveRun {
  run: SampleRun;
  index: number;
  condition: TextCondition;
  answers: RunAnswers;
}

/** Batches under way: while the network moves one, the latents of the other are prepared. */
const LANES = 2;

/**
 * Drives many runs at once, a step of up to `batch` of them in each network call. Plans may differ in
 * everything. A run that is over makes room for the next, so that calls stay full to the end. What evaluates a
 * region is run by itself: no two regions have the same tokens.
 *
 * @param samples read as they are needed: runs may be made on the way
 * @returns the clean latents `[C, T, H, W]` in the order of the samples
 * @throws InvalidInputError unless the batch is a positive integer.
 * @throws FlexCacheError `model_corrupt` when a latent is not finite.
 */
export async function sampleBatch(
  model: BatchDenoiser,
  samples: Iterable<BatchSample>,
  { guidance, batch, onResult }: BatchOptions,
): Promise<AttendedTensor[]> {
  if (!Number.isInteger(batch) || batch < 1) {
    throw new InvalidInputError(
      'batch',
      `batch ${batch} is not a positive integer`,
      'run at least one latent at once',
    );
  }
  const unconditional = await model.encodeText(null);
  const latents: AttendedTensor[] = [];
  const waiting = samples[Symbol.iterator]();
  let index = 0;
  let hasFailed = false;

  async function lane(): Promise<void> {
    let active: ActiveRun[] = [];
    try {
      while (!hasFailed) {
        while (active.length < batch) {
          const { value, done } = waiting.next();
          if (done === true) break;
          const place = index++;
          const condition = await model.encodeText(value.prompt);
          const answers = new RunAnswers(model, { condition, unconditional, guidance });
          active.push({ run: value.run, index: place, condition, answers });
        }
        if (active.length === 0) return;
        await step(model, active, unconditional, guidance);
        const unfinished: ActiveRun[] = [];
        for (const one of active) {
          if (one.run.next() !== null) {
            unfinished.push(one);
            continue;
          }
          await one.answers.release();
          const latent = one.run.result();
          latents[one.index] = latent;
          await onResult?.(latent, one.index);
        }
        active = unfinished;
      }
    } finally {
      await Promise.all(active.map(({ answers }) => answers.release()));
    }
  }

  const lanes = Array.from({ length: LANES }, async () => {
    try {
      await lane();
    } catch (error) {
      // The other lane ends with its present step.
      hasFailed = true;
      throw error;
    }
  });
  for (const ended of await Promise.allSettled(lanes)) {
    if (ended.status === 'rejected') throw ended.reason;
  }
  return latents;
}

/** One step of each run. */
async function step(
  model: BatchDenoiser,
  active: readonly ActiveRun[],
  unconditional: TextCondition,
  guidance: number,
): Promise<void> {
  const together: (VelocityRequest & { run: SampleRun })[] = [];
  for (const { run, condition, answers } of active) {
    const request = run.next();
    if (request === null) continue;
    if (request.kind === 'velocity' && !request.keepsContext) {
      together.push({ run, condition, ...request });
    } else {
      run.accept(await answers.answer(request));
    }
  }
  const velocities = await model.velocities(together, unconditional, guidance);
  for (const [row, { run }] of together.entries()) run.accept(velocities[row]!);
  for (const { run, answers } of active) {
    const request = run.next();
    if (request?.kind === 'segment') run.accept(await answers.answer(request));
  }
}
