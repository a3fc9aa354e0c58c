import { describe, expect, test } from 'vitest';
import { estimateCost } from '#core/costs/cost.ts';
import { requestCompatibilityKey, videoIdForKey } from '#core/requests/identity.ts';
import { parseUsd } from '#core/pricing/money.ts';
import {
  deletedVideoSchema,
  videoListSchema,
  videoSchema,
  type WireVideo,
} from '#functions/shared/resources/schemas/video.ts';
import { createApi } from '#functions/api/app.ts';
import type { Table } from '#ports/table.ts';
import { sampleEntry, sampleJob } from '../aws/samples.ts';
import { sampleResult, useApi } from './fixture.ts';

const api = useApi();

describe('creating a video', () => {
  test('answers with the queued video in the shape of its schema, and starts it once', async () => {
    const { create, workflow, tenant } = api();
    const { status, body } = await create({
      prompt: '  a red   ball ',
      seed: 7,
      metadata: { shot: '12' },
    });
    expect(status).toBe(200);
    expect(videoSchema.parse(body)).toMatchObject({
      object: 'video',
      status: 'queued',
      prompt: 'a red ball',
      model: 'demo-world',
      seconds: '2',
      size: '384x384',
      seed: 7,
      metadata: { shot: '12' },
      cost: null,
      error: null,
    });
    expect(workflow.started).toMatchObject([
      { request: { videoId: body.id, tenant, pool: 'interactive', scope: 'tenant' }, attempt: 1 },
    ]);
  });

  test.each([
    ['beside the rest', (fields: object) => fields],
    ['in extra_params', (fields: object) => ({ extra_params: fields })],
  ])('takes every extension %s', async (_, place) => {
    const { create, workflow } = api();
    const fields = {
      seed: 1,
      cache: 'readonly',
      min_similarity: 0.9,
      max_reuse: 0.5,
      scope: 'shared',
      steps: 5,
      guidance_scale: 4.5,
      negative_prompt: 'a  blue star',
      num_frames: 16,
      fps: 8,
      width: 384,
      height: 384,
      n: 1,
      webhook: 'https://example.com/hook',
      metadata: { a: 'b' },
    };
    const { status, body } = await create(place(fields));
    expect(status).toBe(200);
    expect(workflow.started[0]!.request).toMatchObject({
      seed: 1,
      cache: 'readonly',
      minSimilarity: 0.9,
      maxReuse: 0.5,
      scope: 'shared',
      steps: 5,
      guidanceScale: 4.5,
      negativePrompt: 'a blue star',
    });
    expect(body).toMatchObject({
      guidance_scale: 4.5,
      negative_prompt: 'a blue star',
      webhook: 'https://example.com/hook',
      metadata: { a: 'b' },
      cache: { mode: 'readonly', steps_full: 5 },
    });
  });

  test('reads a form as clients write it: numbers as text, objects in brackets or as JSON', async () => {
    const { call, workflow } = api();
    const form = new FormData();
    form.set('prompt', 'a red ball');
    form.set('seconds', '2');
    form.set('seed', '12');
    form.set('metadata[a]', 'b');
    form.set('extra_params[max_reuse]', '0.25');
    form.set('extra_params[steps]', '4');
    const { status, body } = await call('POST', '/v1/videos', { form });
    expect(status).toBe(200);
    expect(body.metadata).toEqual({ a: 'b' });
    expect(workflow.started[0]!.request).toMatchObject({ seed: 12, maxReuse: 0.25, steps: 4 });

    const asJson = new FormData();
    asJson.set('prompt', 'a red ball');
    asJson.set('extra_params', '{"cache":"off","metadata":{"n":"1"}}');
    const second = await call('POST', '/v1/videos', { form: asJson });
    expect(second.body).toMatchObject({ cache: { mode: 'off' }, metadata: { n: '1' } });
  });

  test.each([
    [{}, 'prompt', 'missing_required_parameter'],
    [{ prompt: '' }, 'prompt', 'prompt_empty'],
    [{ prompt: '!!' }, 'prompt', 'prompt_without_words'],
    [{ prompt: 7 }, 'prompt', 'invalid_input'],
    [{ prompt: 'x', model: 'sora-2' }, 'model', 'model_not_found'],
    [{ prompt: 'x', seconds: '4' }, 'seconds', 'invalid_input'],
    [{ prompt: 'x', size: '1280x720' }, 'size', 'invalid_input'],
    [{ prompt: 'x', seed: -1 }, 'seed', 'invalid_input'],
    [{ prompt: 'x', seed: '7' }, 'seed', 'invalid_input'],
    [{ prompt: 'x', steps: 201 }, 'steps', 'invalid_input'],
    [{ prompt: 'x', cache: 'on' }, 'cache', 'invalid_input'],
    [{ prompt: 'x', min_similarity: 2 }, 'min_similarity', 'invalid_input'],
    [{ prompt: 'x', webhook: 'http://example.com' }, 'webhook', 'invalid_input'],
    [{ prompt: 'x', webhook: 'https://10.0.0.1/' }, 'webhook', 'invalid_input'],
    [{ prompt: 'x', metadata: { a: 1 } }, 'metadata.a', 'invalid_input'],
    [{ prompt: 'x', min_similarty: 1 }, 'min_similarty', 'unknown_parameter'],
    [{ prompt: 'x', extra_params: { size: '1x1' } }, 'extra_params.size', 'unknown_parameter'],
    [{ prompt: 'x', num_frames: 81 }, 'num_frames', 'invalid_input'],
    [{ prompt: 'x', extra_params: { fps: 24 } }, 'fps', 'invalid_input'],
    [{ prompt: 'x', width: 640 }, 'width', 'invalid_input'],
    [{ prompt: 'x', n: 11 }, 'n', 'invalid_input'],
    [{ prompt: 'x', extra_params: { n: 0 } }, 'extra_params.n', 'invalid_input'],
    [{ prompt: 'x', guidance_scale: 21 }, 'guidance_scale', 'invalid_input'],
    [{ prompt: 'x', guidance_scale: 1, negative_prompt: 'y' }, 'negative_prompt', 'invalid_input'],
    [{ prompt: 'x', negative_prompt: '\u0000' }, 'negative_prompt', 'invalid_input'],
    [{ prompt: 'x', seed: 1, extra_params: { seed: 2 } }, 'extra_params.seed', 'invalid_input'],
  ])('refuses %j, naming %s', async (json, param, code) => {
    const { call, workflow } = api();
    const { status, body } = await call('POST', '/v1/videos', { json });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ type: 'invalid_request_error', param, code });
    expect(workflow.started).toEqual([]);
  });

  test('refuses a prompt that is too long, and takes the longest', async () => {
    const { create } = api();
    const { status, body } = await create({ prompt: 'x'.repeat(2001) });
    expect([status, body.error.code]).toEqual([400, 'prompt_too_long']);
    expect((await create({ prompt: 'x'.repeat(2000) })).status).toBe(200);
  });

  test('says what there is when another model, length or size is asked for', async () => {
    const { create } = api();
    const messages = [];
    for (const fields of [
      { model: 'sora-2' },
      { seconds: 8 },
      { size: '1x1' },
      { num_frames: 81 },
    ]) {
      messages.push((await create(fields)).body.error.message);
    }
    expect(messages).toEqual([
      expect.stringContaining('"demo-world"'),
      expect.stringContaining('"2"'),
      expect.stringContaining('"384x384"'),
      expect.stringContaining('demo-world makes 16: give 16, or leave the number of frames out'),
    ]);
    expect((await create({ model: 'demo-world', seconds: 2, size: '384x384' })).status).toBe(200);
  });

  test('refuses a file in a field of texts', async () => {
    const { call } = api();
    const form = new FormData();
    form.set('prompt', new File(['a red ball'], 'prompt.txt'));
    const { status, body } = await call('POST', '/v1/videos', { form });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ param: 'prompt', code: 'unsupported_parameter' });
  });
});

describe('n', () => {
  const headers = { 'idempotency-key': 'five shots' };

  test('is answered with a list of as many videos, each a job with a seed of its own', async () => {
    const { create, call, workflow } = api();
    const { status, body } = await create({ seed: 7, n: 3, metadata: { shot: '1' } });
    expect(status).toBe(200);
    const ids = body.data.map(({ id }: { id: string }) => id);
    expect(body).toMatchObject({
      object: 'list',
      first_id: ids[0],
      last_id: ids[2],
      has_more: false,
      data: [7, 8, 9].map((seed) => ({
        object: 'video',
        status: 'queued',
        seed,
        metadata: { shot: '1' },
      })),
    });
    expect(workflow.started.map(({ request }) => request.videoId)).toEqual(ids);
    for (const id of ids) expect((await call('GET', `/v1/videos/${id}`)).body.id).toBe(id);
  });

  test('under a key makes the same videos however often it is sent, and at the same time', async () => {
    const { create, workflow, complete } = api();
    const asked = { n: 3 };
    const [first, second] = await Promise.all([
      create(asked, { headers }),
      create(asked, { headers }),
    ]);
    await complete(first.body.data[1].id);
    const third = await create(asked, { headers });
    const idsOf = ({ body }: typeof first): string[] =>
      body.data.map(({ id }: { id: string }) => id);
    expect(idsOf(second)).toEqual(idsOf(first));
    expect(idsOf(third)).toEqual(idsOf(first));
    expect(third.body.data.map(({ status }: { status: string }) => status)).toEqual([
      'queued',
      'completed',
      'queued',
    ]);
    expect(new Set(workflow.started.map(({ request }) => request.videoId)).size).toBe(3);
    expect(new Set(workflow.started.map(({ request }) => request.seed)).size).toBe(3);
  });

  test.each([
    [3, 1],
    [1, 3],
    [3, 2],
  ])('of %i under a key refuses %i under the same key', async (n, other) => {
    const { create, workflow } = api();
    await create({ n }, { headers });
    const { status, body } = await create({ n: other }, { headers });
    expect([status, body.error.code]).toEqual([409, 'idempotency_key_used']);
    expect(body.error.message).toContain('its n was not the same');
    expect(workflow.started).toHaveLength(n);
  });

  test.each([
    ['createJob', 'fault'],
    ['createJob', 'kill'],
    ['start', 'fault'],
    ['start', 'kill'],
  ] as const)('goes on under its key when the second %s ended in a %s', async (name, end) => {
    // Prepare
    const { create, services, workflow, table, makeTenant } = api();
    const { key } = await makeTenant({ concurrentJobs: 3 });
    const { createJob } = services.table;
    const start = workflow.start.bind(workflow);
    const reached = Promise.withResolvers<void>();
    let calls = 0;
    const ends = async (): Promise<void> => {
      calls += 1;
      if (calls !== 2) return;
      reached.resolve();
      if (end === 'fault') throw new Error('out of order');
      // Of a process that is killed nothing more is heard, nor is anything given back.
      await new Promise(() => {});
    };
    if (name === 'createJob') {
      services.table.createJob = async (job) => {
        await ends();
        return createJob.call(table, job);
      };
    } else {
      workflow.start = async (request, attempt) => {
        await ends();
        await start(request, attempt);
      };
    }

    // Act
    const asked = { n: 3, seed: 1 };
    const first = create(asked, { headers, key });
    await (end === 'fault' ? first : reached.promise);
    services.table.createJob = createJob;
    workflow.start = start;
    const again = await create(asked, { headers, key });

    // Assess
    expect(again.status).toBe(200);
    const videos = videoListSchema.parse(again.body).data;
    expect(videos.map(({ seed, status }) => [seed, status])).toEqual([
      [1, 'queued'],
      [2, 'queued'],
      [3, 'queued'],
    ]);
    expect([...new Set(workflow.started.map(({ request }) => request.videoId))]).toEqual(
      expect.arrayContaining(videos.map(({ id }) => id)),
    );
    const { data } = (await api().call('GET', '/v1/videos', { key })).body;
    expect(data).toHaveLength(3);
  });

  test('takes a place and money for each, all or none of them', async () => {
    const { create, services, tenants, makeTenant } = api();
    const steps = services.manifest.scheduler.steps;
    const price = estimateCost({ networkEvaluations: steps }, services.prices).total;
    const { key, tenant } = await makeTenant({ concurrentJobs: 4, budgetPerDay: price * 3n });
    const day = new Date().toISOString().slice(0, 10);

    const beyondBudget = await create({ n: 4 }, { key });
    expect([beyondBudget.status, beyondBudget.body.error.code]).toEqual([402, 'budget_exceeded']);
    expect(await services.tenants.listPlaces(tenant)).toEqual([]);
    expect(await services.tenants.getSpending(tenant, day)).toBe(0n);

    expect((await create({ n: 2 }, { key })).status).toBe(200);
    expect(await services.tenants.listPlaces(tenant)).toHaveLength(2);
    expect(await services.tenants.getSpending(tenant, day)).toBe(price * 2n);

    await tenants.setLimits(tenant, { budgetPerDay: null });
    const beyondPlaces = await create({ n: 3 }, { key });
    expect([beyondPlaces.status, beyondPlaces.body.error.code]).toEqual([429, 'too_many_jobs']);
    expect(await services.tenants.listPlaces(tenant)).toHaveLength(2);

    const never = await create({ n: 5 }, { key });
    expect([never.status, never.body.error.param]).toEqual([400, 'n']);
  });
});

describe('idempotency keys', () => {
  const headers = { 'idempotency-key': 'order 1' };

  test('name one video: the second request finds it, and nothing is started twice', async () => {
    const { create, workflow, tenant } = api();
    const first = await create({}, { headers });
    const second = await create({}, { headers });
    expect(first.body.id).toBe(videoIdForKey(tenant, 'order 1'));
    expect(second.body).toEqual(first.body);
    await api().complete(first.body.id);
    expect((await create({}, { headers })).body.status).toBe('completed');
    expect(new Set(workflow.started.map(({ request }) => request.videoId)).size).toBe(1);
  });

  test('start a queued video again that a crash left without its start', async () => {
    const { create, workflow } = api();
    await create({}, { headers });
    workflow.started.length = 0;
    await create({}, { headers });
    expect(workflow.started).toHaveLength(1);
  });

  test.each([
    { prompt: 'a blue ball' },
    { seed: 3 },
    { metadata: { a: 'b' } },
    { webhook: 'https://example.com/' },
    { scope: 'shared' },
    { guidance_scale: 5 },
    { negative_prompt: 'a star' },
  ])('refuse another request: %j', async (fields) => {
    const { create } = api();
    await create({}, { headers });
    const { status, body, headers: answered } = await create(fields, { headers });
    expect(status).toBe(409);
    expect(body.error).toMatchObject({ code: 'idempotency_key_used', param: 'Idempotency-Key' });
    expect(answered.get('x-should-retry')).toBe('false');
  });

  test('take what the model does anyway for what was not said, and no less for more', async () => {
    const { create } = api();
    const first = await create({}, { headers });
    const same = { guidance_scale: 3, negative_prompt: '', num_frames: 16 };
    expect((await create(same, { headers })).body.id).toBe(first.body.id);
    const guided = { headers: { 'idempotency-key': 'order 2' } };
    expect((await create({ guidance_scale: 5 }, guided)).status).toBe(200);
    expect((await create({}, guided)).status).toBe(409);
  });

  test('belong to a tenant', async () => {
    const { create, makeTenant } = api();
    const other = await makeTenant();
    const first = await create({}, { headers });
    const second = await create({ prompt: 'a blue ball' }, { headers, key: other.key });
    expect(second.status).toBe(200);
    expect(second.body.id).not.toBe(first.body.id);
  });

  test('may not be empty or long', async () => {
    const { create } = api();
    for (const key of ['', 'x'.repeat(256)]) {
      const { status, body } = await create({}, { headers: { 'idempotency-key': key } });
      expect([status, body.error.param]).toEqual([400, 'Idempotency-Key']);
    }
  });

  test('make one video of requests that come at the same time', async () => {
    const { create, services, tenant } = api();
    const answers = await Promise.all(Array.from({ length: 8 }, () => create({}, { headers })));
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    const { items } = await services.table.listJobs(tenant, { limit: 10 });
    expect(items).toHaveLength(1);
  });

  test('try again what could not be started', async () => {
    const { create, workflow } = api();
    workflow.isBroken = true;
    expect((await create({}, { headers })).status).toBe(503);
    workflow.isBroken = false;
    const { status, body } = await create({}, { headers });
    expect([status, body.status]).toEqual([200, 'queued']);
    expect(workflow.started).toMatchObject([{ attempt: 2 }]);
  });
});

describe('reading videos', () => {
  test('tells what was reused once it is completed, and what it cost', async () => {
    const { create, complete, call } = api();
    const donor = await create();
    const { body } = await create();
    await complete(body.id, {
      hit: 'whole',
      donors: [{ entryId: donor.body.id, part: 'whole', similarity: 1.0000001, latentKey: 'k' }],
      startTime: 0.3,
      stepsRun: 3,
    });
    const read = await call('GET', `/v1/videos/${body.id}`);
    expect(videoSchema.parse(read.body)).toMatchObject({
      status: 'completed',
      progress: 100,
      cache: {
        hit: 'whole',
        donors: [{ id: donor.body.id, part: 'whole', similarity: 1 }],
        similarity: 1,
        t0: 0.3,
        variety: 'low',
        steps_run: 3,
        equivalents_run: 3,
        steps_full: 10,
        skipped_share: 0.7,
      },
      cost: { currency: 'USD', priced_as: { is_reference: true } },
    });
  });

  test('says what was kept of the donors to the end, and what that leaves to the seed', async () => {
    const { create, complete, call } = api();
    const background = { hit: 'background', startTime: 1 } as const;
    const told: unknown[] = [];
    for (const changes of [{ ...background, anchor: 'place' as const }, background]) {
      const { body } = await create();
      expect(videoSchema.parse(body).cache.anchor).toBeNull();
      await complete(body.id, changes);
      const read = await call('GET', `/v1/videos/${body.id}`);
      const { anchor, variety } = videoSchema.parse(read.body).cache;
      told.push([anchor, variety]);
    }
    expect(told).toEqual([
      ['place', 'medium'],
      [null, 'high'],
    ]);
  });

  test('says what one cost, in parts that add up to the last digit', async () => {
    // Prepare: a worker that was taken away, and the one that made the video.
    const { create, complete, call, services } = api();
    const { body } = await create();
    const table = services.table as Table;
    const worker = {
      step: 'generate',
      instanceType: 'g6.xlarge',
      purchaseOption: 'spot',
      tableReadUnits: 2.5,
    } as const;
    await table.recordUsage(body.id, { ...worker, run: 'a', startedAt: 1, gpuSeconds: 1.234 });
    await table.recordUsage(body.id, {
      ...worker,
      run: 'b',
      startedAt: 2,
      gpuSeconds: 7.001,
      denoiseSeconds: 6,
      networkEvaluations: 3,
      idleSeconds: 11.5,
      coldStartSeconds: 60,
    });
    await complete(body.id, { hit: 'whole', stepsRun: 3, fullSteps: 10 });

    // Act
    const read = await call('GET', `/v1/videos/${body.id}`);

    // Assess
    const { cost } = videoSchema.parse(read.body);
    const usd = (text: string): bigint => parseUsd(text, 'cost');
    const sum = (texts: string[]): bigint => texts.map(usd).reduce((one, other) => one + other);
    expect(cost!.items.map(({ id }) => id)).toEqual(['ec2.g6.xlarge.spot', 'dynamodb.read-unit']);
    expect(sum(cost!.items.map(({ amount }) => amount))).toBe(usd(cost!.amount));
    expect(sum(cost!.items.map(({ wasted }) => wasted))).toBe(usd(cost!.wasted));
    expect(sum([cost!.amount, cost!.idle, cost!.cold_start])).toBe(usd(cost!.loaded));
    expect(sum([cost!.amount, cost!.saved])).toBe(usd(cost!.full));
    // 60 s and 11.5 s of the same machine.
    expect(Number(cost!.cold_start) / Number(cost!.idle)).toBeCloseTo(60 / 11.5, 6);
    // 7 evaluations of 2 s were skipped, 7.001 s and 1.234 s were run.
    const { amount } = cost!.items[0]!;
    expect(Number(cost!.saved) / Number(amount)).toBeCloseTo(14 / 8.235, 6);
    expect(Number(cost!.wasted)).toBeGreaterThan((Number(amount) * 1.234) / 8.235);
  });

  test('keeps what it was made as when another model serves', async () => {
    // Prepare: one in the making, one made, one that was answered with an older file.
    const { services, table, create, complete, tenant } = api();
    const made = await create();
    await complete(made.body.id);
    const answered = await create();
    const older = { model: 'elder-world', seconds: 1.5, width: 640, height: 384 };
    await complete(answered.body.id, { hit: 'exact', facts: older });
    const unknown = sampleJob({ tenant, videoId: videoIdForKey(tenant, 'old') });
    delete unknown.facts;
    await table.createJob(unknown);

    // Act: the next release of the service.
    const manifest = {
      ...services.manifest,
      name: 'later-world',
      video: { ...services.manifest.video, frames: 999, width: 1024 },
    };
    const later = createApi({ ...services, manifest });
    const shown = async (id: string): Promise<unknown[]> => {
      const response = await later.request(`/v1/videos/${id}`, {
        headers: { authorization: `Bearer ${api().key}` },
      });
      const { model, seconds, size } = (await response.json()) as WireVideo;
      return [model, seconds, size];
    };

    // Assess
    expect(await shown(made.body.id)).toEqual(['demo-world', '2', '384x384']);
    expect(await shown(answered.body.id)).toEqual(['elder-world', '1.5', '640x384']);
    expect(await shown(unknown.videoId)).toEqual([null, null, null]);
  });

  test('is queued, at its place, until a worker has taken it', async () => {
    // Prepare
    const { create, call, table } = api();
    const shown = async (id: string): Promise<[string, number | null]> => {
      const { body } = await call('GET', `/v1/videos/${id}`);
      return [body.status, body.queue_position];
    };
    const ahead = (await table.readQueue('interactive')).length;
    const first = (await create()).body.id;
    const second = (await create()).body.id;

    // Act and assess: neither has been dispatched.
    expect(await shown(first)).toEqual(['queued', ahead + 1]);

    for (const id of [first, second]) {
      await table.startJob(id);
      await table.enterQueue('interactive', id);
    }
    expect(await shown(first)).toEqual(['queued', ahead + 1]);
    expect(await shown(second)).toEqual(['queued', ahead + 2]);
    const { body: list } = await call('GET', '/v1/videos');
    expect(list.data.map((video: WireVideo) => video.queue_position)).toEqual([
      ahead + 2,
      ahead + 1,
    ]);

    await table.leaveQueue('interactive', first);
    await table.setJobProgress(first, 0);
    expect(await shown(first)).toEqual(['in_progress', null]);
    expect(await shown(second)).toEqual(['queued', ahead + 1]);

    // Cancelled before a worker had it: nobody waits behind it.
    await call('DELETE', `/v1/videos/${second}`);
    await table.failJob(second, { code: 'cancelled', message: 'cancelled' }, true);
    await api().services.endJob((await table.getJob(second))!);
    expect(await shown(second)).toEqual(['cancelled', null]);
    expect(await table.readQueue('interactive')).toHaveLength(ahead);
  });

  test('says why one failed', async () => {
    const { create, call, services } = api();
    const { body } = await create();
    await services.table.failJob(body.id, { code: 'gpu_missing', message: 'no GPU' }, false);
    const read = await call('GET', `/v1/videos/${body.id}`);
    expect(read.body).toMatchObject({
      status: 'failed',
      error: { code: 'gpu_missing', message: 'no GPU', param: null },
    });
  });

  test("answers for another tenant's, a deleted and an unknown video in the same words", async () => {
    const { create, complete, call, makeTenant } = api();
    const other = await makeTenant();
    const { body: theirs } = await create({}, { key: other.key });
    const { body: deleted } = await create();
    await complete(deleted.id);
    await call('DELETE', `/v1/videos/${deleted.id}`);
    const unknown = theirs.id.replace(/.{3}$/, '000');
    for (const id of [theirs.id, deleted.id, unknown, 'vid_x', '%00', '__proto__']) {
      for (const [method, path] of [
        ['GET', ''],
        ['DELETE', ''],
        ['GET', '/content'],
      ] as const) {
        const { status, body } = await call(method, `/v1/videos/${id}${path}`);
        expect([status, body.error.code, body.error.type]).toEqual([
          404,
          'video_not_found',
          'not_found_error',
        ]);
      }
      const json = { prompt: 'a blue ball' };
      expect((await call('POST', `/v1/videos/${id}/remix`, { json })).status).toBe(404);
    }
  });

  test('lists in pages, either way round, without what is deleted or of others', async () => {
    const { create, complete, call, makeTenant } = api();
    const other = await makeTenant();
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) {
      ids.push((await create({ prompt: `ball ${index}` })).body.id);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await create({}, { key: other.key });
    await complete(ids[2]!);
    await call('DELETE', `/v1/videos/${ids[2]}`);
    const left = ids.filter((id) => id !== ids[2]);

    const first = await call('GET', '/v1/videos?limit=3');
    expect(videoListSchema.parse(first.body)).toMatchObject({
      has_more: true,
      first_id: left[3],
      last_id: left[1],
    });
    const second = await call('GET', `/v1/videos?limit=3&after=${first.body.last_id}`);
    expect(second.body).toMatchObject({ has_more: false, first_id: left[0], last_id: left[0] });
    const upwards = await call('GET', '/v1/videos?order=asc');
    expect(upwards.body.data.map(({ id }: { id: string }) => id)).toEqual(left);
    const empty = await call('GET', '/v1/videos', { key: (await makeTenant()).key });
    expect(empty.body).toEqual({
      object: 'list',
      data: [],
      first_id: null,
      last_id: null,
      has_more: false,
    });
  });

  test.each(['limit=0', 'limit=101', 'limit=x', 'limit=1&limit=2', 'order=up', 'after=x', 'a=b'])(
    'refuses the query %s',
    async (query) => {
      const { status } = await api().call('GET', `/v1/videos?${query}`);
      expect(status).toBe(400);
    },
  );

  test('goes on behind a video that was deleted after it was listed, either way round', async () => {
    const { create, complete, call } = api();
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) {
      ids.push((await create({ prompt: `ball ${index}` })).body.id);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    for (const [order, listed] of [
      ['asc', ids],
      ['desc', ids.toReversed()],
    ] as const) {
      const { body: first } = await call('GET', `/v1/videos?limit=2&order=${order}`);
      await complete(first.last_id);
      expect((await call('DELETE', `/v1/videos/${first.last_id}`)).body.deleted).toBe(true);

      const after = first.last_id;
      const { body: next } = await call('GET', `/v1/videos?order=${order}&after=${after}`);

      const left = listed.slice(listed.indexOf(after) + 1);
      expect(next.data.map(({ id }: { id: string }) => id)).toEqual(
        order === 'asc' ? left : left.filter((id) => id !== ids[1]),
      );
    }
  });

  test("does not take another tenant's video as a place in the list", async () => {
    const { create, call, makeTenant } = api();
    const { body } = await create({}, { key: (await makeTenant()).key });
    const { status, body: refused } = await call('GET', `/v1/videos?after=${body.id}`);
    expect([status, refused.error.param]).toEqual([404, 'after']);
  });
});

describe('content', () => {
  test.each([
    ['', 'mp4'],
    ['?variant=video', 'mp4'],
    ['?variant=thumbnail', 'png'],
    ['?variant=spritesheet', 'jpg'],
  ])('leads%s to the %s', async (query, extension) => {
    const { create, complete, call, services } = api();
    const { body } = await create();
    await complete(body.id);
    await services.objects.put(`videos/${body.id}/1.${extension}`, Buffer.from('a file'));
    const { status, headers } = await call('GET', `/v1/videos/${body.id}/content${query}`);
    expect(status).toBe(302);
    expect(headers.get('location')).toBe(
      `https://objects.example/videos/${body.id}/1.${extension}?in=3600`,
    );
  });

  test('that has expired is told so, and before that when it will', async () => {
    const { create, complete, call, services } = api();
    services.videosExpireAfterDays = 30;
    const { body } = await create();
    const facts = { model: 'demo', seconds: 2, width: 384, height: 384 };
    await complete(body.id, { facts: { ...facts, madeAt: '2026-11-01T10:00:00.000Z' } });

    const read = await call('GET', `/v1/videos/${body.id}`);
    const content = await call('GET', `/v1/videos/${body.id}/content`);
    services.videosExpireAfterDays = null;
    const kept = await call('GET', `/v1/videos/${body.id}`);

    expect(body.expires_at).toBeNull();
    expect(read.body.expires_at).toBe(Date.parse('2026-12-02T00:00:00Z') / 1000);
    expect([content.status, content.body.error.code]).toEqual([404, 'content_gone']);
    expect(kept.body.expires_at).toBeNull();
  });

  test('is not there before the video is completed', async () => {
    const { create, call } = api();
    const { body } = await create();
    const { status, body: refused } = await call('GET', `/v1/videos/${body.id}/content`);
    expect([status, refused.error.code]).toEqual([409, 'video_not_completed']);
    expect((await call('GET', `/v1/videos/${body.id}/content?variant=gif`)).status).toBe(400);
  });
});

describe('deleting', () => {
  test('a queued video cancels it at once, and gives back what it held', async () => {
    const { call, create, workflow, services, makeTenant } = api();
    const { tenant, key } = await makeTenant({ concurrentJobs: 1, budgetPerDay: 10n ** 12n });
    const { body } = await create({}, { key });
    const answered = await call('DELETE', `/v1/videos/${body.id}`, { key });
    expect(deletedVideoSchema.parse(answered.body)).toEqual({
      id: body.id,
      object: 'video.deleted',
      deleted: false,
    });
    expect(workflow.stopped).toEqual([body.id]);
    const read = await call('GET', `/v1/videos/${body.id}`, { key });
    expect(read.body).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
    expect(await services.tenants.listPlaces(tenant)).toEqual([]);
    const day = new Date().toISOString().slice(0, 10);
    expect(await services.tenants.getSpending(tenant, day)).toBe(0n);
  });

  test('a video in progress sets its flag and stops its workflow; the worker does the rest', async () => {
    const { call, create, workflow, table } = api();
    const { body } = await create();
    await table.startJob(body.id);
    expect((await call('DELETE', `/v1/videos/${body.id}`)).body.deleted).toBe(false);
    expect(workflow.stopped).toEqual([body.id]);
    expect(await table.getJob(body.id)).toMatchObject({
      status: 'running',
      cancelRequested: true,
    });
  });

  test('a cancelled video again changes nothing: it can still be read', async () => {
    const { call, create } = api();
    const { body } = await create();
    for (let times = 0; times < 3; times++) {
      const answered = await call('DELETE', `/v1/videos/${body.id}`);
      expect([answered.status, answered.body.deleted]).toEqual([200, false]);
      const read = await call('GET', `/v1/videos/${body.id}`);
      expect([read.status, read.body.status]).toEqual([200, 'cancelled']);
    }
  });

  test('a finished video takes its entry out of the cache, vectors too', async () => {
    const { call, create, complete, table } = api();
    const { body } = await create();
    await complete(body.id);
    await table.putEntry(sampleEntry({ entryId: body.id }));
    expect((await call('DELETE', `/v1/videos/${body.id}`)).body.deleted).toBe(true);
    expect(await table.getEntry(body.id)).toMatchObject({ state: 'EVICTING' });
  });

  test('a finished video that another is made from is refused until that has ended', async () => {
    const { call, create, complete, table } = api();
    const { body } = await create();
    await complete(body.id);
    const entry = sampleEntry({ entryId: body.id });
    await table.putEntry(entry);
    const now = Date.now();
    await table.leaseEntry({ entryId: body.id, holder: 'vid_h', now, leaseUntil: now + 60_000 });
    const refused = await call('DELETE', `/v1/videos/${body.id}`);
    expect([refused.status, refused.body.error.code]).toEqual([409, 'video_in_use']);
    expect((await call('GET', `/v1/videos/${body.id}`)).status).toBe(200);
    await table.releaseEntry(body.id, 'vid_h');
    expect((await call('DELETE', `/v1/videos/${body.id}`)).status).toBe(200);
  });
});

describe('remixing', () => {
  async function completedWithEntry(changes: object = {}): Promise<string> {
    const { create, complete, table, tenant } = api();
    const { body } = await create();
    await complete(body.id);
    await table.putEntry(
      sampleEntry({ entryId: body.id, tenant, compatibilityKey: 'compatible', ...changes }),
    );
    return body.id;
  }

  test('makes a new video whose only donor is the old one, in its scope', async () => {
    const { call, workflow } = api();
    const id = await completedWithEntry({ scope: 'shared' });
    const { status, body } = await call('POST', `/v1/videos/${id}/remix`, {
      json: { prompt: 'a blue ball' },
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ remixed_from_video_id: id, scope: 'shared' });
    expect(workflow.started.at(-1)!.request).toMatchObject({ remixOf: id, scope: 'shared' });
  });

  test('starts from the video that an exact answer was made as', async () => {
    const { call, create, complete, workflow } = api();
    const id = await completedWithEntry();
    const { body } = await create();
    await complete(body.id, {
      hit: 'exact',
      donors: [{ entryId: id, part: 'whole', similarity: 1, latentKey: 'k' }],
    });
    await call('POST', `/v1/videos/${body.id}/remix`, { json: { prompt: 'a blue ball' } });
    expect(workflow.started.at(-1)!.request.remixOf).toBe(id);
  });

  test('is refused while the old one is in the making, when it left nothing, or in another scope', async () => {
    const { call, create, complete } = api();
    const remix = (id: string, fields: object = {}) =>
      call('POST', `/v1/videos/${id}/remix`, { json: { prompt: 'a blue ball', ...fields } });
    const { body } = await create({ cache: 'off' });
    expect((await remix(body.id)).body.error.code).toBe('video_not_completed');
    await complete(body.id);
    expect((await remix(body.id)).body.error.code).toBe('video_not_reusable');
    const id = await completedWithEntry();
    expect((await remix(id, { scope: 'shared' })).body.error.param).toBe('scope');
    expect((await remix(id, { cache: 'off' })).status).toBe(400);
    expect((await remix(await completedWithEntry({ compatibilityKey: 'other' }))).status).toBe(409);
  });
});

describe('a remix of a video of other guidance', () => {
  test('keeps it, and is refused another', async () => {
    const { call, create, complete, table, tenant, workflow } = api();
    const guidance = { guidanceScale: 5, negativePrompt: 'a star' };
    const { body } = await create({ guidance_scale: 5, negative_prompt: 'a star' });
    await complete(body.id);
    const compatibilityKey = requestCompatibilityKey('compatible', guidance);
    await table.putEntry(sampleEntry({ entryId: body.id, tenant, compatibilityKey }));
    const remix = (fields: object) =>
      call('POST', `/v1/videos/${body.id}/remix`, { json: { prompt: 'a blue ball', ...fields } });
    expect((await remix({})).body).toMatchObject({ guidance_scale: 5, negative_prompt: 'a star' });
    expect(workflow.started.at(-1)!.request).toMatchObject(guidance);
    expect((await remix({ guidance_scale: 3 })).body.error.param).toBe('guidance_scale');
    expect((await remix({ negative_prompt: '' })).body.error.param).toBe('negative_prompt');
  });
});

describe('two tenants', () => {
  test("see a shared donor's kind and similarity, and its id only when it is their own", async () => {
    const { create, complete, call, makeTenant } = api();
    const other = await makeTenant();
    const theirs = await create({ scope: 'shared' }, { key: other.key });
    const own = await create({ scope: 'shared' });
    const { body } = await create({ scope: 'shared' });
    const donor = (entryId: string, part: 'object' | 'background') =>
      ({ entryId, part, similarity: 0.9, latentKey: `latents/${entryId}/1.fcl` }) as const;
    await complete(body.id, {
      ...sampleResult(body.id),
      hit: 'object+background',
      donors: [donor(theirs.body.id, 'object'), donor(own.body.id, 'background')],
    });
    const read = await call('GET', `/v1/videos/${body.id}`);
    expect(read.body.cache.donors).toEqual([
      { id: null, part: 'object', similarity: 0.9 },
      { id: own.body.id, part: 'background', similarity: 0.9 },
    ]);
    expect(JSON.stringify(read.body)).not.toContain(theirs.body.id);
  });
});
