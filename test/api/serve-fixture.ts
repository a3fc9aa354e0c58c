import OpenAI from 'openai';
import { onTestFinished } from 'vitest';
import { newApiKey } from '#core/requests/api-key.ts';
import { newTenant } from '#core/requests/tenant.ts';
import type { WireVideo } from '#functions/shared/resources/schemas/video.ts';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';
import { startApiServer, type ApiServer, type ApiServerOptions } from '#local/api-server.ts';
import { openEmbeddedCloud } from '#local/embedded-cloud.ts';
import { DEMO_PACKAGE } from './fixture.ts';

export interface Served {
  server: ApiServer;
  faults: TelemetryEvent[];
  /** A client of a tenant of its own. */
  client(tenant: string): Promise<OpenAI & { tenant: string }>;
}

/** The API with a worker of the demo package, or of another, until the running test ends. */
export async function serve(
  stateDirectory: string,
  options: Partial<Pick<ApiServerOptions, 'allowLocalWebhooks' | 'modelDirectory'>> = {},
): Promise<Served> {
  const faults: TelemetryEvent[] = [];
  const server = await startApiServer({
    open: openEmbeddedCloud,
    stateDirectory,
    modelDirectory: DEMO_PACKAGE,
    host: '127.0.0.1',
    port: 0,
    ...options,
    telemetry: {
      log: (event) => {
        if (event.level !== 'info') faults.push(event);
      },
    },
  });
  onTestFinished(() => server.close());
  return {
    server,
    faults,
    async client(tenant) {
      const { tenants } = server.cloud.services;
      await tenants.createTenant(newTenant(tenant));
      const { key, record } = newApiKey({ tenant, name: 'test' });
      await tenants.createApiKey(record);
      const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: key, maxRetries: 0 });
      return Object.assign(client, { tenant });
    },
  };
}

/** A video as the client reads it, with the fields that are ours. */
export async function ended(client: OpenAI, id: string): Promise<WireVideo> {
  for (;;) {
    const video = (await client.videos.retrieve(id)) as unknown as WireVideo;
    if (video.status !== 'queued' && video.status !== 'in_progress') return video;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
