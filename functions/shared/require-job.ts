import { FlexCacheError } from '#core/errors.ts';
import type { Job } from '#core/generation.ts';
import type { Table } from '#ports/table.ts';

/** @throws FlexCacheError `not_found` */
export async function requireJob(
  { table }: { table: Pick<Table, 'getJob'> },
  videoId: string,
): Promise<Job> {
  const job = await table.getJob(videoId);
  if (job !== null) return job;
  throw new FlexCacheError('not_found', `there is no job ${videoId}`, { field: 'videoId' });
}
