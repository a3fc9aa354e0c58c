import type { Job, Pool } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import type { Table } from '#ports/table.ts';

/** Whether no worker has the job yet: it is prepared, or waits in the queue of its pool. */
export function isWaiting(job: Job): boolean {
  return !hasEnded(job) && job.takenAt === undefined;
}

/** Places of jobs in the queues of their pools, as they were at the first question about a pool. */
export class QueuePlaces {
  readonly #table: Pick<Table, 'readQueue'>;
  readonly #queues = new Map<Pool, Promise<string[]>>();

  constructor(table: Pick<Table, 'readQueue'>) {
    this.#table = table;
  }

  /**
   * From 1, which is next; null for a job that does not wait. One that has not entered the queue yet
   * will stand behind all that are in it.
   */
  async placeOf(job: Job): Promise<number | null> {
    if (!isWaiting(job)) return null;
    const { pool, videoId } = job;
    const reading = this.#queues.get(pool) ?? this.#table.readQueue(pool);
    this.#queues.set(pool, reading);
    const queue = await reading;
    const index = queue.indexOf(videoId);
    return (index === -1 ? queue.length : index) + 1;
  }
}
