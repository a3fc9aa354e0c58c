import { dayOf } from '#core/day.ts';
import {
  USAGE_STEPS,
  type Entry,
  type Job,
  type Pool,
  type Part,
  type UsageRecord,
} from '#core/generation.ts';
import { STATE_INDEX_ATTRIBUTES, stateIndexItem } from './entry-items.ts';
import {
  DAY_INDEX,
  EXACT_KEY_INDEX,
  PARTITION_KEY,
  PROMPT_KEY_INDEX,
  SORT_KEY,
  OWNER_INDEX,
} from './table-definition.ts';

/** Plain attributes of one item, before they are marshalled. */
export type Attributes = Record<string, unknown>;

export interface ItemKey extends Attributes {
  pk: string;
  sk: string;
}

export const ENTRY_SORT_KEY = 'ENTRY';
export const JOB_SORT_KEY = 'JOB';

export function entryItemKey(entryId: string): ItemKey {
  return { [PARTITION_KEY]: `ENTRY#${entryId}`, [SORT_KEY]: ENTRY_SORT_KEY } as ItemKey;
}

export function jobItemKey(videoId: string): ItemKey {
  return { [PARTITION_KEY]: `JOB#${videoId}`, [SORT_KEY]: JOB_SORT_KEY } as ItemKey;
}

/** Partition of the jobs that wait for a worker of the pool. */
export function queueKey(pool: Pool): string {
  return `QUEUE#${pool}`;
}

export function queueItemKey(pool: Pool, videoId: string): ItemKey {
  return { [PARTITION_KEY]: queueKey(pool), [SORT_KEY]: videoId } as ItemKey;
}

/** Value of the owner index for one kind of what a tenant owns. */
export function ownerKey(kind: 'JOBS' | 'BACKFILLS' | 'KEYS', tenant: string): string {
  return `${kind}#${tenant}`;
}

/** Value of the day index for the jobs of one day, `2026-11-22`, UTC. */
export function jobsOfDayKey(day: string): string {
  return `JOBS#${day}`;
}

/** Sorts what somebody owns by creation time; the id tells apart what was made in the same millisecond. */
export function ownerSortKey(createdAt: string, id: string): string {
  return `${createdAt}#${id}`;
}

/** An entry as an item: vectors packed, listed in the indexes while READY. */
export function entryToItem(entry: Entry): ItemKey {
  const { whole, object, background } = entry.vectors;
  return {
    ...entry,
    ...entryItemKey(entry.entryId),
    ...stateIndexItem(entry),
    vectors: {
      whole: packVector(whole),
      object: object && packVector(object),
      background: background && packVector(background),
    },
    ...(entry.promptVectors !== undefined && {
      promptVectors: eachPart(entry.promptVectors, packUnitVector),
    }),
    ...(entry.state === 'READY' && {
      [EXACT_KEY_INDEX.partitionKey]: entry.exactKey,
      [PROMPT_KEY_INDEX.partitionKey]: entry.promptKey,
    }),
  };
}

const DECAYED_SUMS = ['decayedHits', 'decayedCredit'] as const satisfies readonly (keyof Entry)[];

export function itemToEntry(item: Attributes): Entry {
  const packed = item['vectors'] as Record<'whole' | 'object' | 'background', Uint8Array | null>;
  const attributes = without(item, [
    PARTITION_KEY,
    SORT_KEY,
    EXACT_KEY_INDEX.partitionKey,
    PROMPT_KEY_INDEX.partitionKey,
    ...STATE_INDEX_ATTRIBUTES,
    'holders',
  ]);
  // A sum of weights may be large and is no money: it is read as the float that it is.
  for (const sum of DECAYED_SUMS) {
    if (attributes[sum] !== undefined) attributes[sum] = Number(attributes[sum]);
  }
  const ofPrompt = item['promptVectors'] as Record<Part, Uint8Array | null> | undefined;
  return {
    ...attributes,
    ...(ofPrompt !== undefined && { promptVectors: eachPart(ofPrompt, unpackUnitVector) }),
    vectors: {
      whole: unpackVector(packed.whole!),
      object: packed.object && unpackVector(packed.object),
      background: packed.background && unpackVector(packed.background),
    },
  } as unknown as Entry;
}

/**
 * Names a usage record inside its job, so that writing it again writes it over: by step, attempt and
 * run. Expressions take letters, digits and underscores only.
 */
export function usageName({ step, attempt = 1, run }: UsageRecord): string {
  const name = attempt === 1 ? step : `${step}_${attempt}`;
  return run === undefined ? name : `${name}_${run.replaceAll(/\W/g, '_')}`;
}

/** A job as an item. */
export function jobToItem(job: Job): ItemKey {
  return {
    ...job,
    ...jobItemKey(job.videoId),
    usage: Object.fromEntries(job.usage.map((record) => [usageName(record), record])),
    [OWNER_INDEX.partitionKey]: ownerKey('JOBS', job.tenant),
    [OWNER_INDEX.sortKey]: ownerSortKey(job.createdAt, job.videoId),
    [DAY_INDEX.partitionKey]: jobsOfDayKey(dayOf(job.createdAt)),
    [DAY_INDEX.sortKey]: ownerSortKey(job.createdAt, job.videoId),
  };
}

export function itemToJob(item: Attributes): Job {
  const usage = Object.values(item['usage'] as Record<string, UsageRecord>);
  const attributes = without(item, [
    PARTITION_KEY,
    SORT_KEY,
    OWNER_INDEX.partitionKey,
    OWNER_INDEX.sortKey,
    DAY_INDEX.partitionKey,
    DAY_INDEX.sortKey,
  ]);
  return {
    ...attributes,
    usage: usage.sort(inOrder),
  } as unknown as Job;
}

/** In the order of the workflow, and within a step in that of time. */
function inOrder(one: UsageRecord, other: UsageRecord): number {
  return (
    (one.attempt ?? 1) - (other.attempt ?? 1) ||
    USAGE_STEPS.indexOf(one.step) - USAGE_STEPS.indexOf(other.step) ||
    (one.startedAt ?? 0) - (other.startedAt ?? 0)
  );
}

/** Little-endian float32, 4 bytes an element, whatever the byte order of this machine. */
export function packVector(vector: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(vector.length * Float32Array.BYTES_PER_ELEMENT);
  const view = new DataView(bytes.buffer);
  vector.forEach((value, index) => view.setFloat32(index * 4, value, true));
  return bytes;
}

export function unpackVector(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / 4 }, (_, index) =>
    view.getFloat32(index * 4, true),
  );
}

/**
 * One signed byte an element, scaled to the largest: whoever compares prompts needs no more, and an entry
 * stays small. A cosine is off by less than 0.001.
 */
export function packUnitVector(vector: readonly number[]): Uint8Array {
  const largest = Math.max(...vector.map(Math.abs), Number.MIN_VALUE);
  return Uint8Array.from(vector, (value) => Math.round((value / largest) * 127) & 0xff);
}

export function unpackUnitVector(bytes: Uint8Array): number[] {
  const elements = Array.from(bytes, (byte) => (byte << 24) >> 24);
  const length = Math.hypot(...elements) || 1;
  return elements.map((element) => element / length);
}

function eachPart<From, To>(
  { object, background }: Record<Part, From | null>,
  convert: (from: From) => To,
): Record<Part, To | null> {
  return {
    object: object === null ? null : convert(object),
    background: background === null ? null : convert(background),
  };
}

/** The item without the attributes that only the table knows. */
export function without(item: Attributes, names: readonly string[]): Attributes {
  return Object.fromEntries(Object.entries(item).filter(([name]) => !names.includes(name)));
}
