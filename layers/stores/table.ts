import type { Entry, EntryState, Job, JobResult, UsageRecord } from '../core/generation.ts';

export interface LeaseRequest {
  entryId: string;
  /** Epoch milliseconds now and until when the entry must stay. */
  now: number;
  leaseUntil: number;
  /** When given, an entry of another scope is answered like one that is gone. */
  scope?: { tenant: string; compatibilityKey: string };
}

/**
 * The one table. `DynamoTable` (layers/stores) is the only implementation; embedded it talks to a
 * DynamoDB-compatible server on loopback. Access patterns are written down in docs/architecture.md.
 */
export interface Table {
  /** Creates the job if its id is free; returns the stored job either way, and whether it was created. */
  createJob(job: Job): Promise<{ job: Job; created: boolean }>;
  getJob(videoId: string): Promise<Job | null>;
  /** Newest first. */
  listJobs(tenant: string, limit: number): Promise<Job[]>;
  /** Queued or failed -> running, for a first run or a rerun. @throws ConditionFailedError when completed. */
  startJob(videoId: string): Promise<Job>;
  setJobProgress(videoId: string, progress: number): Promise<void>;
  /** Appends a usage record; the same step overwrites its own record. */
  recordUsage(videoId: string, usage: UsageRecord): Promise<void>;
  completeJob(videoId: string, result: JobResult): Promise<void>;
  failJob(videoId: string, error: NonNullable<Job['error']>, cancelled: boolean): Promise<void>;
  requestCancel(videoId: string): Promise<void>;

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
  /** Moves an entry on, only from the expected state and with no live lease. */
  moveEntry(entryId: string, from: EntryState, to: EntryState, now: number): Promise<boolean>;
  /** Removes the record of an entry in state EVICTING or TOMBSTONE; idempotent. */
  deleteEntry(entryId: string): Promise<void>;
  /** Every entry, any state, in no order. */
  scanEntries(): AsyncIterable<Entry>;
}
