import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileObjectStore } from '#local/file-object-store.ts';
import { ObjectLinks } from '#local/object-links.ts';
import { serveObject } from '#local/serve-object.ts';

const KEY = 'videos/vid_1/1.mp4';
const BODY = Buffer.from('0123456789');
const ETAG = `"${createHash('sha256').update(BODY).digest('hex')}"`;

describe('a served object', () => {
  const links = new ObjectLinks();
  let objects: FileObjectStore;
  let address: string;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flexcache-objects-'));
    objects = await FileObjectStore.open(folder);
    await objects.put(KEY, BODY);
    address = links.sign(KEY, { expiresSeconds: 60, contentType: 'video/mp4' });
  });

  afterAll(() => rm(folder, { recursive: true }));

  async function ask(headers: Record<string, string> = {}, method = 'GET', path = address) {
    const url = new URL(path, 'http://127.0.0.1');
    const response = await serveObject(objects, links, new Request(url, { method, headers }));
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  test('is named by its hash, and not sent to whoever has it', async () => {
    const whole = await ask();
    expect([whole.status, whole.text, whole.headers.get('etag')]).toEqual([
      200,
      '0123456789',
      ETAG,
    ]);
    for (const tag of [ETAG, `W/${ETAG}`, `"other", ${ETAG}`, '*']) {
      const { status, text, headers } = await ask({ 'if-none-match': tag });
      expect([status, text, headers.get('etag')]).toEqual([304, '', ETAG]);
    }
    expect((await ask({ 'if-none-match': '"other"' })).status).toBe(200);
  });

  test.each([
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=8-99', '89', 'bytes 8-9/10'],
    ['bytes=-99', '0123456789', 'bytes 0-9/10'],
  ])('is sent in part for %s', async (range, part, contentRange) => {
    const { status, text, headers } = await ask({ range });
    expect([status, text, headers.get('content-range')]).toEqual([206, part, contentRange]);
    expect(headers.get('content-length')).toBe(String(part.length));
  });

  test.each(['bytes=4-2', 'bytes=a-b', 'bytes=-', 'lines=1-2', 'bytes=0-1,4-5'])(
    'is sent whole for %s, which is no range that is understood',
    async (range) => {
      const { status, text } = await ask({ range });
      expect([status, text]).toEqual([200, '0123456789']);
    },
  );

  test('has no byte behind its last', async () => {
    for (const range of ['bytes=10-', 'bytes=99-100', 'bytes=-0']) {
      const { status, headers } = await ask({ range });
      expect([status, headers.get('content-range')]).toEqual([416, 'bytes */10']);
    }
  });

  test('is sent in part only if the part is of the same object', async () => {
    const range = 'bytes=2-4';
    expect((await ask({ range, 'if-range': ETAG })).status).toBe(206);
    for (const other of ['"other"', `W/${ETAG}`, 'Sat, 29 Nov 2026 10:00:00 GMT']) {
      const { status, text } = await ask({ range, 'if-range': other });
      expect([status, text]).toEqual([200, '0123456789']);
    }
  });

  test('answers HEAD without the bytes, and no other method', async () => {
    const head = await ask({}, 'HEAD');
    expect([head.status, head.text, head.headers.get('content-length')]).toEqual([200, '', '10']);
    const refused = await ask({}, 'DELETE');
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test('is not there under a changed address, nor when it is gone', async () => {
    expect((await ask({}, 'GET', address.replace('1.mp4', '2.mp4'))).status).toBe(403);
    const gone = links.sign('videos/vid_1/0.mp4', { expiresSeconds: 60 });
    expect((await ask({}, 'GET', gone)).status).toBe(404);
  });
});
