// Serves the whole API over models that take no time, for clients that are generated from its document:
//
//     npx node bench/generated-client.ts --port 8090 [--limits]
//     schemathesis run http://127.0.0.1:8090/openapi.json -H "Authorization: Bearer $KEY" --max-time 900
//
// It prints the key. `--limits` puts the caller behind admission: requests a minute, videos at once, dollars a day.
// What is thrown without being told to the caller, is written to stderr.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { newApiKey } from '#core/requests/api-key.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { newTenant } from '#core/requests/tenant.ts';
import { startApiServer } from '#local/api-server.ts';
import { openEmbeddedCloud } from '#local/embedded-cloud.ts';
import { fakeModels } from '../test/local/fake-models.ts';

const { values } = parseArgs({
  options: { port: { type: 'string', default: '8090' }, limits: { type: 'boolean' } },
});
const stateDirectory = await mkdtemp(join(tmpdir(), 'flexcache-generated-client-'));
const server = await startApiServer({
  open: (options) => openEmbeddedCloud(options, { openModels: async () => fakeModels() }),
  stateDirectory,
  modelDirectory: 'nowhere',
  host: '127.0.0.1',
  port: Number(values.port),
  telemetry: {
    log: (event) => {
      if (event.level === 'error') process.stderr.write(`${event.event} ${String(event.error)}\n`);
    },
  },
});
const { tenants } = server.cloud.services;
const { tenant } = await tenants.createTenant(newTenant('generated'));
if (values.limits) {
  await tenants.setLimits(tenant, {
    requestsPerMinute: 600,
    concurrentJobs: 20,
    budgetPerDay: parseUsd('0.50', 'budget'),
  });
}
const { key, record } = newApiKey({ tenant, name: 'generated' });
await tenants.createApiKey(record);
process.stdout.write(`${server.url} ${key}\n`);
process.once('SIGINT', () => {
  void server.close().then(() => rm(stateDirectory, { recursive: true }));
});
