import type { Tensor } from '#core/latents/tensor.ts';
import type { RegionDenoiser } from '#models/model.ts';
import { SampleRun } from '#models/sample-run.ts';
import type { Work } from './system.ts';

/** A run that keeps the noisy latents after some steps. */
export class RecordingRun extends SampleRun {
  /** By steps done of a full generation. */
  readonly states = new Map<number, Tensor>();
  readonly #wanted: ReadonlySet<number>;
  readonly #before: number;

  /**
   * @param latentShape `[C, T, H, W]`
   * @param regions of the model
   * @param wanted steps of a full generation after which the latent is kept
   * @param before steps of a full generation that the run leaves out
   */
  constructor(
    work: Work,
    latentShape: readonly number[],
    regions: RegionDenoiser | null,
    wanted: readonly number[],
    before: number,
  ) {
    super(work.plan, {
      latentShape,
      donors: work.donors,
      regions,
      from: work.noisy && {
        latent: work.noisy,
        stepsDone: 0,
        memory: null,
        inside: null,
        equivalents: 0,
      },
    });
    this.#wanted = new Set(wanted);
    this.#before = before;
  }

  override accept(answer: Tensor): void {
    super.accept(answer);
    const step = this.#before + this.stepsDone;
    if (this.#wanted.has(step)) this.states.set(step, this.state.latent);
  }
}
