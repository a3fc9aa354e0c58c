import type { CachePartition } from '../core/identity.ts';
import type {
  BackfillReference,
  Entry,
  EntryState,
  Job,
  JobResult,
  UsageRecord,
} from '../core/generation.ts';

export interface LeaseRequest {
  entryId: string;
  /** Video id of the request that holds the lease; leasing again counts no second hit. */
  holder: string;
  /** Epoch milliseconds now and until when the entry must stay. */
  now: number;
  leaseUntil: number;
  /** When given, an entry of another partition is answered like one that is gone. */
  partition?: CachePartition;
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
 * The one table. `DynamoTable` (layers/stores) is the only implementation; embedded it talks to a
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
  /** Queued or running -> running. @throws ConditionFailedError when it has ended. */
  startJob(videoId: string): Promise<Job>;
  setJobProgress(videoId: string, progress: number): Promise<void>;
  /** Appends a usage record; the same step of the same attempt overwrites its own record. */
  recordUsage(videoId: string, usage: UsageRecord): Promise<void>;
  completeJob(videoId: string, result: JobResult): Promise<void>;
  failJob(videoId: string, error: NonNullable<Job['error']>, cancelled: boolean): Promise<void>;
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
  /** Ends this holder's lease; the lease of others stays. Idempotent. */
  releaseEntry(entryId: string, holder: string): Promise<void>;
  /** Moves an entry on, only from the expected state and with no live lease. */
  moveEntry(entryId: string, from: EntryState, to: EntryState, now: number): Promise<boolean>;
  /** Removes the record of an entry in state EVICTING or TOMBSTONE; idempotent. */
  deleteEntry(entryId: string): Promise<void>;
  /** Every entry, any state, in no order. */
  scanEntries(): AsyncIterable<Entry>;
}
