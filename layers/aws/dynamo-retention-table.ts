import { dayOf } from '#core/day.ts';
import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import type { RetentionRun } from '#core/retention/retention-run.ts';
import { DynamoItems, type DynamoItemsOptions } from './dynamo-items.ts';
import type { RetentionState, RetentionTable } from '#ports/retention-table.ts';
import { PARTITION_KEY, SORT_KEY } from './table-definition.ts';
import { without, type ItemKey } from './table-items.ts';

const STATE_KEY: ItemKey = { pk: 'RETENTION', sk: 'STATE' };
const MAX_STATE_BYTES = 300_000;

const IS_FREE_OR_OURS = 'attribute_not_exists(#holder) OR #holder = :holder OR #heldUntil <= :now';
const IS_OURS = '#holder = :holder';

/**
 * Records of the passes over the cache, and where the one under way is.
 *
 * | access pattern             | call      | request                                            | units          |
 * |----------------------------|-----------|----------------------------------------------------|----------------|
 * | record a pass              | putRun    | PutItem `RETENTION#day/EVICT#time#id`              | 1 write per KB |
 * | passes of a day, in order  | listRuns  | Query `RETENTION#day`, consistent                  | 1 per 4 KB     |
 * | what the last pass left    | getState  | GetItem `RETENTION/STATE`, consistent              | 1 per 4 KB     |
 * | one pass at a time         | acquireLease  | UpdateItem, free, ours or over                     | 1 write per KB |
 * | how far it has come        | putState  | UpdateItem, only ours                              | 1 write per KB |
 * | let the next one work      | releaseLease   | UpdateItem, only ours                              | 1 write per KB |
 */
export class DynamoRetentionTable implements RetentionTable {
  readonly #items: DynamoItems;

  constructor(options: DynamoItemsOptions) {
    this.#items = new DynamoItems(options);
  }

  async putRun(run: RetentionRun): Promise<void> {
    const key = runKey(run);
    await this.#items.put({ ...run, ...key }, `record the pass ${run.runId}`);
  }

  async listRuns(day: string): Promise<RetentionRun[]> {
    const runs: RetentionRun[] = [];
    const query = { key: dayKey(day), isAscending: true };
    for await (const page of this.#items.query(query, `list the passes of ${day}`)) {
      for (const item of page) {
        runs.push(without(item, [PARTITION_KEY, SORT_KEY]) as unknown as RetentionRun);
      }
    }
    return runs.sort((one, other) => (one.startedAt < other.startedAt ? -1 : 1));
  }

  async getState(): Promise<RetentionState | null> {
    const item = await this.#items.get(STATE_KEY, 'read what the last pass left behind');
    const stored = item?.['progress'];
    return typeof stored === 'string' ? (JSON.parse(stored) as RetentionState) : null;
  }

  async acquireLease(holder: string, now: number, until: number): Promise<boolean> {
    const taken = await this.#items.update(STATE_KEY, 'acquire the lease of the eviction pass', {
      update: 'SET #holder = :holder, #heldUntil = :until',
      condition: IS_FREE_OR_OURS,
      values: { ':holder': holder, ':until': until, ':now': now },
    });
    return taken !== null;
  }

  async putState(state: RetentionState, holder: string, until: number): Promise<void> {
    const progress = JSON.stringify(state);
    if (Buffer.byteLength(progress) > MAX_STATE_BYTES) {
      throw new FlexCacheError(
        'internal',
        `the state of a pass is ${progress.length} bytes of JSON: more than an item should hold`,
      );
    }
    const written = await this.#items.update(STATE_KEY, 'record how far the pass has come', {
      update: 'SET #progress = :progress, #heldUntil = :until',
      condition: IS_OURS,
      values: { ':progress': progress, ':holder': holder, ':until': until },
    });
    if (written !== null) return;
    throw new ConditionFailedError('the pass over the cache took too long: another one goes on');
  }

  async releaseLease(holder: string): Promise<void> {
    await this.#items.update(STATE_KEY, 'release the lease of the eviction pass', {
      update: 'REMOVE #holder, #heldUntil',
      condition: IS_OURS,
      values: { ':holder': holder },
    });
  }
}

function dayKey(day: string): string {
  return `RETENTION#${day}`;
}

function runKey({ kind, startedAt, runId }: RetentionRun): ItemKey {
  return {
    pk: dayKey(dayOf(startedAt)),
    sk: `${kind.toUpperCase()}#${startedAt}#${runId}`,
  };
}
