import {
  BatchGetItemCommand,
  ConditionalCheckFailedException,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
  DeleteItemCommand,
  type AttributeValue,
} from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { ConditionFailedError, FlexCacheError } from '../core/errors.ts';
import type { Entry, EntryState, Job, JobResult, UsageRecord } from '../core/generation.ts';
import { fromAws } from './aws-errors.ts';
import {
  EXACT_KEY_INDEX,
  PROMPT_KEY_INDEX,
  SORT_KEY,
  TENANT_JOBS_INDEX,
  type TableIndex,
} from './table-definition.ts';
import {
  ENTRY_SORT_KEY,
  entryItemKey,
  entryToItem,
  itemToEntry,
  itemToJob,
  jobItemKey,
  jobToItem,
  tenantJobsKey,
  type Attributes,
  type ItemKey,
} from './table-items.ts';
import type { LeaseRequest, Table } from './table.ts';

/** BatchGetItem takes no more (DynamoDB quotas). */
const BATCH_GET_ITEMS = 100;
const BATCH_GET_PAUSE_MILLISECONDS = 50;

const EXISTS = 'attribute_exists(#pk)';
const IS_FREE = 'attribute_not_exists(#pk)';

const IS_READY = '#state = :READY';
const IS_IN_SCOPE = '#tenant = :tenant AND #compatibilityKey = :compatibilityKey';
const LEASE_ENDS_EARLIER = '(attribute_not_exists(#leaseUntil) OR #leaseUntil <= :leaseUntil)';
const LEASE_ENDS_LATER = '#leaseUntil > :leaseUntil';
const IS_IN_EXPECTED_STATE = '#state = :from';
const NO_LIVE_LEASE = '(attribute_not_exists(#leaseUntil) OR #leaseUntil <= :now)';
const IS_LEAVING = '#state IN (:EVICTING, :TOMBSTONE)';

const IS_RUNNING = '#status = :running';
const IS_UNFINISHED = '#status IN (:queued, :running)';
const HAS_STOPPED = '#status IN (:failed, :cancelled)';
const IS_NOT_COMPLETED = '#status <> :completed';

const COUNT_A_HIT = 'SET #lastHitAt = :lastHitAt ADD #hits :one';
const COUNT_A_HIT_AND_LEASE =
  'SET #lastHitAt = :lastHitAt, #leaseUntil = :leaseUntil ADD #hits :one';
const ENTER_INDEXES = 'SET #state = :to, #readyExactKey = #exactKey, #readyPromptKey = #promptKey';
const LEAVE_INDEXES = 'SET #state = :to REMOVE #readyExactKey, #readyPromptKey';

export interface DynamoTableOptions {
  tableName: string;
  client?: DynamoDBClient;
  /** Epoch milliseconds now; stamps `updatedAt` and `completedAt`. */
  now?: () => number;
}

/**
 * The one table on DynamoDB. No transactions and no item in a failed condition's answer are needed,
 * so that any DynamoDB-compatible server serves.
 *
 * | access pattern                 | call            | request                                               | units            |
 * |--------------------------------|-----------------|-------------------------------------------------------|------------------|
 * | create a job once              | createJob       | PutItem `JOB#id`, only if free                        | 2 write          |
 * | read a job                     | getJob          | GetItem `JOB#id`, consistent                          | 1 read           |
 * | jobs of a tenant, newest first | listJobs        | Query `jobs-by-tenant` backwards, BatchGetItem        | 0.5 + 1 per job  |
 * | move a job on                  | startJob, ...   | UpdateItem, conditional on its status                 | 1 write per KB   |
 * | usage, once per step           | recordUsage     | UpdateItem of `usage.<step>`                          | 1 write per KB   |
 * | add an entry once              | putEntry        | PutItem `ENTRY#id`, only if free                      | 3-4 + 2 (indexes)|
 * | read an entry                  | getEntry        | GetItem `ENTRY#id`, consistent                        | 1 read           |
 * | the exact answer               | findExact       | Query `ready-by-exact-key`, GetItem                   | 0.5 + 1 read     |
 * | same prompt, newest first      | findSamePrompt  | Query `ready-by-prompt-key` backwards, BatchGetItem   | 0.5 + 1 per entry|
 * | confirm, lease, count a hit    | leaseEntry      | one conditional UpdateItem                            | 3-4 write        |
 * | evict in steps                 | moveEntry       | UpdateItem, conditional on state and lease            | 3-4 + 2 write    |
 * | forget an entry                | deleteEntry     | DeleteItem, only when leaving                         | 3-4 write        |
 * | every entry                    | scanEntries     | Scan                                                  | 1 per 8 KB       |
 *
 * Indexes hold keys only and propose; each answer is read from the table itself. An entry is about
 * 1.2 KB plus 4 bytes per vector element.
 *
 * @example
 * const table = new DynamoTable({ tableName: 'flexcache' });
 * const { job, created } = await table.createJob(newJob);
 */
export class DynamoTable implements Table {
  readonly #tableName: string;
  readonly #client: DynamoDBClient;
  readonly #now: () => number;

  constructor({ tableName, client, now }: DynamoTableOptions) {
    this.#tableName = tableName;
    this.#client = client ?? new DynamoDBClient({});
    this.#now = now ?? Date.now;
  }

  async createJob(job: Job): Promise<{ job: Job; created: boolean }> {
    if (await this.#putIfFree(jobToItem(job), `create job ${job.videoId}`)) {
      return { job, created: true };
    }
    return { job: await this.#requireJob(job.videoId), created: false };
  }

  async getJob(videoId: string): Promise<Job | null> {
    const item = await this.#get(jobItemKey(videoId), `read job ${videoId}`);
    return item && itemToJob(item);
  }

  async listJobs(tenant: string, limit: number): Promise<Job[]> {
    const jobs: Job[] = [];
    const doing = `list the jobs of tenant ${tenant}`;
    for await (const page of this.#queryNewestFirst(
      TENANT_JOBS_INDEX,
      tenantJobsKey(tenant),
      limit,
      doing,
    )) {
      jobs.push(...page.map(itemToJob));
      if (jobs.length >= limit) break;
    }
    return jobs.slice(0, limit);
  }

  async startJob(videoId: string): Promise<Job> {
    const doing = `start job ${videoId}`;
    const running = await this.#update(jobItemKey(videoId), doing, {
      update: 'SET #status = :running, #updatedAt = :updatedAt',
      condition: IS_UNFINISHED,
      values: { ...this.#statuses('queued', 'running'), ':updatedAt': this.#timestamp() },
    });
    if (running) return itemToJob(running);

    // A rerun starts afresh: a cancellation of the run before does not reach into this one.
    const rerun = await this.#update(jobItemKey(videoId), doing, {
      update:
        'SET #status = :running, #updatedAt = :updatedAt, #progress = :zero, #cancelRequested = :false REMOVE #error, #completedAt',
      condition: HAS_STOPPED,
      values: {
        ...this.#statuses('running', 'failed', 'cancelled'),
        ':updatedAt': this.#timestamp(),
        ':zero': 0,
        ':false': false,
      },
    });
    if (rerun) return itemToJob(rerun);
    const { status } = await this.#requireJob(videoId);
    throw new ConditionFailedError(`job ${videoId} cannot start: it is ${status}`);
  }

  /** A report for a job that is not running any more is void. */
  async setJobProgress(videoId: string, progress: number): Promise<void> {
    const reported = await this.#update(
      jobItemKey(videoId),
      `record the progress of job ${videoId}`,
      {
        update: 'SET #progress = :progress, #updatedAt = :updatedAt',
        condition: IS_RUNNING,
        values: {
          ...this.#statuses('running'),
          ':progress': progress,
          ':updatedAt': this.#timestamp(),
        },
      },
    );
    if (!reported) await this.#requireJob(videoId);
  }

  async recordUsage(videoId: string, usage: UsageRecord): Promise<void> {
    const recorded = await this.#update(jobItemKey(videoId), `record the usage of job ${videoId}`, {
      update: `SET #usage.#${usage.step} = :usage`,
      condition: EXISTS,
      values: { ':usage': usage },
    });
    if (!recorded) throw jobNotFound(videoId);
  }

  /** Idempotent; a job that has failed or was cancelled stays so. @throws ConditionFailedError */
  async completeJob(videoId: string, result: JobResult): Promise<void> {
    const now = this.#timestamp();
    const completed = await this.#update(jobItemKey(videoId), `complete job ${videoId}`, {
      update:
        'SET #status = :completed, #result = :result, #progress = :full, #updatedAt = :now, #completedAt = :now',
      condition: IS_UNFINISHED,
      values: {
        ...this.#statuses('queued', 'running', 'completed'),
        ':result': result,
        ':full': 100,
        ':now': now,
      },
    });
    if (completed) return;
    const { status } = await this.#requireJob(videoId);
    if (status === 'completed') return;
    throw new ConditionFailedError(`job ${videoId} cannot be completed: it is ${status}`);
  }

  /** Idempotent. @throws ConditionFailedError when the job is completed. */
  async failJob(
    videoId: string,
    error: NonNullable<Job['error']>,
    cancelled: boolean,
  ): Promise<void> {
    const now = this.#timestamp();
    const failed = await this.#update(jobItemKey(videoId), `fail job ${videoId}`, {
      update: 'SET #status = :final, #error = :error, #updatedAt = :now, #completedAt = :now',
      condition: `${EXISTS} AND ${IS_NOT_COMPLETED}`,
      values: {
        ...this.#statuses('completed'),
        ':final': cancelled ? 'cancelled' : 'failed',
        ':error': error,
        ':now': now,
      },
    });
    if (failed) return;
    const { status } = await this.#requireJob(videoId);
    throw new ConditionFailedError(`job ${videoId} cannot fail: it is ${status}`);
  }

  /** A job that has already ended stays as it is. */
  async requestCancel(videoId: string): Promise<void> {
    const requested = await this.#update(jobItemKey(videoId), `cancel job ${videoId}`, {
      update: 'SET #cancelRequested = :true, #updatedAt = :updatedAt',
      condition: IS_UNFINISHED,
      values: {
        ...this.#statuses('queued', 'running'),
        ':true': true,
        ':updatedAt': this.#timestamp(),
      },
    });
    if (!requested) await this.#requireJob(videoId);
  }

  async putEntry(entry: Entry): Promise<boolean> {
    return this.#putIfFree(entryToItem(entry), `add entry ${entry.entryId}`);
  }

  async getEntry(entryId: string): Promise<Entry | null> {
    const item = await this.#get(entryItemKey(entryId), `read entry ${entryId}`);
    return item && itemToEntry(item);
  }

  async findExact(exactKey: string): Promise<Entry | null> {
    const [newest] = await this.#findReady(EXACT_KEY_INDEX, exactKey, 1);
    return newest ?? null;
  }

  async findSamePrompt(promptKey: string, limit: number): Promise<Entry[]> {
    return this.#findReady(PROMPT_KEY_INDEX, promptKey, limit);
  }

  /**
   * One write confirms, leases and counts. A lease only ever grows:
   *
   *     time      ───────────────────────────────────────────────────────────────►
   *     stored    ├────────── leaseUntil          LEASE_ENDS_EARLIER: moved out to ours
   *     ours      ├──────────────────────── :leaseUntil
   *     stored    ├──────────────────────────────────── leaseUntil   LEASE_ENDS_LATER: left alone
   *
   * The second write is only tried after the first lost, and holds only while a longer lease does:
   * an entry that left READY in between fails it too, because eviction waits for every lease to end.
   */
  async leaseEntry({ entryId, now, leaseUntil, scope }: LeaseRequest): Promise<Entry | null> {
    const isOurs = scope ? `${IS_READY} AND ${IS_IN_SCOPE}` : IS_READY;
    const values = {
      ':READY': 'READY' satisfies EntryState,
      ':lastHitAt': new Date(now).toISOString(),
      ':leaseUntil': leaseUntil,
      ':one': 1,
      ...(scope && { ':tenant': scope.tenant, ':compatibilityKey': scope.compatibilityKey }),
    };
    const key = entryItemKey(entryId);
    const doing = `lease entry ${entryId}`;

    const leased =
      (await this.#update(key, doing, {
        update: COUNT_A_HIT_AND_LEASE,
        condition: `${isOurs} AND ${LEASE_ENDS_EARLIER}`,
        values,
      })) ??
      (await this.#update(key, doing, {
        update: COUNT_A_HIT,
        condition: `${isOurs} AND ${LEASE_ENDS_LATER}`,
        values,
      }));
    return leased && itemToEntry(leased);
  }

  async moveEntry(
    entryId: string,
    from: EntryState,
    to: EntryState,
    now: number,
  ): Promise<boolean> {
    const moved = await this.#update(entryItemKey(entryId), `move entry ${entryId} to ${to}`, {
      update: to === 'READY' ? ENTER_INDEXES : LEAVE_INDEXES,
      condition: `${IS_IN_EXPECTED_STATE} AND ${NO_LIVE_LEASE}`,
      values: { ':from': from, ':to': to, ':now': now },
    });
    return moved !== null;
  }

  /** @throws ConditionFailedError when the entry is READY. */
  async deleteEntry(entryId: string): Promise<void> {
    const condition = `${IS_FREE} OR ${IS_LEAVING}`;
    try {
      await this.#client.send(
        new DeleteItemCommand({
          TableName: this.#tableName,
          Key: marshall(entryItemKey(entryId)),
          ConditionExpression: condition,
          ExpressionAttributeNames: attributeNames(condition),
          ExpressionAttributeValues: marshall({
            ':EVICTING': 'EVICTING' satisfies EntryState,
            ':TOMBSTONE': 'TOMBSTONE' satisfies EntryState,
          }),
        }),
      );
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) {
        throw new ConditionFailedError(`entry ${entryId} cannot be deleted: it is READY`, {
          cause: error,
        });
      }
      throw fromAws(error, `delete entry ${entryId}`);
    }
  }

  async *scanEntries(): AsyncIterable<Entry> {
    const filter = `#${SORT_KEY} = :entry`;
    let from: Record<string, AttributeValue> | undefined;
    do {
      const page = await this.#send(`scan the entries`, () =>
        this.#client.send(
          new ScanCommand({
            TableName: this.#tableName,
            FilterExpression: filter,
            ExpressionAttributeNames: attributeNames(filter),
            ExpressionAttributeValues: marshall({ ':entry': ENTRY_SORT_KEY }),
            ExclusiveStartKey: from,
          }),
        ),
      );
      for (const item of page.Items ?? []) yield itemToEntry(unmarshall(item));
      from = page.LastEvaluatedKey;
    } while (from);
  }

  async #findReady(index: TableIndex, key: string, limit: number): Promise<Entry[]> {
    const ready: Entry[] = [];
    const doing = `look up index ${index.name}`;
    for await (const page of this.#queryNewestFirst(index, key, limit, doing)) {
      ready.push(...page.map(itemToEntry).filter((entry) => entry.state === 'READY'));
      if (ready.length >= limit) break;
    }
    return ready.slice(0, limit);
  }

  /** Items that an index proposes, as the table has them now: page by page, newest first. */
  async *#queryNewestFirst(
    index: TableIndex,
    key: string,
    limit: number,
    doing: string,
  ): AsyncIterable<Attributes[]> {
    if (limit < 1) return;
    const condition = `#${index.partitionKey} = :key`;
    let from: Record<string, AttributeValue> | undefined;
    do {
      const page = await this.#send(doing, () =>
        this.#client.send(
          new QueryCommand({
            TableName: this.#tableName,
            IndexName: index.name,
            KeyConditionExpression: condition,
            ExpressionAttributeNames: attributeNames(condition),
            ExpressionAttributeValues: marshall({ ':key': key }),
            ScanIndexForward: false,
            Limit: limit,
            ExclusiveStartKey: from,
          }),
        ),
      );
      const keys = (page.Items ?? []).map((item) => {
        const { pk, sk } = unmarshall(item) as ItemKey;
        return { pk, sk };
      });
      yield await this.#getAll(keys, doing);
      from = page.LastEvaluatedKey;
    } while (from);
  }

  /** Items in the order of their keys; those that are gone are left out. */
  async #getAll(keys: readonly ItemKey[], doing: string): Promise<Attributes[]> {
    const found = new Map<string, Attributes>();
    for (let start = 0; start < keys.length; start += BATCH_GET_ITEMS) {
      let pending: Record<string, AttributeValue>[] = keys
        .slice(start, start + BATCH_GET_ITEMS)
        .map((key) => marshall(key));
      for (let attempt = 0; pending.length > 0; attempt++) {
        if (attempt > 0) await pause(BATCH_GET_PAUSE_MILLISECONDS * 2 ** Math.min(attempt, 6));
        const batch = pending;
        const answer = await this.#send(doing, () =>
          this.#client.send(
            new BatchGetItemCommand({
              RequestItems: { [this.#tableName]: { Keys: batch, ConsistentRead: true } },
            }),
          ),
        );
        for (const item of answer.Responses?.[this.#tableName] ?? []) {
          const attributes = unmarshall(item);
          found.set(attributes['pk'] as string, attributes);
        }
        pending = answer.UnprocessedKeys?.[this.#tableName]?.Keys ?? [];
      }
    }
    return keys.flatMap((key) => {
      const item = found.get(key.pk);
      return item ? [item] : [];
    });
  }

  async #get(key: ItemKey, doing: string): Promise<Attributes | null> {
    const { Item: item } = await this.#send(doing, () =>
      this.#client.send(
        new GetItemCommand({
          TableName: this.#tableName,
          Key: marshall(key),
          ConsistentRead: true,
        }),
      ),
    );
    return item ? unmarshall(item) : null;
  }

  /** Whether this call wrote the item. */
  async #putIfFree(item: Attributes, doing: string): Promise<boolean> {
    try {
      await this.#client.send(
        new PutItemCommand({
          TableName: this.#tableName,
          Item: marshall(item, { removeUndefinedValues: true }),
          ConditionExpression: IS_FREE,
          ExpressionAttributeNames: attributeNames(IS_FREE),
        }),
      );
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw fromAws(error, doing);
    }
  }

  /** The item after the update, or null when the condition did not hold. */
  async #update(
    key: ItemKey,
    doing: string,
    { update, condition, values }: { update: string; condition: string; values: Attributes },
  ): Promise<Attributes | null> {
    const used = Object.fromEntries(
      Object.entries(values).filter(([name]) => mentions(`${update} ${condition}`, name)),
    );
    try {
      const { Attributes: item } = await this.#client.send(
        new UpdateItemCommand({
          TableName: this.#tableName,
          Key: marshall(key),
          UpdateExpression: update,
          ConditionExpression: condition,
          ExpressionAttributeNames: attributeNames(update, condition),
          ExpressionAttributeValues: marshall(used, { removeUndefinedValues: true }),
          ReturnValues: 'ALL_NEW',
        }),
      );
      return unmarshall(item!);
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return null;
      throw fromAws(error, doing);
    }
  }

  async #requireJob(videoId: string): Promise<Job> {
    const job = await this.getJob(videoId);
    if (!job) throw jobNotFound(videoId);
    return job;
  }

  async #send<Output>(doing: string, send: () => Promise<Output>): Promise<Output> {
    try {
      return await send();
    } catch (error) {
      throw fromAws(error, doing);
    }
  }

  #statuses(...statuses: Job['status'][]): Attributes {
    return Object.fromEntries(statuses.map((status) => [`:${status}`, status]));
  }

  #timestamp(): string {
    return new Date(this.#now()).toISOString();
  }
}

/** Every `#name` of the expressions stands for the attribute of that name: no reserved word bites. */
function attributeNames(...expressions: string[]): Record<string, string> {
  const names = expressions.flatMap((expression) => expression.match(/#\w+/g) ?? []);
  return Object.fromEntries(names.map((name) => [name, name.slice(1)]));
}

function mentions(expressions: string, value: string): boolean {
  return new Set<string>(expressions.match(/:\w+/g)).has(value);
}

function jobNotFound(videoId: string): FlexCacheError {
  return new FlexCacheError('not_found', `there is no job ${videoId}`, {
    field: 'videoId',
    fix: 'check the video id',
  });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
