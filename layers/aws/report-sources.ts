import type { ReportSources } from '#core/reports/report.ts';
import { DynamoIdleTable } from './dynamo-idle-table.ts';
import type { DynamoItemsOptions } from './dynamo-items.ts';
import { DynamoRetentionTable } from './dynamo-retention-table.ts';
import { DynamoTable } from './dynamo-table.ts';

/**
 * What reports are made from, in the one table: each day is three queries, none is a scan.
 *
 * @example
 * const report = await makeReport(reportSources({ tableName: 'flexcache' }), question);
 */
export function reportSources(connection: DynamoItemsOptions): ReportSources {
  const jobs = new DynamoTable(connection);
  const retention = new DynamoRetentionTable(connection);
  const idle = new DynamoIdleTable(connection);
  return {
    jobs: (day) => jobs.listDay(day),
    runs: (day) => retention.listRuns(day),
    idleTails: (day) => idle.listIdle(day),
  };
}
