import type { Backfill, BackfillLine } from '#core/requests/backfill.ts';
import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import {
  BACKFILL_SORT_KEY,
  BEFORE_LINES,
  backfillItemKey,
  backfillPartition,
  backfillToItem,
  itemToBackfill,
  itemToLine,
  lineToItem,
} from './backfill-items.ts';
import type { BackfillChanges, BackfillTable } from '#ports/backfills.ts';
import { DynamoItems, type DynamoItemsOptions } from './dynamo-items.ts';
import { listPage } from './list-page.ts';
import { ownerKey, ownerSortKey, type Attributes } from './table-items.ts';
import type { ListJobsOptions, Page } from '#ports/table.ts';

const IS_UNFINISHED = '#status IN (:queued, :running)';
const UNFINISHED: Attributes = { ':queued': 'queued', ':running': 'running' };

/**
 * Backfills and the ends of their lines.
 *
 * | access pattern                      | call                   | request                                | units             |
 * |-------------------------------------|------------------------|----------------------------------------|-------------------|
 * | create a backfill once              | createBackfill         | PutItem `BACKFILL#id`, only if free    | 2 write           |
 * | read a backfill                     | getBackfill            | GetItem `BACKFILL#id`, consistent      | 1 read            |
 * | backfills of a tenant, newest first | listBackfills          | Query `by-owner`, BatchGetItem         | 0.5 + 1 per one   |
 * | move a backfill on                  | updateBackfill, ...    | UpdateItem, conditional on its status  | 1 write per KB    |
 * | how a line ended                    | putLine                | PutItem `BACKFILL#id/LINE#n`           | 1 write           |
 * | its lines in order                  | listLines              | Query of the partition, consistent     | 1 per 4 KB        |
 *
 * @example
 * const backfills = new DynamoBackfillTable({ tableName: 'flexcache' });
 * for await (const line of backfills.listLines(backfillId)) count(line.status);
 */
export class DynamoBackfillTable implements BackfillTable {
  readonly #items: DynamoItems;

  constructor(options: DynamoItemsOptions) {
    this.#items = new DynamoItems(options);
  }

  async createBackfill(backfill: Backfill): Promise<{ backfill: Backfill; created: boolean }> {
    const doing = `create backfill ${backfill.backfillId}`;
    if (await this.#items.putIfAbsent(backfillToItem(backfill), doing)) {
      return { backfill, created: true };
    }
    return { backfill: await this.#requireBackfill(backfill.backfillId), created: false };
  }

  async getBackfill(backfillId: string): Promise<Backfill | null> {
    const item = await this.#items.get(backfillItemKey(backfillId), `read backfill ${backfillId}`);
    return item && itemToBackfill(item);
  }

  async listBackfills(tenant: string, options: ListJobsOptions): Promise<Page<Backfill>> {
    const { after } = options;
    const from = after === undefined ? null : await this.getBackfill(after);
    if (after !== undefined && from?.tenant !== tenant) throw backfillNotFound(after, 'after');
    const page = await listPage(this.#items, `list the backfills of tenant ${tenant}`, {
      ...options,
      owner: ownerKey('BACKFILLS', tenant),
      after: from ? ownerSortKey(from.createdAt, from.backfillId) : undefined,
    });
    return { ...page, items: page.items.map(itemToBackfill) };
  }

  async *scanBackfills(): AsyncIterable<Backfill> {
    for await (const item of this.#items.scan(BACKFILL_SORT_KEY, 'scan the backfills')) {
      yield itemToBackfill(item);
    }
  }

  async updateBackfill(backfillId: string, changes: BackfillChanges): Promise<Backfill> {
    const given = Object.entries(changes).filter(([, value]) => value !== undefined);
    const updated = await this.#items.update(
      backfillItemKey(backfillId),
      `update backfill ${backfillId}`,
      {
        update: `SET ${['updatedAt', ...given.map(([name]) => name)]
          .map((name) => `#${name} = :new_${name}`)
          .join(', ')}`,
        condition: IS_UNFINISHED,
        values: {
          ...UNFINISHED,
          ':new_updatedAt': this.#items.timestamp(),
          ...Object.fromEntries(given.map(([name, value]) => [`:new_${name}`, value])),
        },
      },
    );
    if (updated) return itemToBackfill(updated);
    const { status } = await this.#requireBackfill(backfillId);
    throw new ConditionFailedError(`backfill ${backfillId} cannot be changed: it is ${status}`);
  }

  async requestBackfillCancel(backfillId: string): Promise<void> {
    const requested = await this.#items.update(
      backfillItemKey(backfillId),
      `cancel backfill ${backfillId}`,
      {
        update: 'SET #cancelRequested = :true, #updatedAt = :updatedAt',
        condition: IS_UNFINISHED,
        values: { ...UNFINISHED, ':true': true, ':updatedAt': this.#items.timestamp() },
      },
    );
    if (!requested) await this.#requireBackfill(backfillId);
  }

  async putLine(line: BackfillLine): Promise<void> {
    await this.#items.put(
      lineToItem(line),
      `record line ${line.line} of backfill ${line.backfillId}`,
    );
  }

  async *listLines(backfillId: string): AsyncIterable<BackfillLine> {
    const lines = this.#items.query(
      { key: backfillPartition(backfillId), isAscending: true, after: BEFORE_LINES },
      `list the lines of backfill ${backfillId}`,
    );
    for await (const page of lines) yield* page.map(itemToLine);
  }

  async #requireBackfill(backfillId: string): Promise<Backfill> {
    const backfill = await this.getBackfill(backfillId);
    if (!backfill) throw backfillNotFound(backfillId);
    return backfill;
  }
}

function backfillNotFound(backfillId: string, field = 'backfillId'): FlexCacheError {
  return new FlexCacheError('not_found', `there is no backfill ${backfillId}`, {
    field,
    fix: 'check the id of the backfill',
  });
}
