import { describe, expect, test } from 'vitest';
import { ObjectMissingError } from '#core/errors.ts';
import type { BackfillLine } from '#core/requests/backfill.ts';
import {
  backfillListSchema,
  backfillSchema,
  predictionSchema,
} from '#functions/shared/resources/schemas/backfill.ts';
import type { PredictionQuestion } from '#functions/shared/prediction.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import { useApi, type Answer, type CallOptions } from './fixture.ts';

const api = useApi();

const post = (json: object, options: CallOptions = {}): Promise<Answer> =>
  api().call('POST', '/v1/backfills', { json, ...options });

const PROMPTS = ['a red ball', { prompt: 'a blue star', seed: 7, cache: 'off', steps: 4 }];

describe('creating a backfill', () => {
  test('writes inline prompts down as a file of its own and starts it', async () => {
    const { backfillStarter, services } = api();
    const { status, body } = await post({
      prompts: PROMPTS,
      scope: 'shared',
      min_similarity: 0.5,
      concurrency: 3,
      tolerated_failure_percentage: 10,
      metadata: { a: 'b' },
      webhook: 'https://example.com/hook',
    });
    expect(status).toBe(200);
    expect(backfillSchema.parse(body)).toMatchObject({
      object: 'backfill',
      status: 'queued',
      format: 'jsonl',
      concurrency: 3,
      tolerated_failure_percentage: 10,
      metadata: { a: 'b' },
      lines: null,
    });
    expect(backfillStarter.started).toEqual([body.id]);
    const stored = (await services.backfills.getBackfill(body.id))!;
    expect(stored.defaults).toEqual({
      cache: 'auto',
      scope: 'shared',
      steps: null,
      minSimilarity: 0.5,
      maxReuse: 1,
    });
    const objects = services.objects as unknown as { get(key: string): Promise<Uint8Array> };
    const file = Buffer.from(await objects.get(stored.inputKey)).toString();
    expect(
      file
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([{ prompt: 'a red ball' }, PROMPTS[1]]);
  });

  test("takes a file of the tenant's own uploads; its format follows from its name", async () => {
    const { tenant } = api();
    const { body } = await post({ input_key: `uploads/${tenant}/prompts.csv` });
    expect(body).toMatchObject({ input_key: `uploads/${tenant}/prompts.csv`, format: 'csv' });
    const given = await post({ input_key: `uploads/${tenant}/prompts`, format: 'txt' });
    expect(given.body.format).toBe('txt');
    const unknown = await post({ input_key: `uploads/${tenant}/prompts.doc` });
    expect([unknown.status, unknown.body.error.param]).toEqual([400, 'format']);
  });

  test("does not read other tenants' files, nor anything else of the bucket", async () => {
    const { tenant, backfillStarter } = api();
    for (const input_key of [
      'uploads/other/prompts.txt',
      `uploads/${tenant}x/prompts.txt`,
      'backfills/bkf_1/input.jsonl',
      'latents/vid_1/1.fcl',
    ]) {
      const { status, body } = await post({ input_key, format: 'txt' });
      expect([status, body.error.type]).toEqual([403, 'permission_error']);
    }
    for (const input_key of [`uploads/${tenant}/../other/p.txt`, '/etc/passwd', 'a b']) {
      expect((await post({ input_key })).status).toBe(400);
    }
    expect(backfillStarter.started).toEqual([]);
  });

  test.each([
    [{}, 'prompts'],
    [{ prompts: [] }, 'prompts'],
    [{ prompts: ['x'], input_key: 'uploads/x.txt' }, 'input_key'],
    [{ prompts: ['x', '!!'] }, 'prompts[1]'],
    [{ prompts: [{ prompt: 'x', seed: 1.5 }] }, 'prompts[0]'],
    [{ prompts: ['x'], concurrency: 0 }, 'concurrency'],
    [{ prompts: ['x'], dry_run: 'yes' }, 'dry_run'],
    [{ prompts: Array(1001).fill('x') }, 'prompts'],
  ])('refuses bodies that make no sense', async (json, param) => {
    const { status, body } = await post(json);
    expect(status).toBe(400);
    expect(body.error.param.slice(0, param.length)).toBe(param);
  });

  test('counts as one request, and is not begun when the day has no money left', async () => {
    const { makeTenant } = api();
    const { key } = await makeTenant({ budgetPerDay: 0n });
    const { status, body } = await post({ prompts: ['x'] }, { key });
    expect([status, body.error.code]).toEqual([402, 'budget_exceeded']);
    const limited = await makeTenant({ requestsPerMinute: 0 });
    expect((await post({ prompts: ['x'] }, { key: limited.key })).status).toBe(429);
  });

  test('is done once for an idempotency key, and refuses another body for it', async () => {
    const headers = { 'idempotency-key': 'monday' };
    const first = await post({ prompts: PROMPTS }, { headers });
    const second = await post({ prompts: PROMPTS }, { headers });
    expect(second.body).toEqual(first.body);
    for (const other of [{ prompts: ['x'] }, { prompts: PROMPTS, concurrency: 2 }]) {
      const { status, body } = await post(other, { headers });
      expect([status, body.error.code]).toEqual([409, 'idempotency_key_used']);
    }
  });

  test('that cannot be started is not left waiting', async () => {
    const { backfillStarter, call } = api();
    backfillStarter.isBroken = true;
    expect((await post({ prompts: ['x'] })).status).toBe(500);
    const { body } = await call('GET', '/v1/backfills');
    expect(body.data).toMatchObject([{ status: 'failed', error: { code: 'not_started' } }]);
  });
});

describe('a dry run', () => {
  test('asks for the lines and the defaults, and makes nothing', async () => {
    const { services, backfillStarter, call, tenant } = api();
    const questions: PredictionQuestion[] = [];
    const { predict } = services.predictor;
    services.predictor.predict = (question) => {
      questions.push(question);
      return predict(question);
    };
    const { status, body } = await post({ prompts: PROMPTS, dry_run: true, max_reuse: 0.5 });
    expect(status).toBe(200);
    expect(predictionSchema.parse(body)).toMatchObject({
      object: 'backfill.prediction',
      lines: 2,
      extrapolated: true,
      cost: { amount: '0.00', without_cache: '1.00' },
    });
    expect(questions).toMatchObject([
      { tenant, source: { prompts: [{ prompt: 'a red ball' }, PROMPTS[1]] } },
    ]);
    expect(questions[0]!.defaults.maxReuse).toBe(0.5);
    expect(backfillStarter.started).toEqual([]);
    expect((await call('GET', '/v1/backfills')).body.data).toEqual([]);
  });

  test('says that a file is not there', async () => {
    const { services, tenant } = api();
    services.predictor.predict = async () => {
      throw new ObjectMissingError('uploads/x');
    };
    const { status, body } = await post({
      input_key: `uploads/${tenant}/p.txt`,
      dry_run: true,
    });
    expect([status, body.error.code, body.error.param]).toEqual([
      400,
      'input_missing',
      'input_key',
    ]);
  });
});

describe('a backfill', () => {
  const line = (
    backfillId: string,
    number: number,
    changes: Partial<BackfillLine>,
  ): BackfillLine => ({
    backfillId,
    line: number,
    status: 'completed',
    videoId: `vid_${number}`,
    alreadyThere: false,
    hit: 'whole',
    stepsRun: 3,
    fullSteps: 10,
    cost: '2000000000',
    endedAt: new Date().toISOString(),
    ...changes,
  });

  test('says what its lines came to, when it will be done, and where its results are', async () => {
    const { services, call } = api();
    const backfills = services.backfills as BackfillTable;
    const { id } = (await post({ prompts: PROMPTS })).body;
    await backfills.updateBackfill(id, {
      status: 'running',
      startedAt: new Date(Date.now() - 40_000).toISOString(),
      lines: 8,
    });
    await backfills.putLine(line(id, 1, {}));
    await backfills.putLine(line(id, 2, { hit: 'miss', stepsRun: 10 }));
    await backfills.putLine(line(id, 3, { alreadyThere: true }));
    await backfills.putLine({ ...line(id, 4, {}), status: 'failed', videoId: null, hit: 'exact' });
    const { body } = await call('GET', `/v1/backfills/${id}`);
    expect(backfillSchema.parse(body)).toMatchObject({
      status: 'in_progress',
      lines: 8,
      counts: { completed: 3, failed: 1, cancelled: 0, already_there: 1 },
      hits: { whole: 1, miss: 1, exact: 1 },
      steps_run: 16,
      steps_full: 30,
      cost: { amount: '0.006', currency: 'USD' },
      results_url: null,
    });
    expect(body.eta_at - Date.now() / 1000).toBeGreaterThan(35);
    expect(body.eta_at - Date.now() / 1000).toBeLessThan(60);

    await backfills.updateBackfill(id, {
      status: 'completed',
      completedAt: new Date().toISOString(),
      manifestKey: `backfills/${id}/results/manifest.json`,
    });
    const ended = (await call('GET', `/v1/backfills/${id}`)).body;
    expect(ended).toMatchObject({ status: 'completed', eta_at: null });
    expect(ended.results_url).toContain(`backfills/${id}/results/manifest.json`);
  });

  test('is cancelled by deleting it; one that has ended stays as it is', async () => {
    const { services, backfillStarter, call } = api();
    const { id } = (await post({ prompts: PROMPTS })).body;
    expect((await call('DELETE', `/v1/backfills/${id}`)).status).toBe(200);
    expect(backfillStarter.stopped).toEqual([id]);
    expect((await services.backfills.getBackfill(id))!.cancelRequested).toBe(true);
    await services.backfills.updateBackfill(id, { status: 'cancelled' });
    expect((await call('DELETE', `/v1/backfills/${id}`)).body.status).toBe('cancelled');
    expect(backfillStarter.stopped).toEqual([id]);
  });

  test("is nobody else's business", async () => {
    const { call, makeTenant } = api();
    const { key } = await makeTenant();
    const { id } = (await post({ prompts: PROMPTS }, { key })).body;
    for (const [method, path] of [
      ['GET', `/v1/backfills/${id}`],
      ['DELETE', `/v1/backfills/${id}`],
      ['GET', `/v1/backfills?after=${id}`],
      ['GET', '/v1/backfills/bkf_x'],
    ] as const) {
      expect((await call(method, path)).status).toBe(404);
    }
    expect((await call('GET', '/v1/backfills')).body.data).toEqual([]);
    const theirs = await call('GET', '/v1/backfills', { key });
    expect(backfillListSchema.parse(theirs.body).data).toMatchObject([{ id }]);
  });
});
