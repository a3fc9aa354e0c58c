import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import type {
  BackfillReference,
  Entry,
  EntryStatus,
  Job,
  JobResult,
  Pool,
  UsageRecord,
} from '#core/generation.ts';
import type { PromptWarning } from '#core/requests/prompt-warnings.ts';
import { DynamoItems, type DynamoItemsOptions, type ItemUpdate } from './dynamo-items.ts';
import {
  DAY_INDEX,
  EXACT_KEY_INDEX,
  PROMPT_KEY_INDEX,
  STATE_INDEX,
  type TableIndex,
} from './table-definition.ts';
import { segmentKey, stateRange, stateSortKey, toCandidate } from './entry-items.ts';
import {
  ENTRY_SORT_KEY,
  JOB_SORT_KEY,
  entryItemKey,
  entryToItem,
  itemToEntry,
  itemToJob,
  jobItemKey,
  jobToItem,
  jobsOfDayKey,
  ownerKey,
  ownerSortKey,
  queueItemKey,
  queueKey,
  usageName,
  type Attributes,
} from './table-items.ts';
import { isSamePartition } from '#core/requests/identity.ts';
import { listPage } from './list-page.ts';
import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import { decayWeight, LANDMARK } from '#core/retention/decay.ts';
import type { LeavingReason } from '#core/retention/retention-run.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import {
  SEGMENTS,
  type CandidatePage,
  type CandidatePageOptions,
  type LeaseRequest,
  type ListJobsOptions,
  type MoveOptions,
  type Page,
  type Table,
} from '#ports/table.ts';

const EXISTS = 'attribute_exists(#pk)';
const IS_FREE = 'attribute_not_exists(#pk)';

const IS_READY = '#state = :READY';
const IS_IN_TENANT_PARTITION =
  '#scope = :scope AND #tenant = :tenant AND #compatibilityKey = :compatibilityKey';
const IS_IN_SHARED_PARTITION = '#scope = :scope AND #compatibilityKey = :compatibilityKey';
const IS_HOLDER = 'contains(#holders, :holder)';
const IS_NO_HOLDER = '(NOT contains(#holders, :holder))';
const HAS_NO_HOLDERS = 'attribute_not_exists(#holders)';
const LEASE_ENDS_EARLIER = '(attribute_not_exists(#leaseUntil) OR #leaseUntil < :leaseUntil)';
const LEASE_ENDS_LATER = '#leaseUntil >= :leaseUntil';
const IS_IN_EXPECTED_STATE = '#state = :from';
const NO_LIVE_LEASE = `(${HAS_NO_HOLDERS} OR attribute_not_exists(#leaseUntil) OR #leaseUntil <= :now)`;
const READY = { ':READY': 'READY' satisfies EntryStatus };
const COUNT_HIT =
  ' ADD #hits :one, #holders :holders, #decayedHits :weight, #decayedCredit :credit';
const LEAVE_HOLDERS = 'DELETE #holders :holders';
const DISCOUNT_HIT = 'ADD #hits :minusOne, #decayedHits :minusWeight, #decayedCredit :minusCredit';
const HAS_COUNTED = '#hits >= :one AND #decayedHits >= :weight AND #decayedCredit >= :credit';
const HAD_HITS = '#hits = :hits';
const IS_NOT_PINNED = 'attribute_not_exists(#pinnedAt)';
/** Entries leave for these whoever has pinned them. */
const IS_NO_CHOICE: ReadonlySet<LeavingReason> = new Set(['latent-missing', 'superseded']);
const IS_LEAVING = '#state IN (:EVICTING, :TOMBSTONE)';

const IS_RUNNING = '#status = :running';
const IS_UNFINISHED = '#status IN (:queued, :running)';
const HAS_STOPPED = '#status IN (:failed, :cancelled)';
const HAS_ENDED = '#status IN (:completed, :failed, :cancelled)';
const IS_NOT_COMPLETED = '#status <> :completed';
const IS_NOT_DELETED = 'attribute_not_exists(#deletedAt)';

const ENTER_INDEXES =
  'SET #state = :to, #stateSort = :stateSort, #readyExactKey = #exactKey, #readyPromptKey = #promptKey REMOVE #leavingAt, #evictionReason';
const LEAVE_INDEXES = 'SET #state = :to, #stateSort = :stateSort, #leavingAt = :now';
const LEFT_INDEXES = 'REMOVE #readyExactKey, #readyPromptKey, #holders, #leaseUntil';

/** A job that waits in a queue has ended before. */
const MAX_WAIT_SECONDS = TASK_TIMEOUTS.backfill.totalSeconds + 24 * 60 * 60;

/** Of a day, in memory: a page of keys would name thousands. */
const JOBS_AT_ONCE = 100;

/**
 * The one table on DynamoDB. No transactions and no item in a failed condition's answer are needed,
 * so that any DynamoDB-compatible server serves.
 *
 * | access pattern                 | call           | request                                             | units             |
 * |--------------------------------|----------------|-----------------------------------------------------|-------------------|
 * | create a job once              | createJob      | PutItem `JOB#id`, only if free                      | 3 write           |
 * | read a job                     | getJob         | GetItem `JOB#id`, consistent                        | 1 read            |
 * | jobs of a tenant, by pages     | listJobs       | Query `by-owner`, either way, BatchGetItem          | 0.5 + 1 per job   |
 * | jobs of a day, oldest first    | listDay        | Query `by-day`, BatchGetItem                        | 0.5 + 1 per job   |
 * | every job                      | scanJobs       | Scan                                                | 1 per 8 KB        |
 * | move a job on                  | startJob, ...  | UpdateItem, conditional on its status               | 1 write per KB    |
 * | try a job again                | resubmitJob    | UpdateItem, only failed or cancelled                | 1 write per KB    |
 * | take a job out of the listings | deleteJob      | UpdateItem, only ended; leaves `by-owner`           | 1 per KB + 1      |
 * | what a prompt is warned of     | warnOfPrompt   | UpdateItem, only where there is something           | 1 write per KB    |
 * | usage, once per run of a step  | recordUsage    | UpdateItem of `usage.<step>_<run>`                  | 1 write per KB    |
 * | wait for a worker, stop        | enterQueue,... | PutItem, DeleteItem of `QUEUE#pool`                 | 1 write each      |
 * | who waits for a worker         | readQueue      | Query `QUEUE#pool`, consistent                      | 1 read per 30 ids |
 * | add an entry once              | putEntry       | PutItem `ENTRY#id`, only if free                    | 3-4 + 3 (indexes) |
 * | read an entry                  | getEntry       | GetItem `ENTRY#id`, consistent                      | 1 read            |
 * | the exact answer               | findExact      | Query `ready-by-exact-key`, GetItem                 | 0.5 + 1 read      |
 * | same prompt, newest first      | findSamePrompt | Query `ready-by-prompt-key` backwards, BatchGetItem | 0.5 + 1 per entry |
 * | confirm, lease, count a hit    | leaseEntry     | one conditional UpdateItem                          | 3-4 + 1 write     |
 * | end a holder's lease           | releaseEntry   | UpdateItem; the last one ends the lease with a 2nd  | 3-8 write         |
 * | take a lease back, uncounted   | withdrawLease  | UpdateItem; the last one ends the lease with a 2nd  | 4-8 write         |
 * | evict in steps                 | moveEntry      | UpdateItem, conditional on state, lease, hits, pin  | 3-4 + 4 write     |
 * | keep an entry, or let it go    | pinEntry       | UpdateItem, only while READY                        | 3-4 + 1 write     |
 * | a refreshed video replaces it  | supersedeEntry | UpdateItem, only while READY                        | 3-4 + 2 write     |
 * | where a latent lies            | setStorageClass| UpdateItem, only while READY                        | 3-4 + 1 write     |
 * | list eviction candidates       | listCandidates   | Query `entries-by-state`, 16 segments               | 0.5 per 8 entries |
 * | finish what leaves             | leavingEntries | Query `entries-by-state`, 2 for each segment        | 0.5 each          |
 * | forget an entry                | deleteEntry    | DeleteItem, only when leaving                       | 3-4 write         |
 * | every entry                    | scanEntries    | Scan                                                | 1 per 8 KB        |
 *
 * Indexes hold keys only and propose; each answer is read from the table itself. An entry is about
 * 1.2 KB plus 4 bytes per vector element.
 *
 * @example
 * const table = new DynamoTable({ tableName: 'flexcache' });
 * const { job, created } = await table.createJob(newJob);
 */
export class DynamoTable implements Table {
  readonly #items: DynamoItems;

  constructor(options: DynamoItemsOptions) {
    this.#items = new DynamoItems(options);
  }

  async createJob(job: Job): Promise<{ job: Job; created: boolean }> {
    if (await this.#items.putIfAbsent(jobToItem(job), `create job ${job.videoId}`)) {
      return { job, created: true };
    }
    return { job: await this.#requireJob(job.videoId), created: false };
  }

  async getJob(videoId: string): Promise<Job | null> {
    const item = await this.#items.get(jobItemKey(videoId), `read job ${videoId}`);
    return item && itemToJob(item);
  }

  async listJobs(tenant: string, options: ListJobsOptions): Promise<Page<Job>> {
    const doing = `list the jobs of tenant ${tenant}`;
    const { after } = options;
    const from = after === undefined ? null : await this.getJob(after);
    if (after !== undefined && from?.tenant !== tenant) throw jobNotFound(after, 'after');
    const page = await listPage(this.#items, doing, {
      ...options,
      owner: ownerKey('JOBS', tenant),
      after: from ? ownerSortKey(from.createdAt, from.videoId) : undefined,
      // The index may still name one that was deleted a moment ago.
      isListed: (item) => item['deletedAt'] === undefined,
    });
    return { ...page, items: page.items.map(itemToJob) };
  }

  async *listDay(day: string): AsyncIterable<Job> {
    const query = {
      index: DAY_INDEX,
      key: jobsOfDayKey(day),
      limit: JOBS_AT_ONCE,
      isAscending: true,
    };
    for await (const page of this.#items.query(query, `list the jobs of ${day}`)) {
      yield* page.map(itemToJob);
    }
  }

  async *scanJobs(): AsyncIterable<Job> {
    for await (const item of this.#items.scan(JOB_SORT_KEY, 'scan the jobs')) yield itemToJob(item);
  }

  /** The attempt starts afresh: a cancellation of the one before does not reach into it. */
  async resubmitJob(videoId: string, backfill?: BackfillReference): Promise<Job> {
    const queued = await this.#items.update(jobItemKey(videoId), `submit job ${videoId} again`, {
      update: `SET #status = :queued, #updatedAt = :updatedAt, #progress = :zero, #cancelRequested = :false${backfill === undefined ? '' : ', #backfill = :backfill'} REMOVE #error, #completedAt ADD #attempt :one`,
      condition: `${HAS_STOPPED} AND ${IS_NOT_DELETED}`,
      values: {
        ...this.#statuses('queued', 'failed', 'cancelled'),
        ':updatedAt': this.#items.timestamp(),
        ':zero': 0,
        ':one': 1,
        ':false': false,
        ':backfill': backfill,
      },
    });
    return queued ? itemToJob(queued) : this.#requireJob(videoId);
  }

  async startJob(videoId: string): Promise<Job> {
    const running = await this.#items.update(jobItemKey(videoId), `start job ${videoId}`, {
      update: 'SET #status = :running, #updatedAt = :updatedAt REMOVE #takenAt',
      condition: IS_UNFINISHED,
      values: { ...this.#statuses('queued', 'running'), ':updatedAt': this.#items.timestamp() },
    });
    if (running) return itemToJob(running);
    const { status } = await this.#requireJob(videoId);
    throw new ConditionFailedError(`job ${videoId} cannot start: it is ${status}`);
  }

  async warnOfPrompt(videoId: string, warnings: readonly PromptWarning[]): Promise<void> {
    const warned = await this.#items.update(
      jobItemKey(videoId),
      `keep the warnings of job ${videoId}`,
      { update: 'SET #warnings = :warnings', condition: EXISTS, values: { ':warnings': warnings } },
    );
    if (!warned) throw jobNotFound(videoId);
  }

  /** What a crash leaves behind leaves by itself, behind the longest wait that there is. */
  async enterQueue(pool: Pool, videoId: string): Promise<void> {
    const now = Date.parse(this.#items.timestamp());
    const item = {
      ...queueItemKey(pool, videoId),
      enteredAt: now,
      expiresAt: Math.ceil(now / 1000) + MAX_WAIT_SECONDS,
    };
    await this.#items.put(item, `queue job ${videoId}`);
  }

  async leaveQueue(pool: Pool, videoId: string): Promise<void> {
    await this.#items.delete(queueItemKey(pool, videoId), `take job ${videoId} out of the queue`);
  }

  async readQueue(pool: Pool): Promise<string[]> {
    const now = Date.parse(this.#items.timestamp()) / 1000;
    const waiting: { videoId: string; enteredAt: number }[] = [];
    const query = { key: queueKey(pool) };
    for await (const page of this.#items.query(query, `read the queue of pool ${pool}`)) {
      for (const { sk, enteredAt, expiresAt } of page) {
        if ((expiresAt as number) < now) continue;
        waiting.push({ videoId: sk as string, enteredAt: enteredAt as number });
      }
    }
    return waiting
      .sort((one, other) => one.enteredAt - other.enteredAt)
      .map(({ videoId }) => videoId);
  }

  /** A report for a job that is not running any more is void. */
  async setJobProgress(videoId: string, progress: number, usage?: UsageRecord): Promise<void> {
    const entered = usageUpdate(usage === undefined ? [] : [usage]);
    const reported = await this.#items.update(
      jobItemKey(videoId),
      `record the progress of job ${videoId}`,
      {
        update: `SET #progress = :progress, #updatedAt = :updatedAt, #takenAt = if_not_exists(#takenAt, :updatedAt)${entered.update}`,
        condition: IS_RUNNING,
        values: {
          ...this.#statuses('running'),
          ':progress': progress,
          ':updatedAt': this.#items.timestamp(),
          ...entered.values,
        },
      },
    );
    if (!reported) await this.#requireJob(videoId);
  }

  async recordUsage(videoId: string, usage: UsageRecord): Promise<void> {
    const recorded = await this.#items.update(
      jobItemKey(videoId),
      `record the usage of job ${videoId}`,
      {
        update: `SET #usage.#${usageName(usage)} = :usage`,
        condition: EXISTS,
        values: { ':usage': usage },
      },
    );
    if (!recorded) throw jobNotFound(videoId);
  }

  /**
   * Idempotent; a job that has failed or was cancelled stays so, and the ledger of a completed one as it
   * is. @throws ConditionFailedError
   */
  async completeJob(
    videoId: string,
    result: JobResult,
    usage: readonly UsageRecord[] = [],
  ): Promise<Job> {
    const now = this.#items.timestamp();
    const entered = usageUpdate(usage);
    const completed = await this.#items.update(jobItemKey(videoId), `complete job ${videoId}`, {
      update: `SET #status = :completed, #result = :result, #progress = :full, #updatedAt = :now, #completedAt = :now${entered.update}`,
      condition: IS_UNFINISHED,
      values: {
        ...this.#statuses('queued', 'running', 'completed'),
        ':result': result,
        ':full': 100,
        ':now': now,
        ...entered.values,
      },
    });
    if (completed) return itemToJob(completed);
    const job = await this.#requireJob(videoId);
    if (job.status === 'completed') return job;
    throw new ConditionFailedError(`job ${videoId} cannot be completed: it is ${job.status}`);
  }

  /** Idempotent. @throws ConditionFailedError when the job is completed. */
  async failJob(
    videoId: string,
    error: NonNullable<Job['error']>,
    cancelled: boolean,
    usage: readonly UsageRecord[] = [],
  ): Promise<Job> {
    const now = this.#items.timestamp();
    const entered = usageUpdate(usage);
    const failed = await this.#items.update(jobItemKey(videoId), `fail job ${videoId}`, {
      update: `SET #status = :final, #error = :error, #updatedAt = :now, #completedAt = :now${entered.update}`,
      condition: `${EXISTS} AND ${IS_NOT_COMPLETED}`,
      values: {
        ...this.#statuses('completed'),
        ':final': cancelled ? 'cancelled' : 'failed',
        ':error': error,
        ':now': now,
        ...entered.values,
      },
    });
    if (failed) return itemToJob(failed);
    const { status } = await this.#requireJob(videoId);
    throw new ConditionFailedError(`job ${videoId} cannot fail: it is ${status}`);
  }

  /** A job that has already ended stays as it is. */
  async requestCancel(videoId: string): Promise<void> {
    const requested = await this.#items.update(jobItemKey(videoId), `cancel job ${videoId}`, {
      update: 'SET #cancelRequested = :true, #updatedAt = :updatedAt',
      condition: IS_UNFINISHED,
      values: {
        ...this.#statuses('queued', 'running'),
        ':true': true,
        ':updatedAt': this.#items.timestamp(),
      },
    });
    if (!requested) await this.#requireJob(videoId);
  }

  /** The record stays, for the books and for its idempotency key. */
  async deleteJob(videoId: string): Promise<void> {
    const deleted = await this.#items.update(jobItemKey(videoId), `delete job ${videoId}`, {
      update:
        'SET #deletedAt = if_not_exists(#deletedAt, :now), #updatedAt = :now REMOVE #owner, #ownerSort',
      condition: HAS_ENDED,
      values: {
        ...this.#statuses('completed', 'failed', 'cancelled'),
        ':now': this.#items.timestamp(),
      },
    });
    if (deleted) return;
    const { status } = await this.#requireJob(videoId);
    throw new ConditionFailedError(`job ${videoId} cannot be deleted: it is ${status}`);
  }

  async putEntry(entry: Entry): Promise<boolean> {
    return this.#items.putIfAbsent(entryToItem(entry), `add entry ${entry.entryId}`);
  }

  async getEntry(entryId: string): Promise<Entry | null> {
    const item = await this.#items.get(entryItemKey(entryId), `read entry ${entryId}`);
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
   * One write confirms, leases and counts; which one depends on what is stored:
   *
   *     time      ───────────────────────────────────────────────────────────────►
   *     stored    ├────────── leaseUntil          LEASE_ENDS_EARLIER: moved out to ours
   *     ours      ├──────────────────────── :leaseUntil
   *     stored    ├──────────────────────────────────── leaseUntil   LEASE_ENDS_LATER: left alone
   *
   * and on whether we hold it already. The likely case, a new holder whose lease is the longest, is
   * written unseen. Where that loses, the entry is read and the write that fits is tried, under the
   * condition that it still fits; each further round means that another holder came or left.
   */
  async leaseEntry(lease: LeaseRequest): Promise<Entry | null> {
    const { entryId, holder, partition } = lease;
    const key = entryItemKey(entryId);
    const doing = `lease entry ${entryId}`;
    let leased = await this.#items.update(
      key,
      doing,
      leaseUpdate(lease, { isHeld: false, isLonger: true }),
    );
    while (leased === null) {
      const stored = await this.#items.get(key, doing);
      if (stored === null || stored['state'] !== 'READY') return null;
      if (partition && !isSamePartition(itemToEntry(stored), partition)) return null;
      leased = await this.#items.update(
        key,
        doing,
        leaseUpdate(lease, {
          isHeld: holdersOf(stored).has(holder),
          isLonger: lease.leaseUntil > ((stored['leaseUntil'] as number | undefined) ?? -Infinity),
        }),
      );
    }
    return itemToEntry(leased);
  }

  async releaseEntry(entryId: string, holder: string): Promise<void> {
    const left = await this.#items.update(entryItemKey(entryId), `release entry ${entryId}`, {
      update: LEAVE_HOLDERS,
      condition: IS_HOLDER,
      values: { ':holder': holder, ':holders': new Set([holder]) },
    });
    if (left !== null) await this.#endLease(entryId, left);
  }

  async withdrawLease(lease: LeaseRequest): Promise<void> {
    const { entryId, holder } = lease;
    const { weight, credit } = countedWith(lease);
    const left = await this.#items.update(entryItemKey(entryId), `withdraw a lease of ${entryId}`, {
      update: `${LEAVE_HOLDERS} ${DISCOUNT_HIT}`,
      condition: `${IS_HOLDER} AND ${HAS_COUNTED}`,
      values: {
        ':holder': holder,
        ':holders': new Set([holder]),
        ':one': 1,
        ':weight': weight,
        ':credit': credit,
        ':minusOne': -1,
        ':minusWeight': -weight,
        ':minusCredit': -credit,
      },
    });
    if (left !== null) await this.#endLease(entryId, left);
    // An earlier run of the same request has counted it, a little earlier and so a little less.
    else await this.releaseEntry(entryId, holder);
  }

  async moveEntry(
    entryId: string,
    from: EntryStatus,
    to: EntryStatus,
    now: number,
    { hits, reason }: MoveOptions = {},
  ): Promise<boolean> {
    const isByChoice = reason !== undefined && !IS_NO_CHOICE.has(reason);
    const leave = `${LEAVE_INDEXES}${reason === undefined ? '' : ', #evictionReason = :reason'}`;
    const moved = await this.#items.update(
      entryItemKey(entryId),
      `move entry ${entryId} to ${to}`,
      {
        update: to === 'READY' ? ENTER_INDEXES : `${leave} ${LEFT_INDEXES}`,
        condition: [
          IS_IN_EXPECTED_STATE,
          NO_LIVE_LEASE,
          ...(hits === undefined ? [] : [HAD_HITS]),
          ...(isByChoice ? [IS_NOT_PINNED] : []),
        ].join(' AND '),
        values: {
          ':from': from,
          ':to': to,
          ':now': now,
          ':stateSort': stateSortKey(to, entryId),
          ':hits': hits,
          ':reason': reason,
        },
      },
    );
    return moved !== null;
  }

  async pinEntry(entryId: string, isPinned: boolean): Promise<Entry> {
    const key = entryItemKey(entryId);
    const pinned = await this.#items.update(key, `pin entry ${entryId}`, {
      update: isPinned ? 'SET #pinnedAt = if_not_exists(#pinnedAt, :now)' : 'REMOVE #pinnedAt',
      condition: IS_READY,
      values: { ...READY, ':now': this.#items.timestamp() },
    });
    if (pinned) return itemToEntry(pinned);
    throw new FlexCacheError('not_found', `there is no entry ${entryId} in the cache`, {
      field: 'entryId',
      fix: 'list the entries with flexcache cache ls',
    });
  }

  async supersedeEntry(entryId: string, by: string): Promise<void> {
    await this.#items.update(entryItemKey(entryId), `supersede entry ${entryId}`, {
      update: 'SET #supersededBy = :by REMOVE #readyExactKey, #readyPromptKey',
      condition: IS_READY,
      values: { ...READY, ':by': by },
    });
  }

  async setStorageClass(entryId: string, storageClass: StorageClass): Promise<boolean> {
    const key = entryItemKey(entryId);
    const set = await this.#items.update(key, `record the storage class of entry ${entryId}`, {
      update: 'SET #storageClass = :storageClass',
      condition: IS_READY,
      values: { ...READY, ':storageClass': storageClass },
    });
    return set !== null;
  }

  async listCandidates(
    segment: number,
    { after, limit }: CandidatePageOptions = {},
  ): Promise<CandidatePage> {
    const range = { index: STATE_INDEX, key: segmentKey(segment), limit };
    const { items, hasMore } = await this.#items.indexPage(
      { ...range, ...stateRange('READY', after) },
      `list the eviction candidates of segment ${segment}`,
    );
    const entries = items.map(toCandidate);
    return { entries, next: (hasMore && entries.at(-1)?.entryId) || null };
  }

  /** Where nothing leaves that is 32 empty answers, all asked for at once. */
  async *leavingEntries(): AsyncIterable<EvictionCandidate> {
    const ranges = Array.from({ length: SEGMENTS }, (_, segment) => segment).flatMap((segment) =>
      (['EVICTING', 'TOMBSTONE'] as const).map((state) => ({ segment, state })),
    );
    const firstPages = await Promise.all(
      ranges.map(({ segment, state }) => this.#leavingPage(segment, state)),
    );
    for (const [index, { segment, state }] of ranges.entries()) {
      for (let page = firstPages[index]!; ;) {
        const entries = page.items.map(toCandidate);
        yield* entries;
        const last = entries.at(-1);
        if (!page.hasMore || last === undefined) break;
        page = await this.#leavingPage(segment, state, last.entryId);
      }
    }
  }

  /** @throws ConditionFailedError when the entry is READY. */
  async deleteEntry(entryId: string): Promise<void> {
    const isDeleted = await this.#items.delete(entryItemKey(entryId), `delete entry ${entryId}`, {
      condition: `${IS_FREE} OR ${IS_LEAVING}`,
      values: {
        ':EVICTING': 'EVICTING' satisfies EntryStatus,
        ':TOMBSTONE': 'TOMBSTONE' satisfies EntryStatus,
      },
    });
    if (!isDeleted) {
      throw new ConditionFailedError(`entry ${entryId} cannot be deleted: it is READY`);
    }
  }

  async *scanEntries(): AsyncIterable<Entry> {
    for await (const item of this.#items.scan(ENTRY_SORT_KEY, 'scan the entries')) {
      yield itemToEntry(item);
    }
  }

  /** The last holder ends the lease. */
  async #endLease(entryId: string, left: Attributes): Promise<void> {
    if (holdersOf(left).size > 0) return;
    await this.#items.update(entryItemKey(entryId), `end the lease of entry ${entryId}`, {
      update: 'REMOVE #leaseUntil',
      condition: `${EXISTS} AND ${HAS_NO_HOLDERS}`,
      values: {},
    });
    if (left['supersededBy'] === undefined) return;
    await this.moveEntry(entryId, 'READY', 'EVICTING', Date.now(), { reason: 'superseded' });
  }

  #leavingPage(
    segment: number,
    state: EntryStatus,
    after?: string,
  ): ReturnType<DynamoItems['indexPage']> {
    return this.#items.indexPage(
      { index: STATE_INDEX, key: segmentKey(segment), ...stateRange(state, after) },
      'list the entries that are leaving',
    );
  }

  async #findReady(index: TableIndex, key: string, limit: number): Promise<Entry[]> {
    const ready: Entry[] = [];
    const doing = `look up index ${index.name}`;
    for await (const page of this.#items.query({ index, key, limit }, doing)) {
      ready.push(...page.map(itemToEntry).filter((entry) => entry.state === 'READY'));
      if (ready.length >= limit) break;
    }
    return ready.slice(0, limit);
  }

  async #requireJob(videoId: string): Promise<Job> {
    const job = await this.getJob(videoId);
    if (!job) throw jobNotFound(videoId);
    return job;
  }

  #statuses(...statuses: Job['status'][]): Attributes {
    return Object.fromEntries(statuses.map((status) => [`:${status}`, status]));
  }
}

/** What a lease adds to the decayed sums of its entry. */
function countedWith({ now, credit = 0 }: LeaseRequest): { weight: number; credit: number } {
  // A clock that is far behind must not keep a request from its donors.
  const weight = decayWeight(Math.max(now, LANDMARK));
  return { weight, credit: credit * weight };
}

/** Enters records beside what else an update sets; of two with one name the later. */
function usageUpdate(records: readonly UsageRecord[]): { update: string; values: Attributes } {
  const named = [...new Map(records.map((usage) => [usageName(usage), usage]))];
  return {
    update: named.map(([name], index) => `, #usage.#${name} = :usage${index}`).join(''),
    values: Object.fromEntries(named.map(([, usage], index) => [`:usage${index}`, usage])),
  };
}

/** The write of a lease, and the condition under which it is the right one. */
function leaseUpdate(
  lease: LeaseRequest,
  { isHeld, isLonger }: { isHeld: boolean; isLonger: boolean },
): ItemUpdate {
  const { holder, now, leaseUntil, partition } = lease;
  const isShared = partition?.scope === 'shared';
  const { weight, credit } = countedWith(lease);
  return {
    update: [
      'SET #lastHitAt = :lastHitAt',
      isHeld ? '' : ', #previousHitAt = if_not_exists(#lastHitAt, #createdAt)',
      isLonger ? ', #leaseUntil = :leaseUntil' : '',
      isHeld ? '' : COUNT_HIT,
    ].join(''),
    condition: [
      IS_READY,
      ...(partition ? [isShared ? IS_IN_SHARED_PARTITION : IS_IN_TENANT_PARTITION] : []),
      isHeld ? IS_HOLDER : IS_NO_HOLDER,
      isLonger ? LEASE_ENDS_EARLIER : LEASE_ENDS_LATER,
    ].join(' AND '),
    values: {
      ...READY,
      ':holder': holder,
      ':holders': new Set([holder]),
      ':lastHitAt': new Date(now).toISOString(),
      ':leaseUntil': leaseUntil,
      ':one': 1,
      ':weight': weight,
      ':credit': credit,
      ...(partition && {
        ':scope': partition.scope,
        ':tenant': partition.tenant,
        ':compatibilityKey': partition.compatibilityKey,
      }),
    },
  };
}

function holdersOf(item: Attributes): ReadonlySet<string> {
  return (item['holders'] as Set<string> | undefined) ?? new Set();
}

function jobNotFound(videoId: string, field = 'videoId'): FlexCacheError {
  return new FlexCacheError('not_found', `there is no job ${videoId}`, {
    field,
    fix: 'check the video id',
  });
}
