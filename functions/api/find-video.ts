import type { Job } from '#core/generation.ts';
import { VIDEO_ID_PATTERN } from '#core/identity.ts';
import type { Table } from '#stores/table.ts';
import { notFound } from './api-error.ts';

/**
 * A video of this tenant.
 *
 * @throws ApiError 404 when there is none, it is deleted, or somebody else's: the same words for all.
 */
export async function findVideo(
  table: Pick<Table, 'getJob'>,
  tenant: string,
  videoId: string,
): Promise<Job> {
  const job = VIDEO_ID_PATTERN.test(videoId) ? await table.getJob(videoId) : null;
  if (job !== null && job.tenant === tenant && job.deletedAt === undefined) return job;
  throw notFound('video', videoId.slice(0, LONGEST_SHOWN_ID));
}

const LONGEST_SHOWN_ID = 64;
