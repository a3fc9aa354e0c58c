import type { Job } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';

/**
 * Whether a worker may yet need what lies under the job's id: one that makes the same video again
 * finds its old object there and does not write it anew.
 */
export function isUnfinished(job: Pick<Job, 'status'> | null): boolean {
  return job !== null && !hasEnded(job);
}
