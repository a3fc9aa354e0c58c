import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { newApiKey } from '#core/requests/api-key.ts';
import { estimateCost } from '#core/costs/cost.ts';
import { newTenant } from '#core/requests/tenant.ts';
import type { WireBackfill, WirePrediction } from '#functions/shared/resources/schemas/backfill.ts';
import type { WireVideo } from '#functions/shared/resources/schemas/video.ts';
import { embeddedPrices } from '#functions/shared/deployed-prices.ts';
import { startApiServer, type ApiServer } from '#local/api-server.ts';
import { openEmbeddedCloud } from '#local/embedded-cloud.ts';
import { FakeVideoModel } from '../denoiser/fakes.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { fakeModels } from './fake-models.ts';

const STEPS = 2;

interface Served {
  server: ApiServer;
  tenant: string;
  call<Answer>(method: string, path: string, body?: object): Promise<Answer>;
}

/** What a dry run and a run say alike. */
interface Outcome {
  lines: number;
  failed: number;
  already_there: number;
  hits: WirePrediction['hits'];
  steps_run: number;
  steps_full: number;
}

async function serve(video = new FakeVideoModel()): Promise<Served> {
  const server = await startApiServer({
    open: (options) =>
      openEmbeddedCloud(options, {
        openModels: () => Promise.resolve(fakeModels(video)),
        retryPauses: { Prepare: 0, Submit: 0, Run: 0, Close: 0, CloseFailed: 0 },
      }),
    stateDirectory: await temporaryFolder(),
    modelDirectory: 'nowhere',
    host: '127.0.0.1',
    port: 0,
    telemetry: { log: () => {} },
  });
  onTestFinished(() => server.close());
  const { tenants } = server.cloud.services;
  const tenant = 'acme';
  await tenants.createTenant(newTenant(tenant));
  const { key, record } = newApiKey({ tenant, name: 'test' });
  await tenants.createApiKey(record);
  const call = async <Answer>(method: string, path: string, body?: object): Promise<Answer> => {
    const response = await fetch(`${server.url}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    expect([response.status, answer]).toEqual([200, expect.anything()]);
    return answer as Answer;
  };
  return { server, tenant, call };
}

/** What the dry run of a request says, and what then comes of it. */
async function forecastAndRun(
  { server, call }: Served,
  request: object,
): Promise<{ forecast: Outcome; run: Outcome; notes: string[] }> {
  const forecast = await call<WirePrediction>('POST', '/backfills', { ...request, dry_run: true });
  const { id } = await call<WireBackfill>('POST', '/backfills', request);
  await server.cloud.backfills.finished(id);
  const run = await call<WireBackfill>('GET', `/backfills/${id}`);
  const { rejected, refused, already_there } = forecast;
  return {
    forecast: outcomeOf(forecast, forecast.lines, rejected + refused, already_there),
    run: outcomeOf(run, run.lines!, run.counts.failed, run.counts.already_there),
    notes: forecast.notes,
  };
}

function outcomeOf(
  { hits, steps_run, steps_full }: Pick<Outcome, 'hits' | 'steps_run' | 'steps_full'>,
  lines: number,
  failed: number,
  already_there: number,
): Outcome {
  return { lines, failed, already_there, hits, steps_run, steps_full };
}

test('a dry run of equal, stored, deleted, broken and too dear lines says what the run then does', async () => {
  // Prepare
  const served = await serve();
  const { server, tenant, call } = served;
  const there = { prompt: 'a red ball', seed: 1 };
  const deleted = { prompt: 'a blue star', seed: 2 };
  const settings = { steps: STEPS, concurrency: 1 };
  const prompts = [there, deleted];
  const first = await call<WireBackfill>('POST', '/backfills', { prompts, ...settings });
  await server.cloud.backfills.finished(first.id);
  const { data } = await call<{ data: WireVideo[] }>('GET', '/videos');
  const doomed = data.find(({ prompt }) => prompt === deleted.prompt)!;
  await call('DELETE', `/videos/${doomed.id}`);
  const equal = { prompt: 'a green ring', seed: 3 };
  const dear = { prompt: 'a white cross', seed: 4, steps: 200 };
  const lines = [there, deleted, dear, ...Array.from({ length: 12 }, () => equal)];
  const inputKey = `uploads/${tenant}/p.jsonl`;
  const text = [...lines.map((line) => JSON.stringify(line)), '{"promt": "a"}'].join('\n');
  await server.cloud.objects.put(inputKey, Buffer.from(text));
  const budgetPerDay = estimateCost({ networkEvaluations: 100 }, embeddedPrices()).total;
  await server.cloud.services.tenants.setLimits(tenant, { budgetPerDay });

  // Act
  const { forecast, run, notes } = await forecastAndRun(served, {
    input_key: inputKey,
    ...settings,
  });

  // Assess
  expect(forecast).toEqual(run);
  expect(forecast).toMatchObject({
    lines: 16,
    failed: 3,
    already_there: 1,
    hits: { miss: 1, exact: 11 },
    steps_run: STEPS,
  });
  expect(notes.filter((note) => note.includes('refused'))).toHaveLength(2);
}, 120_000);

test('a dry run expects as many misses of equal lines as are looked up before the first of them is made', async () => {
  // Prepare
  const concurrency = 4;
  const video = new FakeVideoModel();
  const served = await serve(video);
  const { table } = served.server.cloud;
  video.beforeStep = async () => {
    while ((await table.readQueue('backfill')).length < concurrency - 1) await pause(5);
    video.beforeStep = () => {};
  };
  const prompts = Array.from({ length: 12 }, () => ({ prompt: 'a green ring', seed: 3 }));

  // Act
  const { forecast, run } = await forecastAndRun(served, { prompts, steps: STEPS, concurrency });

  // Assess
  expect(forecast).toEqual(run);
  expect(forecast.hits).toMatchObject({ miss: concurrency, exact: 12 - concurrency });
}, 120_000);
