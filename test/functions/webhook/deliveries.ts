import { afterAll, beforeAll } from 'vitest';
import type { Job } from '#core/generation.ts';
import { DEFAULT_PRICE_REGION, priceBookOf } from '#core/pricing/prices.ts';
import { newTenant, type Tenant } from '#core/requests/tenant.ts';
import type { DeliveryServices } from '#functions/webhook/deliver.ts';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import { DynamoDeliveryLog } from '#aws/deliveries.ts';
import { DynamoBackfillTable } from '#aws/dynamo-backfills.ts';
import { DynamoTenantTable } from '#aws/dynamo-tenants.ts';
import type { Table } from '#ports/table.ts';
import { sampleJob, sampleResult, unique } from '../../aws/samples.ts';

export interface DeliveryFixture extends DeliveryServices {
  table: Table;
  backfills: DynamoBackfillTable;
  tenants: DynamoTenantTable;
  events: Parameters<DeliveryServices['log']>[0][];
}

/** What delivers, on a real table, once for a test file; receivers on this machine are allowed. */
export function useDeliveries(): () => DeliveryFixture {
  let server: TableServer;
  let fixture: DeliveryFixture;
  beforeAll(async () => {
    server = await startTableServer();
    const events: DeliveryFixture['events'] = [];
    fixture = {
      table: server.table,
      backfills: new DynamoBackfillTable(server.connection),
      tenants: new DynamoTenantTable(server.connection),
      deliveries: new DynamoDeliveryLog(server.connection),
      objects: { presign: async (key) => `https://videos.example/${key}` },
      prices: priceBookOf(DEFAULT_PRICE_REGION),
      videosExpireAfterDays: null,
      events,
      log: (event) => events.push(event),
      posting: { allowLoopback: true },
    };
  });
  afterAll(() => server.close());
  return () => fixture;
}

/** A completed video of a tenant of its own. */
export async function endedJob(
  { table, tenants }: DeliveryFixture,
  changes: Partial<Job> = {},
): Promise<{ job: Job; tenant: Tenant }> {
  const tenant = await tenants.createTenant(newTenant(unique('tenant-')));
  const { videoId } = (await table.createJob(sampleJob({ tenant: tenant.tenant, ...changes }))).job;
  await table.startJob(videoId);
  await table.completeJob(videoId, sampleResult());
  return { job: (await table.getJob(videoId))!, tenant };
}
