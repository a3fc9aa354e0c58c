import type { FlexCacheError } from '#core/errors.ts';
import type { DenoiseWork } from './denoise-clock.ts';
import type { DroppedDonor } from './donors.ts';

/**
 * Why a generation ends before its time: its job was cancelled, the workflow no longer waits, the
 * message was handed to another worker, or this worker shuts down.
 */
export type StopReason = 'cancelled' | 'gone' | 'taken' | 'shutdown';

/** What became of a generation's checkpoint. */
export type CheckpointEvent =
  | {
      event: 'checkpoint_stored' | 'resumed';
      stepsDone: number;
      steps: number;
      /** Runs of the workers up to it. */
      runs: readonly string[];
    }
  | { event: 'checkpoint_ignored' | 'checkpoint_failed'; error: FlexCacheError };

/** How one generation is watched and ended. */
export interface GenerationControl {
  /** Names this worker's part in the ledger of the video. */
  readonly run: string;
  /** Milliseconds of the machine that the generation has had: all that go by, unless it shares them. */
  now?(): number;
  /** True ends the generation before its next step or write. */
  shouldStop(): boolean | Promise<boolean>;
  /** Null while it may go on. A shutdown alone leaves a checkpoint: another worker goes on. */
  readonly stopReason: StopReason | null;
  /** After each step: 0..100, and what this worker's denoiser has done so far. */
  onProgress(percent: number, work: DenoiseWork): void | Promise<void>;
  onDonorDropped(dropped: DroppedDonor): void;
  onCheckpoint(event: CheckpointEvent): void;
}
