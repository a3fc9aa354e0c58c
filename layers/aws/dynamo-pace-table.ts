import type { Pool } from '#core/generation.ts';
import { DynamoItems, type DynamoItemsOptions } from './dynamo-items.ts';
import type { PaceTable } from '#ports/pace-table.ts';
import type { ItemKey } from './table-items.ts';

/** Weight of the newest video: the average of about the last twenty. */
const NEWEST_WEIGHT = 0.1;

/**
 * The pace of each pool, in the one table.
 *
 * | access pattern       | call            | request                                  | units           |
 * |----------------------|-----------------|------------------------------------------|-----------------|
 * | a video is finished  | record          | GetItem, UpdateItem `FLEET#pool/PACE`    | 1 read, 1 write |
 * | how long one takes   | secondsPerVideo | GetItem `FLEET#pool/PACE`                | 1 read          |
 */
export class DynamoPaceTable implements PaceTable {
  readonly #items: DynamoItems;

  constructor(options: DynamoItemsOptions) {
    this.#items = new DynamoItems(options);
  }

  /** Of two at once one may be lost: it is an average. */
  async record(pool: Pool, seconds: number): Promise<void> {
    const before = await this.secondsPerVideo(pool);
    const average = before === null ? seconds : before + NEWEST_WEIGHT * (seconds - before);
    await this.#items.update(keyOf(pool), `record the pace of pool ${pool}`, {
      update: 'SET #seconds = :seconds',
      values: { ':seconds': Math.round(average * 1000) / 1000 },
    });
  }

  async secondsPerVideo(pool: Pool): Promise<number | null> {
    const item = await this.#items.get(keyOf(pool), `read the pace of pool ${pool}`);
    return (item?.['seconds'] as number | undefined) ?? null;
  }
}

function keyOf(pool: Pool): ItemKey {
  return { pk: `FLEET#${pool}`, sk: 'PACE' };
}
