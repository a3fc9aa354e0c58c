import type { CachePartition } from '#core/requests/identity.ts';
import type { LeavingReason } from '#core/retention/retention-run.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
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

export interface LeaseRequest {
  entryId: string;
  /** Name of the execution that holds the lease; leasing again counts no second hit. */
  holder: string;
  /** Epoch milliseconds now and until when the entry must stay. */
  now: number;
  leaseUntil: number;
  /** When given, an entry of another partition is answered like one that is gone. */
  partition?: CachePartition;
  /**
   * Network evaluations that this hit saves over the next best donor, counted with the hit and like it
   * once for a holder; 0 unless said.
   */
  credit?: number;
}

export interface MoveOptions {
  /** Only while it has had just so many hits: what was decided before another came is void. */
  hits?: number;
  /** Why it leaves. A pinned entry stays where a pass chose it; otherwise, and without a reason, it leaves. */
  reason?: LeavingReason;
}

export interface CandidatePageOptions {
  /** Begin behind this entry. */
  after?: string;
  /** Entries of a page at most; all that fit into 1 MB of the index unless said. */
  limit?: number;
}

/** Entries are spread over so many segments, by their ids. */
export const SEGMENTS = 16;

/** One page of a segment, in the order of ids. */
export interface CandidatePage {
  entries: EvictionCandidate[];
  /** The `after` of the next page; null behind the last one. */
  next: string | null;
}

export interface ListJobsOptions {
  limit: number;
  /** The last id of the page before; an id that is not there is `not_found`. */
  after?: string;
  /** `desc` (newest first) unless said. */
  order?: 'asc' | 'desc';
}

/** One page of a listing. */
export interface Page<Item> {
  items: Item[];
  hasMore: boolean;
}

/**
 * The one table. `DynamoTable` (layers/aws) is the only implementation; embedded it talks to a
 * DynamoDB-compatible server on loopback. Access patterns are written down in docs/architecture.md.
 */
export interface Table {
  /** Creates the job if its id is free; returns the stored job either way, and whether it was created. */
  createJob(job: Job): Promise<{ job: Job; created: boolean }>;
  getJob(videoId: string): Promise<Job | null>;
  /** Deleted jobs are left out. */
  listJobs(tenant: string, options: ListJobsOptions): Promise<Page<Job>>;
  /**
   * Jobs that were created on a day (`2026-11-22`, UTC), any status, deleted ones too, oldest first. As
   * an index is read, a job of the last second may be missing.
   */
  listDay(day: string): AsyncIterable<Job>;
  /** Every job, any status, in no order. */
  scanJobs(): AsyncIterable<Job>;
  /**
   * Failed or cancelled -> queued with the next attempt, for this line when a backfill asks; a job in
   * any other status, or a deleted one, is returned as it is.
   */
  resubmitJob(videoId: string, backfill?: BackfillReference): Promise<Job>;
  /** Queued or running -> running, taken by no worker yet. @throws ConditionFailedError when it has ended. */
  startJob(videoId: string): Promise<Job>;
  /** Keeps with a job what of its prompt the model could not take in. Idempotent. */
  warnOfPrompt(videoId: string, warnings: readonly PromptWarning[]): Promise<void>;
  /** Enters a job into the queue of its pool, behind the others; once more moves it there. */
  enterQueue(pool: Pool, videoId: string): Promise<void>;
  /** A worker has the job, or it has ended without one. Idempotent. */
  leaveQueue(pool: Pool, videoId: string): Promise<void>;
  /** Ids of the jobs that wait for a worker of the pool, in the order in which they entered. */
  readQueue(pool: Pool): Promise<string[]>;
  /**
   * Of a job that runs and that a worker has taken; with it what its worker has used so far, as
   * `recordUsage` enters it.
   */
  setJobProgress(videoId: string, progress: number, usage?: UsageRecord): Promise<void>;
  /** Enters a usage record into the job's ledger; the same run of a step overwrites its own record. */
  recordUsage(videoId: string, usage: UsageRecord): Promise<void>;
  /** Ends the job and enters the last of its usage in one write; returns it as it is then. */
  completeJob(videoId: string, result: JobResult, usage?: readonly UsageRecord[]): Promise<Job>;
  failJob(
    videoId: string,
    error: NonNullable<Job['error']>,
    cancelled: boolean,
    usage?: readonly UsageRecord[],
  ): Promise<Job>;
  requestCancel(videoId: string): Promise<void>;
  /** Takes an ended job out of every listing; idempotent. @throws ConditionFailedError while it is under way. */
  deleteJob(videoId: string): Promise<void>;

  /** Writes a READY entry unless the id is taken; true when this call wrote it. */
  putEntry(entry: Entry): Promise<boolean>;
  getEntry(entryId: string): Promise<Entry | null>;
  /** Entry that answers exactly this request, if READY. */
  findExact(exactKey: string): Promise<Entry | null>;
  /** READY entries of the same prompt with any seed, newest first. */
  findSamePrompt(promptKey: string, limit: number): Promise<Entry[]>;
  /**
   * Confirms that the entry is READY, takes or extends its lease and counts a hit in one write.
   * Null when the entry is gone or being evicted.
   */
  leaseEntry(lease: LeaseRequest): Promise<Entry | null>;
  /** Ends this holder's lease; the lease of others stays. Without any a superseded entry leaves. Idempotent. */
  releaseEntry(entryId: string, holder: string): Promise<void>;
  /**
   * Ends a lease that was never used, and takes back the hit and the credit that `leaseEntry` counted
   * with it; idempotent. When it was used last stays: nobody knows any more what it was before.
   */
  withdrawLease(lease: LeaseRequest): Promise<void>;
  /**
   * Moves an entry on, only from the expected state and with no live lease; `options` say what else
   * must hold.
   */
  moveEntry(
    entryId: string,
    from: EntryStatus,
    to: EntryStatus,
    now: number,
    options?: MoveOptions,
  ): Promise<boolean>;
  /**
   * A pinned entry is never evicted. Pinning again keeps the time of the first; idempotent both ways.
   * @throws FlexCacheError `not_found` unless the entry is READY.
   */
  pinEntry(entryId: string, isPinned: boolean): Promise<Entry>;
  /**
   * A refreshed video took the entry's place: nothing finds it by its keys any more, and whoever knows
   * its id sees it in `supersededBy`. Who has leased it reads on. Idempotent; nothing unless READY.
   */
  supersedeEntry(entryId: string, by: string): Promise<void>;
  /** Records where the latent lies now; false when the entry is not READY any more. */
  setStorageClass(entryId: string, storageClass: StorageClass): Promise<boolean>;
  /**
   * One page of the READY entries of a segment, 0 to `SEGMENTS` - 1, as an index has them: a hit or a
   * move of the last second may be missing, so what is decided from it is checked when it is written.
   */
  listCandidates(segment: number, options?: CandidatePageOptions): Promise<CandidatePage>;
  /** Every entry that is leaving, as an index has them, in no order. */
  leavingEntries(): AsyncIterable<EvictionCandidate>;
  /** Removes the record of an entry in state EVICTING or TOMBSTONE; idempotent. */
  deleteEntry(entryId: string): Promise<void>;
  /** Every entry, any state, in no order. */
  scanEntries(): AsyncIterable<Entry>;
}
