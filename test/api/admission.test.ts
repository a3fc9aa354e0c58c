import { describe, expect, onTestFinished, test } from 'vitest';
import { ASSUMED_TIMING, estimateCost } from '#core/costs/cost.ts';
import { exactKey } from '#core/requests/identity.ts';
import { PICO_USD_PER_USD } from '#core/pricing/money.ts';
import { errorSchema } from '#functions/api/schemas/service.ts';
import { sampleEntry, unique } from '../aws/samples.ts';
import { useApi, type ApiFixture } from './fixture.ts';

const api = useApi();

const today = (): string => new Date().toISOString().slice(0, 10);

describe('keys', () => {
  test('are asked for everywhere but where the service says what it is', async () => {
    const { call } = api();
    for (const path of ['/healthz', '/openapi.json']) {
      expect((await call('GET', path, { key: null })).status).toBe(200);
    }
    for (const path of ['/v1/videos', '/v1/models', '/v1/backfills', '/v1/videos/x/content']) {
      expect((await call('GET', path, { key: null })).status).toBe(401);
    }
  });

  test('that are missing, malformed, unknown or revoked are refused in the same words', async () => {
    const { call, makeTenant, tenants, tenant } = api();
    const revoked = await makeTenant();
    const [stored] = await tenants.listApiKeys(revoked.tenant);
    await tenants.revokeApiKey(revoked.tenant, stored!.keyId);
    const unknown = revoked.key.replace(/.{6}$/, 'AAAAAA');
    const headers = [
      {},
      { authorization: 'Bearer' },
      { authorization: 'Bearer  ' },
      { authorization: `Basic ${revoked.key}` },
      { authorization: 'Bearer sk-x' },
      { authorization: `Bearer ${unknown}` },
      { authorization: `Bearer ${revoked.key}` },
      { authorization: `Bearer ${tenant}` },
    ];
    const answers = await Promise.all(
      headers.map((given) => call('GET', '/v1/videos', { key: null, headers: given })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(answers[0]!.headers.get('www-authenticate')).toBe('Bearer');
  });

  test('come before everything else: without one nothing is read', async () => {
    const { call } = api();
    const body = 'x'.repeat(1024 * 1024);
    expect((await call('POST', '/v1/videos', { key: null, body })).status).toBe(401);
  });
});

describe('bodies', () => {
  test('that announce more than the limit are refused unread', async () => {
    const { call } = api();
    let pulled = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(64 * 1024));
      },
    });
    const { status, body: refused } = await call('POST', '/v1/videos', {
      body,
      headers: { 'content-type': 'application/json', 'content-length': '7000000' },
    });
    expect([status, refused.error.code]).toEqual([413, 'body_too_large']);
    expect(pulled).toBeLessThan(3);
  });

  test('that go on for ever are refused while they are read', async () => {
    const { call } = api();
    let bytes = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        bytes += 64 * 1024;
        controller.enqueue(new Uint8Array(64 * 1024));
      },
    });
    const { status } = await call('POST', '/v1/videos', {
      body,
      headers: { 'content-type': 'application/json' },
    });
    expect(status).toBe(413);
    expect(bytes).toBeLessThan(8 * 1024 * 1024);
  });

  test.each([
    ['text/plain', '{"prompt":"x"}', 415, 'unsupported_media_type'],
    ['application/x-www-form-urlencoded', 'prompt=x', 415, 'unsupported_media_type'],
    ['application/json', '', 400, 'invalid_json'],
    ['application/json', '{"prompt":', 400, 'invalid_json'],
    ['application/json; charset=utf-8', '{"prompt":"\u{FF}"', 400, 'invalid_json'],
    ['application/json', '[]', 400, 'invalid_input'],
    ['application/json', 'null', 400, 'invalid_input'],
    ['multipart/form-data', 'x', 400, 'invalid_form'],
    ['multipart/form-data; boundary=b', 'x', 400, 'invalid_form'],
    ['', '{"prompt":"x"}', 415, 'unsupported_media_type'],
  ])('of type "%s" holding %j are answered with %i %s', async (type, body, status, code) => {
    const { call } = api();
    const answered = await call('POST', '/v1/videos', { body, headers: { 'content-type': type } });
    expect([answered.status, answered.body.error.code]).toEqual([status, code]);
  });

  test('of backfills are JSON only', async () => {
    const { call } = api();
    const form = new FormData();
    form.set('prompts[]', 'x');
    expect((await call('POST', '/v1/backfills', { form })).status).toBe(415);
  });
});

describe('limits', () => {
  test('on requests a minute are said with when to come again; reading is not counted', async () => {
    const { create, call, makeTenant } = api();
    const { key } = await makeTenant({ requestsPerMinute: 2 });
    const answers = [];
    for (let index = 0; index < 4; index++) answers.push(await create({}, { key }));
    // A minute may end in between.
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    const [{ body, headers }] = refused as [(typeof refused)[0]];
    expect(body.error).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded' });
    const seconds = Number(headers.get('retry-after'));
    expect(seconds).toBeGreaterThanOrEqual(1);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(headers.get('x-ratelimit-limit-requests')).toBe('2');
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(headers.get('x-ratelimit-reset-requests')).toBe(`${seconds}s`);
    for (let index = 0; index < 4; index++) {
      expect((await call('GET', '/v1/videos', { key })).status).toBe(200);
    }
  });

  test('of the deployment hold for tenants that were given none', async () => {
    const { create, services } = api();
    Object.assign(services, {
      defaultLimits: { requestsPerMinute: null, concurrentJobs: 0, budgetPerDay: null },
    });
    expect((await create()).body.error.code).toBe('too_many_jobs');
  });

  test('on videos at once hold under a rush, and end with the videos', async () => {
    const { create, complete, makeTenant } = api();
    const { key } = await makeTenant({ concurrentJobs: 3 });
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => create({ seed: index }, { key })),
    );
    const made = answers.filter(({ status }) => status === 200);
    expect(made).toHaveLength(3);
    const refused = answers.filter(({ status }) => status !== 200);
    for (const { status, body, headers } of refused) {
      expect([status, body.error.code]).toEqual([429, 'too_many_jobs']);
      expect(headers.get('retry-after')).toBe('10');
    }
    await complete(made[0]!.body.id);
    expect((await create({}, { key })).status).toBe(200);
    expect((await create({}, { key })).status).toBe(429);
  });

  test('free the places of videos that ended without freeing them', async () => {
    const { create, table, makeTenant } = api();
    const { key } = await makeTenant({ concurrentJobs: 1 });
    const { body } = await create({}, { key });
    await table.failJob(body.id, { code: 'internal', message: 'crashed' }, false);
    expect((await create({}, { key })).status).toBe(200);
  });

  test('on dollars a day count what is reserved, and take back what was not spent', async () => {
    const { create, table, services, makeTenant } = api();
    const price = estimateCost(
      { networkEvaluations: services.manifest.scheduler.steps, timing: ASSUMED_TIMING },
      services.prices,
    ).total;
    const { key, tenant } = await makeTenant({ budgetPerDay: (price * 5n) / 2n });
    const [first, second, third] = [
      await create({ seed: 1 }, { key }),
      await create({ seed: 2 }, { key }),
      await create({ seed: 3 }, { key }),
    ];
    expect([first, second, third].map(({ status }) => status)).toEqual([200, 200, 402]);
    expect(third.body.error).toMatchObject({ type: 'budget_error', code: 'budget_exceeded' });
    expect(await services.tenants.getSpending(tenant, today())).toBe(price * 2n);

    await table.failJob(first.body.id, { code: 'internal', message: 'crashed' }, false);
    await services.endJob((await table.getJob(first.body.id))!);
    expect((await create({ seed: 3 }, { key })).status).toBe(200);
  });

  test('that refuse give back what was taken before', async () => {
    const { create, services, makeTenant } = api();
    const { key, tenant } = await makeTenant({ concurrentJobs: 1, budgetPerDay: 1n });
    expect((await create({}, { key })).status).toBe(402);
    expect(await services.tenants.listPlaces(tenant)).toEqual([]);
    expect((await create({}, { key })).status).toBe(402);
    expect(await services.tenants.getSpending(tenant, today())).toBe(0n);
  });
});

describe('faults', () => {
  test('of the workflow leave nothing waiting, and give everything back', async () => {
    const { create, call, workflow, services, notified, logged, makeTenant } = api();
    const { key, tenant } = await makeTenant({
      concurrentJobs: 1,
      budgetPerDay: PICO_USD_PER_USD,
    });
    workflow.isBroken = true;
    const webhook = 'https://example.com/hook';
    const { status, body, headers } = await create({ webhook }, { key });
    expect([status, body.error.code]).toEqual([503, 'unavailable']);
    expect(headers.get('retry-after')).toBe('2');
    expect(JSON.stringify(body)).not.toContain('secret-arn');
    expect(logged).toMatchObject([{ level: 'warn', event: 'request_failed' }]);

    const { body: list } = await call('GET', '/v1/videos', { key });
    expect(list.data).toMatchObject([{ status: 'failed', error: { code: 'not_started' } }]);
    expect(notified).toEqual([{ kind: 'video', id: list.data[0].id }]);
    expect(await services.tenants.listPlaces(tenant)).toEqual([]);
    expect(await services.tenants.getSpending(tenant, today())).toBe(0n);
    workflow.isBroken = false;
    expect((await create({}, { key })).status).toBe(200);
  });

  test('of the table give back the place, and say nothing of themselves', async () => {
    const { create, services, logged, makeTenant } = api();
    const { key, tenant } = await makeTenant({
      concurrentJobs: 1,
      budgetPerDay: PICO_USD_PER_USD,
    });
    const { createJob } = services.table;
    services.table.createJob = async () => {
      throw new Error('table flexcache-prod at 10.0.0.7 is gone');
    };
    const { status, body, headers } = await create({}, { key });
    services.table.createJob = createJob;
    expect(status).toBe(500);
    expect(errorSchema.parse(body).error).toMatchObject({ type: 'server_error', code: 'internal' });
    expect(JSON.stringify(body)).not.toContain('flexcache-prod');
    const requestId = headers.get('x-request-id');
    expect(logged).toMatchObject([{ level: 'error', requestId, request: 'POST /v1/videos' }]);
    expect(await services.tenants.listPlaces(tenant)).toEqual([]);
    expect(await services.tenants.getSpending(tenant, today())).toBe(0n);
  });

  test('every answer carries the id of its request', async () => {
    const { call } = api();
    const answers = await Promise.all([
      call('GET', '/v1/videos'),
      call('GET', '/v1/videos/x'),
      call('PUT', '/v1/videos'),
      call('GET', '/v1/videos', { key: null }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 405, 401]);
    const ids = answers.map(({ headers }) => headers.get('x-request-id'));
    expect(new Set(ids).size).toBe(4);
    expect(ids).not.toContain(null);
    for (const { body } of answers.slice(1)) errorSchema.parse(body);
  });
});

describe('the queue', () => {
  test('takes in what is expected to begin in time, refuses the rest with the time to wait, and lets through what needs no worker', async () => {
    // 18 x 400 s on two workers is an hour.
    const { call, create, pace, services, table, compatibilityKey, tenant } = queueOf(api());
    for (let waiting = 0; waiting < 18; waiting++) {
      await table.enterQueue('interactive', unique('vid_'));
    }
    const unmeasured = await create();
    pace.seconds = 400;
    const inTime = await create();
    await table.enterQueue('interactive', unique('vid_'));
    const [refused, remixed] = [await create(), await create({ seed: 7 })];
    const retried = await create({ seed: 9 }, { headers: { 'idempotency-key': 'queued' } });
    services.interactiveWorkers = 4;
    const withMoreWorkers = await create();
    services.interactiveWorkers = 2;
    const { steps } = services.manifest.scheduler;
    const scope = 'tenant' as const;
    const key = { prompt: 'a red ball', seed: 7, steps, remixOf: null, scope, tenant };
    await table.putEntry(
      sampleEntry({
        compatibilityKey,
        scope,
        tenant,
        exactKey: exactKey({ ...key, compatibilityKey }),
      }),
    );
    const exact = await create({ seed: 7, scope });
    const refreshed = await create({ seed: 7, scope, cache: 'refresh' });

    expect([unmeasured, inTime, withMoreWorkers, exact].map(({ status }) => status)).toEqual(
      Array<number>(4).fill(200),
    );
    for (const answer of [refused, remixed, retried, refreshed]) {
      expect(answer.status).toBe(429);
      expect(errorSchema.parse(answer.body).error).toMatchObject({ code: 'queue_full' });
    }
    // 19 x 400 / 2 - 3600
    expect(refused.headers.get('retry-after')).toBe('200');
    expect((await call('GET', '/v1/videos')).body.data).toHaveLength(4);
  });
});

/** The queue is everybody's: what is left in it would refuse the tests that follow. */
function queueOf(fixture: ApiFixture) {
  onTestFinished(async () => {
    for (const videoId of await fixture.table.readQueue('interactive')) {
      await fixture.table.leaveQueue('interactive', videoId);
    }
  });
  return { ...fixture, compatibilityKey: fixture.services.compatibilityKey };
}
