import type { Job } from '#core/generation.ts';
import { VIDEO_ID_PATTERN } from '#core/requests/identity.ts';
import type { Table } from '#ports/table.ts';
import { notFound } from './api-error.ts';

type JobTable = Pick<Table, 'getJob'>;

/**
 * A video of this tenant.
 *
 * @throws ApiError 404 when there is none, it is deleted, or somebody else's: the same words for all.
 */
export async function findVideo(table: JobTable, tenant: string, videoId: string): Promise<Job> {
  const job = await findRecord(table, tenant, videoId);
  if (job !== null && job.deletedAt === undefined) return job;
  throw notFound('video', videoId.slice(0, MAX_SHOWN_ID));
}

/**
 * Checks that a list can go on behind a video: its record keeps its place when it is deleted.
 *
 * @throws ApiError 404 when this tenant never had such a video.
 */
export async function requirePlaceInList(
  table: JobTable,
  tenant: string,
  after: string,
): Promise<void> {
  if ((await findRecord(table, tenant, after)) === null) throw notFound('video', after, 'after');
}

async function findRecord(table: JobTable, tenant: string, videoId: string): Promise<Job | null> {
  const job = VIDEO_ID_PATTERN.test(videoId) ? await table.getJob(videoId) : null;
  return job?.tenant === tenant ? job : null;
}

const MAX_SHOWN_ID = 64;
