import { InvalidInputError } from '../errors.ts';
import type { HitKind } from '../generation.ts';
import { SumsOf, type Sums } from './sums.ts';
import type { VideoLine } from './video-line.ts';

export const GROUPINGS = ['video', 'day', 'tenant', 'model', 'hit', 'backfill'] as const;

/** What a row of a report stands for. */
export type Grouping = (typeof GROUPINGS)[number];

/** Videos with the same key. */
export interface Group {
  key: string;
  sums: Sums;
}

/** Key of videos without a backfill. */
export const NO_BACKFILL = '(no backfill)';

/** From the most to the least expensive kind; statuses of videos without a hit follow. */
export const HIT_ORDER: readonly HitKind[] = [
  'miss',
  'background',
  'object',
  'near',
  'object+background',
  'whole',
  'exact',
];

/** Validates a grouping. @throws InvalidInputError if it is unknown. */
export function validateGrouping(by: string): Grouping {
  const known = GROUPINGS.find((grouping) => grouping === by);
  if (known !== undefined) return known;
  throw new InvalidInputError(
    'by',
    `by ${JSON.stringify(by)} is not a grouping`,
    `use one of ${GROUPINGS.join(', ')}`,
  );
}

/** Returns the group key of a video. */
export function keyOf(line: VideoLine, by: Grouping): string {
  switch (by) {
    case 'video':
      return line.videoId;
    case 'day':
      return line.day;
    case 'tenant':
      return line.tenant;
    case 'model':
      return line.modelRevision;
    case 'hit':
      return line.hit ?? line.status;
    case 'backfill':
      return line.backfillId ?? NO_BACKFILL;
  }
}

/** Accumulates groups in memory, one per key. */
export class Groups {
  readonly by: Grouping;
  readonly #sums = new Map<string, SumsOf>();

  constructor(by: Grouping) {
    this.by = by;
  }

  add(line: VideoLine): void {
    const key = keyOf(line, this.by);
    const sums = this.#sums.get(key) ?? new SumsOf();
    this.#sums.set(key, sums.add(line));
  }

  get(key: string): Sums | undefined {
    return this.#sums.get(key);
  }

  /** Returns days in order, hits in `HIT_ORDER`, others by cost. */
  sorted(): Group[] {
    const groups = [...this.#sums].map(([key, sums]) => ({ key, sums }));
    if (this.by === 'day') return groups.sort((one, other) => (one.key < other.key ? -1 : 1));
    if (this.by === 'hit') {
      const rank = ({ key }: Group): number => {
        const index = HIT_ORDER.findIndex((hit) => hit === key);
        return index === -1 ? HIT_ORDER.length : index;
      };
      return groups.sort((one, other) => rank(one) - rank(other) || compareKeys(one, other));
    }
    return groups.sort((one, other) =>
      one.sums.loaded === other.sums.loaded
        ? compareKeys(one, other)
        : one.sums.loaded > other.sums.loaded
          ? -1
          : 1,
    );
  }
}

function compareKeys(one: Group, other: Group): number {
  return one.key < other.key ? -1 : 1;
}
