import { FlexCacheError } from '#core/errors.ts';
import type { SamplerState } from '#models/sample-run.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { Checkpoint, CheckpointSubject } from './checkpoint.ts';
import { loadCheckpoint, storeCheckpoint } from './checkpoint-store.ts';
import type { GenerationControl } from './generation-control.ts';

/**
 * One worker's share of a generation that several may work on: where it began, and where it left off.
 * A checkpoint names the runs whose work is in it, so that the ledger knows that they were not in vain.
 */
export class Resumption {
  readonly #objects: Pick<ObjectStore, 'get' | 'put'>;
  readonly #subject: CheckpointSubject;
  readonly #control: GenerationControl;
  #before: Checkpoint | null = null;

  constructor(
    objects: Pick<ObjectStore, 'get' | 'put'>,
    subject: CheckpointSubject,
    control: GenerationControl,
  ) {
    this.#objects = objects;
    this.#subject = subject;
    this.#control = control;
  }

  /** Steps that earlier workers did. */
  get stepsBefore(): number {
    return this.#before?.stepsDone ?? 0;
  }

  /** Where the worker before stopped; null when it left nothing that can be used. */
  async load(latentShape: readonly number[]): Promise<SamplerState | null> {
    const found = await loadCheckpoint(this.#objects, this.#subject, latentShape);
    if (found === null) return null;
    if (found.ignored !== null) {
      this.#control.onCheckpoint({ event: 'checkpoint_ignored', error: found.ignored });
      return null;
    }
    this.#before = found.checkpoint;
    this.#report('resumed', found.checkpoint);
    return found.checkpoint;
  }

  /**
   * Leaves a checkpoint when the worker shuts down; for any other reason to stop, or without a new
   * step, there is nothing to keep. A checkpoint that cannot be stored costs its steps, nothing else.
   */
  async save(state: SamplerState): Promise<void> {
    if (this.#control.stopReason !== 'shutdown' || state.stepsDone === this.stepsBefore) return;
    const checkpoint: Checkpoint = {
      ...state,
      runs: [...(this.#before?.runs ?? []), this.#control.run],
    };
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
    { stepsDone, runs }: Pick<Checkpoint, 'stepsDone' | 'runs'>,
  ): void {
    const { steps } = this.#subject.plan;
    this.#control.onCheckpoint({ event, stepsDone, steps, runs });
  }
}
