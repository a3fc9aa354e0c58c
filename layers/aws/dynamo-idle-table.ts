import { isDay } from '#core/day.ts';
import { InvalidInputError } from '#core/errors.ts';
import { quantityOf } from '#core/pricing/money.ts';
import { DynamoItems, type DynamoItemsOptions } from './dynamo-items.ts';
import type { IdleTable, IdleTail } from '#ports/idle-table.ts';
import { PARTITION_KEY, SORT_KEY } from './table-definition.ts';
import { without, type ItemKey } from './table-items.ts';

/** No worker lives longer; above it a clock was wrong. */
const MAX_SECONDS = 7 * 24 * 3600;

/**
 * Idle machines, in the one table.
 *
 * | access pattern            | call     | request                                   | units       |
 * |---------------------------|----------|-------------------------------------------|-------------|
 * | a worker has ended        | addIdle  | UpdateItem `IDLE#day/WORKER#id`           | 1 write     |
 * | idle machines of a day    | listIdle | Query `IDLE#day`, consistent              | 1 per 4 KB  |
 * | who was first on a machine| claim    | UpdateItem `MACHINE#id/MACHINE`, if free  | 1 write     |
 */
export class DynamoIdleTable implements IdleTable {
  readonly #items: DynamoItems;

  constructor(options: DynamoItemsOptions) {
    this.#items = new DynamoItems(options);
  }

  /** @throws InvalidInputError when the day or the seconds cannot be. */
  async addIdle({ day, workerId, instanceType, purchaseOption, seconds }: IdleTail): Promise<void> {
    requireDay(day);
    quantityOf(seconds, 'seconds', MAX_SECONDS);
    await this.#items.update(
      { pk: partitionOf(day), sk: `WORKER#${workerId}` },
      `record the idle time of worker ${workerId}`,
      {
        update:
          'SET #workerId = :workerId, #instanceType = :instanceType, #purchaseOption = :purchaseOption, #seconds = :seconds',
        values: {
          ':workerId': workerId,
          ':instanceType': instanceType,
          ':purchaseOption': purchaseOption,
          ':seconds': seconds,
        },
      },
    );
  }

  async listIdle(day: string): Promise<IdleTail[]> {
    requireDay(day);
    const tails: IdleTail[] = [];
    const pages = this.#items.query({ key: partitionOf(day) }, `list the idle machines of ${day}`);
    for await (const page of pages) {
      for (const item of page) {
        const tail = without(item, [PARTITION_KEY, SORT_KEY]) as unknown as Omit<IdleTail, 'day'>;
        tails.push({ day, ...tail });
      }
    }
    return tails;
  }

  /**
   * Whether this worker is the first that claims a machine: the time since it was started is then
   * nobody else's. Idempotent by worker.
   *
   * @param expiresAt epoch seconds after which the record is of no use
   */
  async claimMachine(machineId: string, workerId: string, expiresAt: number): Promise<boolean> {
    const key: ItemKey = { pk: `MACHINE#${machineId}`, sk: 'MACHINE' };
    const claimed = await this.#items.update(key, `claim machine ${machineId}`, {
      update: 'SET #workerId = :workerId, #expiresAt = :expiresAt',
      condition: 'attribute_not_exists(#workerId) OR #workerId = :workerId',
      values: { ':workerId': workerId, ':expiresAt': expiresAt },
    });
    return claimed !== null;
  }
}

function partitionOf(day: string): string {
  return `IDLE#${day}`;
}

function requireDay(day: string): void {
  if (isDay(day)) return;
  throw new InvalidInputError('day', `"${day}" is not a day`, 'give a day like 2026-11-22, UTC');
}
