import { once } from 'node:events';
import { resolve } from 'node:path';
import { newApiKey } from '#core/requests/api-key.ts';
import { isCorsOrigin } from '#core/requests/cors-origin.ts';
import { InvalidInputError } from '#core/errors.ts';
import { newTenant } from '#core/requests/tenant.ts';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';
import { parseCacheBudget } from '#local/cache-budget.ts';
import { DEFAULT_TENANT } from '#local/default-tenant.ts';
import { fromDigits } from '#readers/request-line.ts';
import type { TenantTable } from '#ports/tenants.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { errorReport } from '../error-line.ts';
import { parsePeriod } from '../retention/periods.ts';
import { parseBatch, remark } from '../with-cloud.ts';

export interface ServeOptions extends GlobalOptions {
  host: string;
  port: string;
  publicUrl?: string;
  allowLocalWebhooks: boolean;
  corsOrigin: string[];
  /** False with `--no-retention`: then nothing is weighed or swept but on demand. */
  retention: boolean;
  evictEvery: string;
  sweepEvery: string;
  /** Dollars a month. */
  cacheBudget?: string;
}

export const DEFAULT_PORT = 8080;

const MAX_PORT = 65_535;

/** Serves the HTTP API over the state folder until it is interrupted. */
export async function serve(context: CliContext, options: ServeOptions): Promise<ExitCode> {
  const port = parsePort(options.port);
  const publicUrl = parsePublicUrl(options.publicUrl);
  const corsOrigins = options.corsOrigin.map(parseCorsOrigin);
  const periods = {
    evict: parsePeriod(options.evictEvery, 'evict-every'),
    sweep: parsePeriod(options.sweepEvery, 'sweep-every'),
  };
  const cacheBudgetUsd =
    options.cacheBudget === undefined
      ? null
      : parseCacheBudget(options.cacheBudget, 'cache-budget');
  const interrupt = new AbortController();
  const stopListening = context.onInterrupt(() => interrupt.abort());
  const { workingDirectory, stdout, stderr } = context;
  try {
    // The engine is large: commands that do without it start without it.
    const { startApiServer } = await import('#local/api-server.ts');
    const server = await startApiServer({
      open: context.open,
      stateDirectory: resolve(workingDirectory, options.state),
      modelDirectory: resolve(workingDirectory, options.model),
      ...(options.provider !== undefined && { executionProvider: options.provider }),
      ...(options.batch !== undefined && { batch: parseBatch(options.batch) }),
      log: (event) => remark(context, event),
      host: options.host,
      port,
      ...(publicUrl !== undefined && { publicUrl }),
      allowLocalWebhooks: options.allowLocalWebhooks,
      corsOrigins,
      cacheBudgetUsd,
      telemetry: { log: (event) => report(context, event) },
    });
    try {
      const key = await firstKey(server.cloud.services.tenants);
      if (server.resumed.length > 0) {
        stderr.write(`flexcache: going on with ${server.resumed.length} unfinished videos\n`);
      }
      if (key !== null) {
        stdout.write(`key      ${key}\n`);
        stderr.write('flexcache: keep the key now: only its hash is stored\n');
      }
      stdout.write(`serving  ${server.url}/v1\n`);
      if (options.retention) {
        server.cloud.retention.schedule(periods, (event) => report(context, event));
      }
      if (!interrupt.signal.aborted) await once(interrupt.signal, 'abort');
      stderr.write('flexcache: closing; what is unfinished goes on when it is served again\n');
    } finally {
      await server.close();
    }
    return EXIT.success;
  } finally {
    stopListening();
  }
}

/** A key for whoever serves this state folder for the first time; null when there is a tenant. */
async function firstKey(tenants: TenantTable): Promise<string | null> {
  if ((await tenants.getTenant(DEFAULT_TENANT)) !== null) return null;
  const { key, record } = newApiKey({ tenant: DEFAULT_TENANT, name: 'first' });
  await tenants.createTenant(newTenant(DEFAULT_TENANT));
  await tenants.createApiKey(record);
  return key;
}

/** Says what callers are not told. */
function report({ stderr }: CliContext, { level, event, error, ...details }: TelemetryEvent): void {
  if (level === 'info') return;
  const about = Object.values(details).map(String).join(' ');
  const why = error === undefined ? '' : `: ${errorReport(error).message}`;
  stderr.write(`flexcache: ${event}: ${about}${why}\n`);
}

function parsePort(text: string): number {
  const port = fromDigits(text);
  if (typeof port === 'number' && port <= MAX_PORT) return port;
  throw new InvalidInputError(
    'port',
    `port is ${JSON.stringify(text)}`,
    `give a whole number from 0 to ${MAX_PORT}`,
  );
}

function parseCorsOrigin(text: string): string {
  if (isCorsOrigin(text)) return text;
  throw new InvalidInputError(
    'cors-origin',
    `the origin is ${JSON.stringify(text)}`,
    'give scheme, host and port as browsers send them, such as https://app.example.com, or *',
  );
}

function parsePublicUrl(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) {
    return text.replace(/\/+$/, '');
  }
  throw new InvalidInputError(
    'public-url',
    `the public URL is ${JSON.stringify(text)}`,
    'give an address such as https://videos.example.com',
  );
}
