import type { LatentExtents } from '#core/latents/compose.ts';

/**
 * Longest side of a block, in latent positions; a longer axis is divided into nearly equal
 * stretches.
 */
const MAX_TIME = 32;
const MAX_SPACE = 16;

/** A stretch of an axis, transformed as a unit. */
interface Stretch {
  start: number;
  length: number;
}

/**
 * Order of a latent's coefficients: by frequency from low to high, then by block, then by channel.
 * The coefficient of (frequency, block, channel) has index `(frequency * blocks + block) * channels
 * + channel`. In a block shorter than the longest one, the highest frequencies do not exist and
 * their coefficients are 0.
 */
export interface BlockLayout {
  extents: LatentExtents;
  times: readonly Stretch[];
  rows: readonly Stretch[];
  columns: readonly Stretch[];
  blocks: number;
  /** Sides of each block. */
  blockTimes: Uint16Array;
  blockRows: Uint16Array;
  blockColumns: Uint16Array;
  frequencies: number;
  /** Total number of coefficients: `frequencies * blocks * channels`. */
  count: number;
  /** Index of each frequency along time, height and width. */
  time: Uint16Array;
  row: Uint16Array;
  column: Uint16Array;
  /** Band of each frequency; frequencies of a band share size statistics. */
  bands: Uint16Array;
  bandCount: number;
  /** Frequency index along time of each band. */
  bandTimes: Uint16Array;
  /** Parent of each band, from which its first estimate comes; -1 for the band of the means. */
  parents: Int16Array;
  /** For each frequency, the next lower one along an axis; -1 if there is none. */
  belowTime: Int32Array;
  belowRow: Int32Array;
  belowColumn: Int32Array;
  /** Rank of a frequency by `(time * rows + row) * columns + column`. */
  rank: Int32Array;
  longestTime: number;
  longestRow: number;
  longestColumn: number;
}

/** Divides an axis into the fewest, nearly equal stretches of at most `longest`. */
function divide(extent: number, longest: number): Stretch[] {
  const count = Math.ceil(extent / longest);
  return Array.from({ length: count }, (_, index) => {
    const start = Math.floor((index * extent) / count);
    return { start, length: Math.floor(((index + 1) * extent) / count) - start };
  });
}

/** Last layout: a process reads and writes latents of one shape. */
let latest: BlockLayout | undefined;

/**
 * Computes the layout of latents with these extents; encoder and decoder derive it without side
 * information. Callers with the same extents share the result.
 */
export function layOutBlocks(extents: LatentExtents): BlockLayout {
  if (latest === undefined || !isSame(latest.extents, extents)) latest = layOut({ ...extents });
  return latest;
}

function isSame(one: LatentExtents, other: LatentExtents): boolean {
  return (
    one.channels === other.channels &&
    one.frames === other.frames &&
    one.height === other.height &&
    one.width === other.width
  );
}

function layOut(extents: LatentExtents): BlockLayout {
  const { channels, frames, height, width } = extents;
  const times = divide(frames, MAX_TIME);
  const rows = divide(height, MAX_SPACE);
  const columns = divide(width, MAX_SPACE);
  const longestTime = longestOf(times);
  const longestRow = longestOf(rows);
  const longestColumn = longestOf(columns);
  const frequencies = longestTime * longestRow * longestColumn;
  const rings = longestRow + longestColumn - 1;
  const order = lowestFirst(longestTime, longestRow, longestColumn);
  const rank = new Int32Array(frequencies);
  const time = new Uint16Array(frequencies);
  const row = new Uint16Array(frequencies);
  const column = new Uint16Array(frequencies);
  const bands = new Uint16Array(frequencies);
  for (let frequency = 0; frequency < frequencies; frequency++) {
    const natural = order[frequency]!;
    rank[natural] = frequency;
    column[frequency] = natural % longestColumn;
    const rest = Math.floor(natural / longestColumn);
    row[frequency] = rest % longestRow;
    time[frequency] = Math.floor(rest / longestRow);
    bands[frequency] = time[frequency]! * rings + row[frequency]! + column[frequency]!;
  }
  const belowTime = new Int32Array(frequencies).fill(-1);
  const belowRow = new Int32Array(frequencies).fill(-1);
  const belowColumn = new Int32Array(frequencies).fill(-1);
  for (let frequency = 0; frequency < frequencies; frequency++) {
    const natural = order[frequency]!;
    if (time[frequency]! > 0) belowTime[frequency] = rank[natural - longestRow * longestColumn]!;
    if (row[frequency]! > 0) belowRow[frequency] = rank[natural - longestColumn]!;
    if (column[frequency]! > 0) belowColumn[frequency] = rank[natural - 1]!;
  }
  const bandCount = longestTime * rings;
  const parents = Int16Array.from({ length: bandCount }, (_, band) => {
    if (band % rings > 0) return band - 1;
    return band - rings >= 0 ? band - rings : -1;
  });
  const sides = times.flatMap((along) =>
    rows.flatMap((down) => columns.map((across) => [along.length, down.length, across.length])),
  );
  const blocks = sides.length;
  return {
    extents,
    times,
    rows,
    columns,
    blocks,
    blockTimes: Uint16Array.from(sides, ([along]) => along!),
    blockRows: Uint16Array.from(sides, ([, down]) => down!),
    blockColumns: Uint16Array.from(sides, ([, , across]) => across!),
    frequencies,
    count: frequencies * blocks * channels,
    time,
    row,
    column,
    bands,
    bandCount,
    bandTimes: Uint16Array.from({ length: bandCount }, (_, band) => Math.floor(band / rings)),
    parents,
    belowTime,
    belowRow,
    belowColumn,
    rank,
    longestTime,
    longestRow,
    longestColumn,
  };
}

function longestOf(stretches: readonly Stretch[]): number {
  return stretches.reduce((longest, { length }) => Math.max(longest, length), 0);
}

/** Sorts frequencies by the sum of their indices, time counted twice (counting sort). */
function lowestFirst(times: number, rows: number, columns: number): Int32Array {
  const sums = new Int32Array(2 * times + rows + columns + 1);
  const sumOf = (natural: number): number =>
    2 * Math.floor(natural / (rows * columns)) +
    (Math.floor(natural / columns) % rows) +
    (natural % columns);
  const count = times * rows * columns;
  for (let natural = 0; natural < count; natural++) sums[sumOf(natural) + 1]!++;
  for (let sum = 1; sum < sums.length; sum++) sums[sum]! += sums[sum - 1]!;
  const order = new Int32Array(count);
  for (let natural = 0; natural < count; natural++) order[sums[sumOf(natural)]!++] = natural;
  return order;
}
