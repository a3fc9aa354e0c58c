import type { ReportSources } from '#core/report/report.ts';
import type { DynamoItemsOptions } from '#stores/dynamo-items.ts';

/** What reports are made from, in the one table: a query a day, no scan. */
export async function tableSources(connection: DynamoItemsOptions): Promise<ReportSources> {
  const { DynamoTable } = await import('#stores/dynamo-table.ts');
  const { DynamoRetentionTable } = await import('#stores/dynamo-retention-table.ts');
  const jobs = new DynamoTable(connection);
  const retention = new DynamoRetentionTable(connection);
  return {
    jobs: (day) => jobs.listDay(day),
    runs: (day) => retention.listRuns(day),
    idleTails: async () => [],
  };
}
