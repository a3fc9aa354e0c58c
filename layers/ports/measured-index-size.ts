import { addDays, dayAt } from '#core/day.ts';
import type { RetentionRun } from '#core/retention/retention-run.ts';
import { entryBytes } from '#core/costs/entry-rent.ts';
import type { RetentionTable } from './retention-table.ts';
import type { VectorIndexSize } from './vector-index.ts';

/** An index grows slowly beside the passes that measure it. */
const REMEMBERED_MILLISECONDS = 60 * 60 * 1000;

/** A measure that is older says nothing any more. */
const REACHES_BACK_DAYS = 7;

export interface MeasuredIndexSizeOptions {
  retention: Pick<RetentionTable, 'listRuns'>;
  /** Epoch milliseconds now. */
  now?: () => number;
}

/**
 * How much the vector index holds, as the last pass over the cache has counted it: S3 Vectors does not
 * say, and counting it for each query would cost more than the query. Null before the first pass, and
 * when the table does not answer: a look-up does not wait for its own bill.
 *
 * @example new S3VectorIndex({ index, size: measuredIndexSize({ retention }) })
 */
export function measuredIndexSize({
  retention,
  now = Date.now,
}: MeasuredIndexSizeOptions): (dimensions: number) => Promise<VectorIndexSize | null> {
  let known: { bytes: number | null; at: number } | null = null;
  return async (dimensions) => {
    if (known === null || now() - known.at > REMEMBERED_MILLISECONDS) {
      known = { bytes: await lastMeasure(retention, now()), at: now() };
    }
    const { bytes } = known;
    if (bytes === null) return null;
    return { bytes, vectors: Math.round(bytes / entryBytes(dimensions, 1).vectorBytes) };
  };
}

async function lastMeasure(
  retention: Pick<RetentionTable, 'listRuns'>,
  now: number,
): Promise<number | null> {
  try {
    for (let back = 0; back <= REACHES_BACK_DAYS; back++) {
      const measured = (await retention.listRuns(addDays(dayAt(now), -back))).findLast(isMeasure);
      if (measured !== undefined) return measured.holdings!.vectorBytes;
    }
  } catch {
    // Unknown, as before the first pass; the records of queries say so.
  }
  return null;
}

function isMeasure({ kind, isComplete, holdings }: RetentionRun): boolean {
  return kind === 'evict' && isComplete && holdings !== undefined;
}
