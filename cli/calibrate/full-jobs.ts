import { createRandomSource } from '#core/random.ts';
import type { PromptCase } from './prompt-sets.ts';
import { nameOfStart, type GridPoint } from './start-grid.ts';
import type { VideoJob } from './video-maker.ts';

/** Streams of full generations: videos of one prompt in two streams share no noise. */
export type FullStream =
  | 'reference'
  | 'tuning full'
  | `tuning full ${number}`
  | 'tuning donor'
  | 'held-out full'
  | 'held-out donor'
  | `chain ${number}`;

/** Returns jobs for full generations of prompts, the same for every caller. */
export function fullJobs(
  stream: FullStream,
  plan: Pick<GridPoint, 'solver' | 'steps'>,
  cases: readonly PromptCase[],
  seed: number,
): VideoJob[] {
  return cases.map((of, index) => fullJob(stream, plan, of, index, seed));
}

/** @param index index of the prompt */
export function fullJob(
  stream: FullStream,
  { solver, steps }: Pick<GridPoint, 'solver' | 'steps'>,
  of: PromptCase,
  index: number,
  seed: number,
): VideoJob {
  const start: GridPoint = { startTime: 1, steps, solver, anchor: 'none' };
  return {
    key: `${stream} ${nameOfStart(start)} ${index}`,
    of,
    plan: { ...start, seed: seedOf(seed, stream, index) },
    donors: null,
  };
}

/** Returns the seed of one video of a stream. */
export function seedOf(seed: number, stream: string, index: number): number {
  return createRandomSource(seed, `${stream} ${index}`).nextUint32();
}
