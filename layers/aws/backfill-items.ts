import type { Backfill, BackfillLine } from '#core/requests/backfill.ts';
import type { BackfillReference } from '#core/generation.ts';
import { OWNER_INDEX, PARTITION_KEY, SORT_KEY } from './table-definition.ts';
import { ownerKey, ownerSortKey, without, type Attributes, type ItemKey } from './table-items.ts';

export const BACKFILL_SORT_KEY = 'BACKFILL';
const LINE_PREFIX = 'LINE#';
/** Sorts lines as numbers: no file has ten billion. */
const LINE_DIGITS = 10;
/** Sorts the videos of one line behind its first. */
const VIDEO_DIGITS = 4;

/** Lines of a backfill sort behind it, in their order. */
export const BEFORE_LINES = LINE_PREFIX;

export function backfillPartition(backfillId: string): string {
  return `BACKFILL#${backfillId}`;
}

export function backfillItemKey(backfillId: string): ItemKey {
  return {
    [PARTITION_KEY]: backfillPartition(backfillId),
    [SORT_KEY]: BACKFILL_SORT_KEY,
  } as ItemKey;
}

function lineItemKey({ backfillId, line, video }: BackfillReference): ItemKey {
  const ofVideo = video === undefined ? '' : `#${String(video).padStart(VIDEO_DIGITS, '0')}`;
  return {
    [PARTITION_KEY]: backfillPartition(backfillId),
    [SORT_KEY]: `${LINE_PREFIX}${String(line).padStart(LINE_DIGITS, '0')}${ofVideo}`,
  } as ItemKey;
}

export function backfillToItem(backfill: Backfill): ItemKey {
  return {
    ...backfill,
    ...backfillItemKey(backfill.backfillId),
    [OWNER_INDEX.partitionKey]: ownerKey('BACKFILLS', backfill.tenant),
    [OWNER_INDEX.sortKey]: ownerSortKey(backfill.createdAt, backfill.backfillId),
  };
}

export function itemToBackfill(item: Attributes): Backfill {
  return without(item, [
    PARTITION_KEY,
    SORT_KEY,
    OWNER_INDEX.partitionKey,
    OWNER_INDEX.sortKey,
  ]) as unknown as Backfill;
}

export function lineToItem(line: BackfillLine): ItemKey {
  return { ...line, ...lineItemKey(line) };
}

export function itemToLine(item: Attributes): BackfillLine {
  return without(item, [PARTITION_KEY, SORT_KEY]) as unknown as BackfillLine;
}
