import { describe, expect, it } from 'vitest';
import { VIDEO_ID_PATTERN, videoIdForKey } from '#core/requests/identity.ts';
import { newJob, requestOf } from '#core/requests/new-job.ts';
import { newRequest, newRequests } from '#core/requests/new-request.ts';
import { SAMPLE_FACTS } from '../../aws/samples.ts';

const DEFAULTS = { steps: 12 };

describe('newRequest', () => {
  it('fills in what was not asked for', () => {
    const request = newRequest({ prompt: 'a red ball', tenant: 'acme' }, DEFAULTS);

    expect(request).toEqual({
      videoId: expect.stringMatching(VIDEO_ID_PATTERN),
      prompt: 'a red ball',
      seed: expect.any(Number),
      cache: 'auto',
      steps: 12,
      tenant: 'acme',
      scope: 'tenant',
      minSimilarity: 0,
      maxReuse: 1,
      remixOf: null,
      pool: 'interactive',
    });
  });

  it('keeps what was asked for', () => {
    const asked = {
      prompt: 'a red ball',
      seed: 0,
      cache: 'readonly',
      steps: 50,
      tenant: 'acme',
      scope: 'shared',
      minSimilarity: 0.9,
      maxReuse: 0,
      remixOf: 'vid_0123456789ABCDEFGHJKMNPQRS',
      pool: 'backfill',
    } as const;
    expect(newRequest(asked, DEFAULTS)).toMatchObject(asked);
  });

  it('names the video by the idempotency key', () => {
    const input = { prompt: 'a red ball', tenant: 'acme', idempotencyKey: 'order 1' };
    expect(newRequest(input, DEFAULTS).videoId).toBe(videoIdForKey('acme', 'order 1'));
  });

  it.each([
    [{ tenant: '' }, 'tenant'],
    [{ prompt: ' ' }, 'prompt'],
    [{ idempotencyKey: '' }, 'idempotencyKey'],
    [{ maxReuse: 2 }, 'maxReuse'],
  ])('refuses %j', (wrong, field) => {
    const input = { prompt: 'a red ball', tenant: 'acme', ...wrong };
    expect(() => newRequest(input, DEFAULTS)).toThrow(expect.objectContaining({ field }));
  });
});

describe('newRequests', () => {
  const asked = { prompt: 'a red ball', tenant: 'acme', seed: 2 ** 32 - 1 };

  it('differ in id and seed alone', () => {
    const requests = newRequests(asked, 3, DEFAULTS);
    expect(requests.map(({ seed }) => seed)).toEqual([2 ** 32 - 1, 0, 1]);
    expect(new Set(requests.map(({ videoId }) => videoId)).size).toBe(3);
    const [first, ...others] = requests.map((request) => ({ ...request, videoId: '', seed: 0 }));
    expect(others).toEqual([first, first]);
  });

  it('have the ids of their key, whatever their number, and the first that of the key alone', () => {
    const keyed = { ...asked, idempotencyKey: 'order 1' };
    const [two, three] = [2, 3].map((videos) =>
      newRequests(keyed, videos, DEFAULTS).map(({ videoId }) => videoId),
    );
    expect(three!.slice(0, 2)).toEqual(two);
    expect(two![0]).toBe(newRequest(keyed, DEFAULTS).videoId);
  });
});

describe('newJob', () => {
  const request = newRequest({ prompt: 'a red ball', tenant: 'acme' }, DEFAULTS);
  const model = { modelRevision: 'r', compatibilityKey: 'c', facts: SAMPLE_FACTS };

  it('is queued for its first attempt and gives its request back', () => {
    const job = newJob(request, model, {}, 1000);

    expect(job).toMatchObject({
      ...model,
      status: 'queued',
      attempt: 1,
      webhook: null,
      metadata: {},
      backfill: null,
      createdAt: '1970-01-01T00:00:01.000Z',
    });
    expect(requestOf(job)).toEqual(request);
  });

  it('carries what its submitter adds', () => {
    const origin = {
      webhook: 'https://example.com/hook',
      metadata: { order: '7' },
      backfill: { backfillId: 'bkf_1', line: 3 },
    };
    expect(newJob(request, model, origin)).toMatchObject(origin);
  });
});
