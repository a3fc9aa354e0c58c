import type { Entry } from '#core/generation.ts';
import type { ObjectHead } from '#ports/objects.ts';
import { vectorRecordsOf } from '#ports/vector-records.ts';
import { inParallel } from '#core/in-parallel.ts';
import { isUnfinished } from './is-unfinished.ts';
import { ownerOfKey } from './owner-of-key.ts';
import { removeObject } from './remove-object.ts';
import { EVERYTHING, isIn, split, type Share } from './shares.ts';
import type { Sweep } from './sweep.ts';

const LATENT_PREFIX = 'latents/';
const CHECKS_AT_ONCE = 16;

/** Inconsistencies in one share of the cache. */
interface Findings {
  /** Latent keys, by entry id, of READY entries whose latent is not listed. */
  missingLatents: Map<string, string>;
  /** READY entries without a listed vector. */
  missingVectors: Set<string>;
  /** Ids in the index without a READY entry. */
  strayVectors: Set<string>;
  /** Latents that no entry names. */
  strayLatents: ObjectHead[];
}

/** Compares entries, vectors and latents of all ids, share by share if they exceed memory. */
export async function sweepEntries(turn: Sweep, share: Share = EVERYTHING): Promise<void> {
  const findings = await readShare(turn, share);
  if (findings === 'out of time') return;
  if (findings !== 'too many') return mend(turn, findings);
  for (const half of split(share)) await sweepEntries(turn, half);
}

async function readShare(
  { stores, summary, mostHeld, hasTime, isOld }: Sweep,
  share: Share,
): Promise<Findings | 'too many' | 'out of time'> {
  const latents = new Map<string, string>();
  const ready = new Set<string>();
  let entriesChecked = 0;
  for await (const { entryId, state, latentKey } of stores.table.scanEntries()) {
    if (!hasTime()) return 'out of time';
    if (!isIn(share, entryId)) continue;
    entriesChecked++;
    // An entry that is being evicted keeps its latent until its grace period ends.
    if (state !== 'TOMBSTONE') latents.set(entryId, latentKey);
    if (state === 'READY') ready.add(entryId);
    if (latents.size > mostHeld) return 'too many';
  }

  const missingVectors = new Set(ready);
  const strayVectors = new Set<string>();
  for await (const entryId of stores.vectors.list()) {
    if (!hasTime()) return 'out of time';
    if (!isIn(share, entryId)) continue;
    missingVectors.delete(entryId);
    if (!ready.has(entryId)) strayVectors.add(entryId);
    if (strayVectors.size > mostHeld) return 'too many';
  }

  const missingLatents = new Map([...latents].filter(([entryId]) => ready.has(entryId)));
  const strayLatents: ObjectHead[] = [];
  let objectsChecked = 0;
  for await (const object of stores.objects.list(LATENT_PREFIX)) {
    if (!hasTime()) return 'out of time';
    const entryId = ownerOfKey(object.key);
    if (!isIn(share, entryId)) continue;
    objectsChecked++;
    if (latents.get(entryId) === object.key) missingLatents.delete(entryId);
    else if (isOld(object)) strayLatents.push(object);
    if (strayLatents.length > mostHeld) return 'too many';
  }
  summary.entriesChecked += entriesChecked;
  summary.objectsChecked += objectsChecked;
  return { missingLatents, missingVectors, strayVectors, strayLatents };
}

/** Checks each finding again before it acts: the listings may be minutes old. */
async function mend(turn: Sweep, findings: Findings): Promise<void> {
  const { stores, summary, now, change } = turn;
  const { table, vectors, objects } = stores;
  const inTime = <Item>(items: Iterable<Item>, task: (item: Item) => Promise<void>) =>
    inParallel(items, CHECKS_AT_ONCE, async (item) => {
      if (turn.hasTime()) await task(item);
    });

  await inTime(findings.missingLatents, async ([entryId, latentKey]) => {
    if ((await objects.head(latentKey)) !== null) return;
    findings.missingVectors.delete(entryId);
    const isMoved = await change(() => table.moveEntry(entryId, 'READY', 'EVICTING', now()));
    if (isMoved === false) return;
    await change(() => vectors.delete([entryId]));
    summary.entriesWithoutLatent++;
  });
  await inTime(findings.missingVectors, async (entryId) => {
    const entry = await table.getEntry(entryId);
    if (entry?.state !== 'READY') return;
    await change(() => vectors.put(vectorRecordsOf(entry)));
    summary.restoredVectors++;
  });
  await inTime(findings.strayVectors, async (entryId) => {
    const entry = await table.getEntry(entryId);
    if (entry?.state === 'READY') return;
    await change(() => vectors.delete([entryId]));
    summary.orphanedVectors++;
  });
  await inTime(findings.strayLatents, async (object) => {
    const entryId = ownerOfKey(object.key);
    const entry = await table.getEntry(entryId);
    if (isLatentOf(entry, object) || isUnfinished(await table.getJob(entryId))) return;
    await removeObject(turn, object);
  });
}

function isLatentOf(entry: Entry | null, { key }: ObjectHead): boolean {
  return entry !== null && entry.state !== 'TOMBSTONE' && entry.latentKey === key;
}
