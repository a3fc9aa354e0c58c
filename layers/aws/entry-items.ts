import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { createHash } from 'node:crypto';
import type { Entry, EntryStatus } from '#core/generation.ts';
import { packageDigits } from '#core/requests/identity.ts';
import { signatureOf } from '#core/retention/signature.ts';
import { isStorageClass } from '#core/costs/storage-class.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import { SEGMENTS } from '#ports/table.ts';
import { STATE_INDEX } from './table-definition.ts';

/** Digits of a hash that tell entries apart well enough to look closer. */
const HASH_DIGITS = 16;

/** What an item has for the index by state alone. */
export const STATE_INDEX_ATTRIBUTES = [
  STATE_INDEX.partitionKey,
  STATE_INDEX.sortKey,
  'traits',
] as const;

/** The attributes of an entry for the index by state. */
export function stateIndexItem(entry: Entry): Record<string, string> {
  return {
    [STATE_INDEX.partitionKey]: segmentKey(segmentOf(entry.entryId)),
    [STATE_INDEX.sortKey]: stateSortKey(entry.state, entry.entryId),
    traits: traitsOf(entry),
  };
}

/** 0..15, evenly by id. */
export function segmentOf(entryId: string): number {
  return createHash('sha256').update(entryId).digest()[0]! % SEGMENTS;
}

export function segmentKey(segment: number): string {
  return `ENTRIES#${segment.toString(16)}`;
}

export function stateSortKey(state: EntryStatus, entryId: string): string {
  return `${state}#${entryId}`;
}

/** The sort keys of the entries in one state, or of those behind one of them: `#` sorts before all that ids are made of. */
export function stateRange(state: EntryStatus, after?: string): { from: string; to: string } {
  const from = after === undefined ? `${state}#` : `${stateSortKey(state, after)}#`;
  return { from, to: `${state}$` };
}

/** `3.{signature}.{prompt}.{compatibility}`: what a pass groups by, in one short attribute. */
function traitsOf(entry: Entry): string {
  const vectors = Object.values(entry.vectors).filter((vector) => vector !== null);
  return [
    vectors.length,
    signatureOf(entry, entry.vectors.whole),
    entry.promptKey.slice(0, HASH_DIGITS),
    packageDigits(entry.compatibilityKey),
  ].join('.');
}

/**
 * An item of the index by state. A pass decodes each entry twice: this is several times as fast as the
 * SDK's own unmarshalling.
 */
export function toCandidate(item: Record<string, AttributeValue>): EvictionCandidate {
  const stateSort = item[STATE_INDEX.sortKey]!.S!;
  const separator = stateSort.indexOf('#');
  const [vectors, signature, prompt, compatibility] = item['traits']!.S!.split('.');
  const weighed: EvictionCandidate = {
    entryId: stateSort.slice(separator + 1),
    state: stateSort.slice(0, separator) as EntryStatus,
    createdAt: item['createdAt']!.S!,
    hits: Number(item['hits']!.N),
    latentBytes: Number(item['latentBytes']!.N),
    videoBytes: Number(item['videoBytes']!.N),
    reuseDepth: Number(item['reuseDepth']!.N),
    gpuSeconds: Number(item['gpuSeconds']!.N),
    stepsRun: Number(item['stepsRun']!.N),
    vectors: Number(vectors),
    signature: signature!,
    prompt: prompt!,
    compatibility: compatibility!,
  };
  for (const name of TEXTS) {
    const value = item[name]?.S;
    if (value !== undefined) weighed[name] = value;
  }
  for (const name of NUMBERS) {
    const value = item[name]?.N;
    if (value !== undefined) weighed[name] = Number(value);
  }
  const storageClass = item['storageClass']?.S;
  if (storageClass !== undefined && isStorageClass(storageClass)) {
    weighed.storageClass = storageClass;
  }
  return weighed;
}

const TEXTS = ['lastHitAt', 'previousHitAt', 'pinnedAt'] as const;

const NUMBERS = [
  'decayedHits',
  'decayedCredit',
  'neighbours',
  'leavingAt',
  'denoiseSeconds',
] as const;
