import type { Progress } from './embedded-cloud.ts';

type Stage = Progress['stage'];

/** Share of a video's progress, in percent, at which each stage begins. */
const STAGE_BEGINS: Readonly<Record<Stage, number>> = {
  embed: 0,
  lookup: 2,
  queue: 4,
  generate: 5,
  commit: 96,
};

/** The stage that each task of the state machine stands for; Fail is no progress. */
const STAGE_OF_STATE: Readonly<Record<string, Stage>> = {
  Embed: 'embed',
  Lookup: 'lookup',
  Generate: 'queue',
  GenerateInBackfill: 'queue',
  Commit: 'commit',
};

/** Tells everyone who waits for a video how far it is. */
export class ProgressFeed {
  readonly #listeners = new Map<string, Set<(progress: Progress) => void>>();

  /** Returns how to stop listening. */
  listen(videoId: string, listener: (progress: Progress) => void): () => void {
    const listeners = this.#listeners.get(videoId) ?? new Set();
    this.#listeners.set(videoId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(videoId);
    };
  }

  /** A state of the workflow began its task. */
  onTask(videoId: string, stateName: string): void {
    const stage = STAGE_OF_STATE[stateName];
    if (stage !== undefined) this.#tell({ videoId, stage, percent: STAGE_BEGINS[stage] });
  }

  /** The worker wrote a generation's progress, 0..100. */
  onGenerated(videoId: string, percent: number): void {
    const { generate, commit } = STAGE_BEGINS;
    const overall = Math.round(generate + ((commit - generate) * percent) / 100);
    this.#tell({ videoId, stage: 'generate', percent: overall });
  }

  #tell(progress: Progress): void {
    for (const listener of this.#listeners.get(progress.videoId) ?? []) listener(progress);
  }
}
