import { mediaKeysOf, type Entry, type Job } from '#core/generation.ts';
import { CHECKPOINT_PREFIX, INPUT_PREFIX } from '#core/requests/identity.ts';
import type { ObjectHead } from '#ports/objects.ts';
import { inParallel } from '#core/in-parallel.ts';
import { isUnfinished } from './is-unfinished.ts';
import { ownerOfKey } from './owner-of-key.ts';
import { removeObject } from './remove-object.ts';
import type { Sweep } from './sweep.ts';

const VIDEO_PREFIX = 'videos/';
const CHECKS_AT_ONCE = 16;

/** Deletes checkpoints and inputs of finished jobs, and videos that no job or entry names. */
export async function sweepJobObjects(turn: Sweep): Promise<void> {
  for (const prefix of [CHECKPOINT_PREFIX, INPUT_PREFIX]) await sweepUnfinished(turn, prefix);
  await sweepVideos(turn);
}

/** Deletes objects that only unfinished jobs need. */
async function sweepUnfinished(turn: Sweep, prefix: string): Promise<void> {
  await inParallel(oldObjects(turn, prefix), CHECKS_AT_ONCE, async (object) => {
    const job = await turn.stores.table.getJob(ownerOfKey(object.key));
    if (!isUnfinished(job)) await removeObject(turn, object);
  });
}

/**
 * Deletes videos: first collects those that their own job does not name, then deletes, in batches,
 * those that no other job names.
 */
async function sweepVideos(turn: Sweep): Promise<void> {
  let unnamed = new Map<string, ObjectHead>();
  await inParallel(oldObjects(turn, VIDEO_PREFIX), CHECKS_AT_ONCE, async (object) => {
    if (!(await isNamedByItsOwn(turn, object))) unnamed.set(object.key, object);
    if (unnamed.size < turn.mostHeld) return;
    const full = unnamed;
    unnamed = new Map();
    await removeUnnamed(turn, full);
  });
  await removeUnnamed(turn, unnamed);
}

/** Deletes unnamed videos, except those named by the jobs of exact hits. */
async function removeUnnamed(turn: Sweep, unnamed: Map<string, ObjectHead>): Promise<void> {
  if (unnamed.size === 0) return;
  for await (const job of turn.stores.table.scanJobs()) {
    if (!turn.hasTime()) return;
    for (const key of keysOfJob(job)) unnamed.delete(key);
  }
  await inParallel(unnamed.values(), CHECKS_AT_ONCE, async (object) => {
    if (turn.hasTime() && !(await isNamedByItsOwn(turn, object))) await removeObject(turn, object);
  });
}

async function isNamedByItsOwn(turn: Sweep, { key }: ObjectHead): Promise<boolean> {
  const { table } = turn.stores;
  const videoId = ownerOfKey(key);
  const job = await table.getJob(videoId);
  if (isUnfinished(job) || keysOfJob(job).includes(key)) return true;
  const entry = await table.getEntry(videoId);
  if (entry === null || entry.state === 'TOMBSTONE' || !mediaKeysOf(entry).includes(key))
    return false;
  if (job?.deletedAt !== undefined && entry.videoKey === key)
    await evictOfDeletedVideo(turn, entry);
  return true;
}

/**
 * Evicts the entry of a deleted video. Deleting a video removes its entry, but the Commit of a
 * stopped execution may write it later.
 */
async function evictOfDeletedVideo(
  { stores, summary, now, change }: Sweep,
  entry: Entry,
): Promise<void> {
  const { entryId, state } = entry;
  if (state !== 'READY') return;
  const isMoved = await change(() => stores.table.moveEntry(entryId, 'READY', 'EVICTING', now()));
  if (isMoved === false) return;
  await change(() => stores.vectors.delete([entryId]));
  summary.entriesOfDeletedVideos++;
}

/** Returns the video keys that a job names; a deleted job names none. */
function keysOfJob(job: Job | null): string[] {
  return job?.result === undefined || job.deletedAt !== undefined ? [] : mediaKeysOf(job.result);
}

async function* oldObjects(turn: Sweep, prefix: string): AsyncIterable<ObjectHead> {
  for await (const object of turn.stores.objects.list(prefix)) {
    if (!turn.hasTime()) return;
    turn.summary.objectsChecked++;
    if (turn.isOld(object)) yield object;
  }
}
