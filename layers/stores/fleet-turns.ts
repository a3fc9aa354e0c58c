import type { Pool } from '../core/generation.ts';
import type { DynamoItems } from './dynamo-items.ts';
import type { ItemKey } from './table-items.ts';

const FLEET_SORT_KEY = 'FLEET';

/** What the callers of one pool agree upon, in one item of the table. */
export class FleetTurns {
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

  async markBusy(now: number): Promise<void> {
    await this.#items.update(this.#key, `mark ${this.#pool} busy`, {
      update: 'SET #lastBusyAt = :now',
      values: { ':now': now },
    });
  }

  /** Whether the pool has been idle for so long; one that nobody has seen begins to be idle now. */
  async isIdle(now: number, milliseconds: number): Promise<boolean> {
    const item = await this.#items.get(this.#key, `read how long ${this.#pool} is idle`);
    const lastBusyAt = item?.['lastBusyAt'] as number | undefined;
    if (lastBusyAt !== undefined) return now - lastBusyAt >= milliseconds;
    await this.markBusy(now);
    return false;
  }

  get #key(): ItemKey {
    return { pk: `FLEET#${this.#pool}`, sk: FLEET_SORT_KEY };
  }
}
