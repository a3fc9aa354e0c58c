import type { AttendedTensor, Tensor } from '#core/latents/tensor.ts';
import type { FlowTime, TextCondition, VelocityRequest, VideoModel } from './model.ts';

/** Videos that a worker may make at once: beyond it even small models gain nothing, and each is held in memory. */
export const MAX_BATCH = 64;

/** Whether a worker may make so many videos at once. */
export function isBatch(batch: unknown): batch is number {
  return Number.isInteger(batch) && (batch as number) >= 1 && (batch as number) <= MAX_BATCH;
}

/** A step that waits for the network. */
interface WaitingStep extends VelocityRequest {
  negative: TextCondition;
  guidance: number;
  resolve: (velocity: AttendedTensor) => void;
  reject: (error: unknown) => void;
}

/**
 * Evaluates steps of several runs in one network call. A call begins as soon as the network is free, with all
 * steps that wait by then: no step waits for another, and a run that comes joins at the next call. Steps go
 * together that have the same guidance and lead away from the same text; times, prompts and plans may differ.
 *
 * @example
 * const batches = new StepBatches(model, 8);
 * const [one, other] = await Promise.all([batches.velocity(...step), batches.velocity(...another)]);
 */
export class StepBatches implements Pick<VideoModel, 'velocity'> {
  readonly #model: Pick<VideoModel, 'velocities'>;
  readonly #most: number;
  readonly #waiting: WaitingStep[] = [];
  #isBusy = false;

  /** @param most steps of one call */
  constructor(model: Pick<VideoModel, 'velocities'>, most: number) {
    this.#model = model;
    this.#most = most;
  }

  /** As `VideoModel.velocity`; the numbers are those of `velocities`. */
  velocity(
    latent: Tensor,
    time: FlowTime,
    condition: TextCondition,
    negative: TextCondition,
    guidance: number,
  ): Promise<AttendedTensor> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ latent, time, condition, negative, guidance, resolve, reject });
      if (!this.#isBusy) void this.#evaluate();
    });
  }

  async #evaluate(): Promise<void> {
    this.#isBusy = true;
    // Runs that are at a step boundary together ask in the same turn of the event loop.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const steps = this.#takeCompatible();
      const { negative, guidance } = steps[0]!;
      try {
        const velocities = await this.#model.velocities(steps, negative, guidance);
        for (const [row, { resolve }] of steps.entries()) resolve(velocities[row]!);
      } catch (error) {
        for (const { reject } of steps) reject(error);
      }
      await new Promise(setImmediate);
    }
    this.#isBusy = false;
  }

  /** Those that go with the one that waits for the longest. */
  #takeCompatible(): WaitingStep[] {
    const [first] = this.#waiting;
    const taken = this.#waiting
      .filter(
        ({ negative, guidance }) => negative === first!.negative && guidance === first!.guidance,
      )
      .slice(0, this.#most);
    const others = this.#waiting.filter((step) => !taken.includes(step));
    this.#waiting.splice(0, this.#waiting.length, ...others);
    return taken;
  }
}

/** A model whose runs share network calls of up to so many steps; what evaluates a region stays by itself. */
export function inStepBatches(model: VideoModel, most: number): VideoModel {
  const batches = new StepBatches(model, most);
  return {
    encodeText: (prompt) => model.encodeText(prompt),
    velocity: (...step) => batches.velocity(...step),
    velocities: (...steps) => model.velocities(...steps),
    get regions() {
      return model.regions;
    },
    decode: (latent) => model.decode(latent),
    encode: (video) => model.encode(video),
    encodeImage: (image) => model.encodeImage(image),
    segment: (...given) => model.segment(...given),
    embedParts: (...given) => model.embedParts(...given),
    recognise: (latent) => model.recognise(latent),
    close: () => model.close(),
  };
}
