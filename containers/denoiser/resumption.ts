import { FlexCacheError } from '#core/errors.ts';
import type { UsageRecord } from '#core/generation.ts';
import type { ObjectStore } from '#stores/objects.ts';
import type { Checkpoint, CheckpointSubject } from './checkpoint.ts';
import { loadCheckpoint, storeCheckpoint } from './checkpoint-store.ts';
import type { GenerationControl } from './generation-control.ts';
import type { SamplerState } from './sampler.ts';

/**
 * One worker's share of a generation that several may work on: where it began, and what all of them
 * have spent. Each adds its own to what it read, so that the sum is counted once.
 */
export class Resumption {
  readonly #objects: Pick<ObjectStore, 'get' | 'put'>;
  readonly #subject: CheckpointSubject;
  readonly #control: GenerationControl;
  readonly #startedAt: number;
  #before: Checkpoint | null = null;
  objectGets = 0;
  bytesRead = 0;

  /** @param startedAt `performance.now()` when this worker began */
  constructor(
    objects: Pick<ObjectStore, 'get' | 'put'>,
    subject: CheckpointSubject,
    control: GenerationControl,
    startedAt: number,
  ) {
    this.#objects = objects;
    this.#subject = subject;
    this.#control = control;
    this.#startedAt = startedAt;
  }

  /** Steps that earlier workers did. */
  get stepsBefore(): number {
    return this.#before?.stepsDone ?? 0;
  }

  /** Where the worker before stopped; null when it left nothing that can be used. */
  async load(latentShape: readonly number[]): Promise<SamplerState | null> {
    this.objectGets++;
    const found = await loadCheckpoint(this.#objects, this.#subject, latentShape);
    if (found === null) return null;
    this.bytesRead += found.bytesRead;
    if (found.ignored !== null) {
      this.#control.onCheckpoint({ event: 'checkpoint_ignored', error: found.ignored });
      return null;
    }
    this.#before = found.checkpoint;
    this.#report('resumed', found.checkpoint);
    return found.checkpoint;
  }

  /** What all workers have spent by the time that so many steps are done. */
  spent(stepsDone: number): Required<Pick<UsageRecord, 'gpuSeconds' | 'networkEvaluations'>> {
    const { gpuSeconds = 0, networkEvaluations = 0 } = this.#before ?? {};
    return {
      gpuSeconds: gpuSeconds + (performance.now() - this.#startedAt) / 1000,
      networkEvaluations: networkEvaluations + stepsDone - this.stepsBefore,
    };
  }

  /**
   * Leaves a checkpoint when the worker shuts down; for any other reason to stop, or without a new
   * step, there is nothing to keep. A checkpoint that cannot be stored costs its steps, nothing else.
   */
  async save(state: SamplerState): Promise<void> {
    if (this.#control.stopReason !== 'shutdown' || state.stepsDone === this.stepsBefore) return;
    const checkpoint = { ...state, ...this.spent(state.stepsDone) };
    try {
      await storeCheckpoint(this.#objects, this.#subject, checkpoint);
    } catch (error) {
      if (!(error instanceof FlexCacheError)) throw error;
      this.#control.onCheckpoint({ event: 'checkpoint_failed', error });
      return;
    }
    this.#report('checkpoint_stored', checkpoint);
  }

  #report(
    event: 'checkpoint_stored' | 'resumed',
    { stepsDone, gpuSeconds }: Pick<Checkpoint, 'stepsDone' | 'gpuSeconds'>,
  ): void {
    const { steps } = this.#subject.plan;
    this.#control.onCheckpoint({ event, stepsDone, steps, gpuSeconds });
  }
}
