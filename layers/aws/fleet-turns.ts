import type { Pool } from '#core/generation.ts';
import type { DynamoItems } from './dynamo-items.ts';
import type { ItemKey } from './table-items.ts';

const FLEET_SORT_KEY = 'FLEET';

/** How many workers a look at the queue found to be needed; epoch milliseconds. */
export interface WorkersNeeded {
  at: number;
  workers: number;
}

/** What is remembered of a pool between two looks at it. */
export interface FleetMemory {
  /** Of late, newest last; without looks that found nothing to do. */
  needed: WorkersNeeded[];
  /** Epoch milliseconds since when messages wait and nobody takes any; null while that is not so. */
  untakenSince: number | null;
}

export type PoolState = FleetMemory & {
  /** Epoch milliseconds of the last wake; null without any. */
  lastBusyAt: number | null;
};

/** What the callers of one pool agree upon, in one item of the table. */
export class FleetLeases {
  readonly #items: DynamoItems;
  readonly #pool: Pool;

  constructor(items: DynamoItems, pool: Pool) {
    this.#items = items;
    this.#pool = pool;
  }

  /**
   * Whether this caller may ask for capacity: one does in so many milliseconds. The pool counts as
   * busy from now.
   *
   * @param now epoch milliseconds
   */
  async take(now: number, everyMilliseconds: number): Promise<boolean> {
    const updated = await this.#items.update(this.#key, `take a turn at waking ${this.#pool}`, {
      update: 'SET #wokenAt = :now, #lastBusyAt = :now',
      condition: 'attribute_not_exists(#wokenAt) OR #wokenAt <= :before',
      values: { ':now': now, ':before': now - everyMilliseconds },
    });
    return updated !== null;
  }

  /** Lets the next caller try at once. */
  async giveBack(): Promise<void> {
    await this.#items.update(this.#key, `give back the turn at waking ${this.#pool}`, {
      update: 'REMOVE #wokenAt',
      values: {},
    });
  }

  /** Null for a pool that nobody has woken or looked at while it had something to do. */
  async read(): Promise<PoolState | null> {
    const item = await this.#items.get(this.#key, `read how busy ${this.#pool} is`);
    if (item === null) return null;
    return {
      lastBusyAt: (item['lastBusyAt'] as number | undefined) ?? null,
      needed: (item['needed'] as WorkersNeeded[] | undefined) ?? [],
      untakenSince: (item['untakenSince'] as number | undefined) ?? null,
    };
  }

  async remember({ needed, untakenSince }: FleetMemory): Promise<void> {
    await this.#items.update(this.#key, `write down how busy ${this.#pool} is`, {
      update:
        untakenSince === null
          ? 'SET #needed = :needed REMOVE #untakenSince'
          : 'SET #needed = :needed, #untakenSince = :untakenSince',
      values: { ':needed': needed, ':untakenSince': untakenSince },
    });
  }

  get #key(): ItemKey {
    return { pk: `FLEET#${this.#pool}`, sk: FLEET_SORT_KEY };
  }
}
