import type { JobStatus } from '../generation.ts';

/** Whether a job, or a backfill, is no longer queued or running. */
export function hasEnded({ status }: { status: JobStatus }): boolean {
  return status !== 'queued' && status !== 'running';
}
