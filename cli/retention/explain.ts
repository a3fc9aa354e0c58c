import { FlexCacheError } from '#core/errors.ts';
import type { Entry } from '#core/generation.ts';
import type { Explanation } from '#retention/explanation.ts';
import type { OpenedTable } from '../open-tenants.ts';

/** Explains why entries are kept or evicted, from the state of the last pass. */
export interface Explainer {
  /** Explains an entry that was just read. */
  ofEntry(entry: Entry): Promise<Explanation>;
  /** Explains an entry by id. @throws FlexCacheError `not_found` if neither entry nor job exists. */
  ofId(entryId: string): Promise<Explanation>;
}

/** Creates an explainer, which reads the state of the last pass once. */
export async function explainerOf({ connection }: OpenedTable): Promise<Explainer> {
  const [{ DynamoTable }, { DynamoRetentionTable }, { explainEntry }, { embeddedEvictSettings }] =
    await Promise.all([
      import('#aws/dynamo-table.ts'),
      import('#aws/dynamo-retention-table.ts'),
      import('#retention/explain-entry.ts'),
      import('#local/embedded-retention.ts'),
    ]);
  const table = new DynamoTable(connection);
  const learned = await new DynamoRetentionTable(connection).getState();
  const explain = (entryId: string, entry: Entry | null, getJob: typeof table.getJob) =>
    explainEntry(
      {
        table: { getEntry: async () => entry, getJob },
        retention: { getState: async () => learned },
      },
      // A missing entry has no vectors.
      embeddedEvictSettings(entry?.vectors.whole.length ?? 1),
      entryId,
      Date.now(),
    );
  return {
    ofEntry: (entry) => explain(entry.entryId, entry, async () => null),
    async ofId(entryId) {
      const entry = await table.getEntry(entryId);
      const explanation = await explain(entryId, entry, (videoId) => table.getJob(videoId));
      if (explanation.state !== 'none' || explanation.job !== undefined) return explanation;
      throw entryNotFound(entryId);
    },
  };
}

export function entryNotFound(entryId: string): FlexCacheError {
  return new FlexCacheError('not_found', `entry ${entryId} is not in the cache`, {
    field: 'id',
    fix: 'list entries with flexcache cache ls',
  });
}
