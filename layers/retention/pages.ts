import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import { SEGMENTS, type CandidatePage, type Table } from '#ports/table.ts';
import type { Cursor } from './pass-state.ts';

export interface Page {
  entries: EvictionCandidate[];
  /** Where to continue; null after the last entry of the last segment. */
  next: Cursor | null;
}

/**
 * Reads READY entries from a cursor, segment by segment. It prefetches one page, so at most two are
 * in memory.
 *
 * @param limit maximum entries per page
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
    // A consumer that stops early does not wait for the prefetched page.
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
