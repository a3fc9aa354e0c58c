import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import { SEGMENTS, type CandidatePage, type Table } from '#ports/table.ts';
import type { Cursor } from './pass-state.ts';

export interface Page {
  entries: EvictionCandidate[];
  /** Where to go on; null behind the last entry of the last segment. */
  next: Cursor | null;
}

/**
 * The READY entries from there on, segment by segment. The next page is under way while one is worked
 * on: two are in memory at most.
 *
 * @param limit entries of a page at most
 */
export async function* pagesFrom(
  table: Pick<Table, 'listCandidates'>,
  from: Cursor,
  limit?: number,
): AsyncIterable<Page> {
  const read = ({ segment, after }: Cursor): Promise<CandidatePage> => {
    const page = table.listCandidates(segment, {
      ...(after !== null && { after }),
      ...(limit !== undefined && { limit }),
    });
    // Who stops reading does not wait for what is under way.
    page.catch(() => {});
    return page;
  };
  let coming = read(from);
  for (let cursor: Cursor | null = from; cursor !== null;) {
    const { entries, next: after } = await coming;
    const next = cursorBehind(cursor, after);
    if (next !== null) coming = read(next);
    yield { entries, next };
    cursor = next;
  }
}

function cursorBehind({ segment }: Cursor, after: string | null): Cursor | null {
  if (after !== null) return { segment, after };
  return segment + 1 < SEGMENTS ? { segment: segment + 1, after: null } : null;
}
