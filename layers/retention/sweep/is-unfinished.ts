import type { Job } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';

/**
 * Whether a worker may still need objects under the job's id: a worker that repeats a video reuses
 * its existing object.
 */
export function isUnfinished(job: Pick<Job, 'status'> | null): boolean {
  return job !== null && !hasEnded(job);
}
