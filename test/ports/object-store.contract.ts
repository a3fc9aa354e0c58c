import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidInputError, ObjectMissingError } from '#core/errors.ts';
import { ObjectExistsError } from '#ports/errors.ts';
import type { ObjectStore } from '#ports/objects.ts';
import { UsageMeter } from '#ports/usage-meter.ts';
import { collect } from '../collect.ts';
import { unique } from '../aws/samples.ts';

/**
 * What every object store does.
 *
 * @param isAtomic false for a server whose conditional writes are checked and done in two steps, as
 * moto's are: who wins a race is not tested on it.
 */
export function objectStoreContract(
  open: () => ObjectStore,
  { isAtomic }: { isAtomic: boolean },
): void {
  describe('objects', () => {
    test.each([0, 1, 55, 56, 57, 1000, 300_000])(
      'an object of %i bytes reads back as it was put',
      async (length) => {
        const key = `${unique('sizes/')}/it.bin`;
        const body = randomBytes(length);

        const head = await open().put(key, body);

        const sha256 = createHash('sha256').update(body).digest('hex');
        expect(head).toMatchObject({ key, bytes: length, sha256 });
        expect(Buffer.compare(await open().get(key), body)).toBe(0);
        expect(await open().head(key)).toMatchObject({ key, bytes: length, sha256 });
      },
    );

    test('a view into a larger buffer is stored as the view', async () => {
      const key = unique('views/');

      await open().put(key, new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 3));

      expect([...(await open().get(key))]).toEqual([2, 3]);
    });

    test('an object that is not there is missing', async () => {
      await expect(open().get('missing/object')).rejects.toThrow(ObjectMissingError);
      expect(await open().head('missing/object')).toBeNull();
    });

    test('an object that is longer than its reader can use is corrupt and is not read', async () => {
      const key = unique('long/');
      const body = randomBytes(300_000);
      await open().put(key, body);

      await expect(open().get(key, { atMostBytes: 299_999 })).rejects.toThrow(
        /300000 bytes; 299999 are the most/,
      );
      expect(Buffer.compare(await open().get(key, { atMostBytes: 300_000 }), body)).toBe(0);
    });

    test('a stretch of an object is read without the rest', async () => {
      const key = unique('stretches/');
      const body = randomBytes(5000);
      await open().put(key, body);

      const meter = new UsageMeter();
      const first = await meter.run(() => open().getRange(key, 0, 1000));
      expect(Buffer.compare(first.body, body.subarray(0, 1000))).toBe(0);
      expect(first.objectBytes).toBe(5000);
      const last = await open().getRange(key, 4000, 4000);
      expect(Buffer.compare(last.body, body.subarray(4000))).toBe(0);
      expect(last.objectBytes).toBe(5000);
      const whole = await open().getRange(key, 0, 9000);
      expect([whole.body.byteLength, whole.objectBytes]).toEqual([5000, 5000]);
      expect(meter.usage).toMatchObject({ objectGets: 1, objectBytesRead: 1000 });

      await expect(open().getRange(unique('none/'), 0, 1)).rejects.toThrow(ObjectMissingError);
    });

    test('an object that moves to another storage class keeps its bytes and its checksum', async () => {
      const folder = unique('classes/');
      const key = `${folder}/it.fcl`;
      const body = randomBytes(1000);
      const { sha256 } = await open().put(key, body, { contentType: 'video/mp4' });

      const isMoved = await open().setStorageClass(key, 'GLACIER_IR');
      const isThere = await open().setStorageClass(key, 'GLACIER_IR');

      expect([isMoved, isThere]).toEqual([true, true]);
      expect(await open().head(key)).toMatchObject({ sha256, storageClass: 'GLACIER_IR' });
      expect(Buffer.compare(await open().get(key), body)).toBe(0);
      expect(await collect(open().list(folder))).toMatchObject([{ key, bytes: 1000, sha256 }]);
      await open().delete(key);
      expect(await open().setStorageClass(key, 'STANDARD')).toBe(false);
      expect(await open().head(key)).toBeNull();
      await open().put(key, body);
      expect((await open().head(key))?.storageClass).not.toBe('GLACIER_IR');
    });

    test('a presigned address gives anybody the object, named and typed as asked', async () => {
      const key = `${unique('presigned/')}/it.mp4`;
      const body = randomBytes(100_000);
      await open().put(key, body);

      const address = await open().presign(key, {
        expiresSeconds: 60,
        contentType: 'video/mp4',
        fileName: 'a "red" ball.mp4',
      });

      const answer = await fetch(address);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toBe('video/mp4');
      expect(answer.headers.get('content-disposition')).toBe(
        'attachment; filename="a _red_ ball.mp4"',
      );
      expect(Buffer.compare(Buffer.from(await answer.arrayBuffer()), body)).toBe(0);
    });

    test('an address is signed for an object that is not there, and for no wrong key', async () => {
      const address = await open().presign('missing/object', { expiresSeconds: 60 });

      expect((await fetch(address)).status).toBe(404);
      await expect(open().presign('../up', { expiresSeconds: 60 })).rejects.toThrow(
        InvalidInputError,
      );
    });

    test('a second put overwrites', async () => {
      const key = unique('over/');
      await open().put(key, Buffer.from('a longer first body'));

      await open().put(key, Buffer.from('second'));

      expect(Buffer.from(await open().get(key)).toString()).toBe('second');
    });

    test('a put that must not overwrite leaves what is there', async () => {
      const key = unique('once/');
      await open().put(key, Buffer.from('first'), { ifNoneMatch: true });

      await expect(open().put(key, Buffer.from('second'), { ifNoneMatch: true })).rejects.toThrow(
        ObjectExistsError,
      );

      expect(Buffer.from(await open().get(key)).toString()).toBe('first');
    });

    test.skipIf(!isAtomic)(
      'of 50 who put without overwriting one wins and its object is whole',
      async () => {
        const key = unique('race/');
        const bodies = Array.from({ length: 50 }, (_, index) => Buffer.alloc(10_000, index));

        const outcomes = await Promise.allSettled(
          bodies.map((body) => open().put(key, body, { ifNoneMatch: true })),
        );

        const winners = bodies.filter((_, index) => outcomes[index]!.status === 'fulfilled');
        expect(winners).toHaveLength(1);
        expect(Buffer.compare(await open().get(key), winners[0]!)).toBe(0);
        for (const outcome of outcomes) {
          if (outcome.status === 'rejected')
            expect(outcome.reason).toBeInstanceOf(ObjectExistsError);
        }
      },
    );

    test('who reads while others overwrite sees one whole object', async () => {
      const key = unique('torn/');
      const bodies = Array.from({ length: 20 }, (_, index) => Buffer.alloc(5_000 + index, index));
      await open().put(key, bodies[0]!);

      const writing = Promise.all(bodies.map((body) => open().put(key, body)));
      const reads = await Promise.all(Array.from({ length: 20 }, () => open().get(key)));
      await writing;

      for (const read of reads) {
        expect(bodies.some((body) => Buffer.compare(body, read) === 0)).toBe(true);
      }
    });

    test('a deletion is idempotent and makes room for a new object', async () => {
      const key = unique('gone/');
      await open().put(key, Buffer.from('first'));

      await open().delete(key);
      await open().delete(key);

      expect(await open().head(key)).toBeNull();
      await open().put(key, Buffer.from('second'), { ifNoneMatch: true });
      expect(Buffer.from(await open().get(key)).toString()).toBe('second');
    });

    test('puts and deletions beside each other do not disturb one another', async () => {
      const folder = unique('beside/');

      await Promise.all(
        Array.from({ length: 25 }, async (_, index) => {
          const key = `${folder}/${index % 5}/${index}`;
          await open().put(key, Buffer.from([index]));
          if (index % 2) await open().delete(key);
        }),
      );

      expect(await collect(open().list(`${folder}/`))).toHaveLength(13);
    });

    test('a listing has the heads of what is under the prefix, in key order', async () => {
      const root = unique('list');
      const names = ['b', 'a/b', 'a-b', 'a.b', 'ab/c', 'a0', 'a=', 'A', 'a_/x', 'a/a/a'];
      for (const name of names) await open().put(`${root}/${name}`, Buffer.from(name));

      const all = await collect(open().list(`${root}/`));
      const some = await collect(open().list(`${root}/a/`));
      const partial = await collect(open().list(`${root}/a`));

      const keys = names.map((name) => `${root}/${name}`).sort();
      expect(all.map(({ key }) => key)).toEqual(keys);
      expect(some.map(({ key }) => key)).toEqual([`${root}/a/a/a`, `${root}/a/b`]);
      expect(partial.map(({ key }) => key)).toEqual(
        keys.filter((key) => key.startsWith(`${root}/a`)),
      );
      expect(all[0]).toEqual(await open().head(all[0]!.key));
      expect(await collect(open().list(`${root}/nothing`))).toEqual([]);
    });

    test.each([
      '',
      '/',
      'a//b',
      '/a',
      'a/',
      '../a',
      'a/../b',
      './a',
      'a\\b',
      'a b',
      'ä',
      'a\0',
      '~a',
    ])('the key %j is refused everywhere', async (key) => {
      await expect(open().put(key, Buffer.from('x'))).rejects.toThrow(InvalidInputError);
      await expect(open().get(key)).rejects.toThrow(InvalidInputError);
      await expect(open().head(key)).rejects.toThrow(InvalidInputError);
      await expect(open().delete(key)).rejects.toThrow(InvalidInputError);
    });

    test('after any puts and deletions the store holds what a map would', async () => {
      const key = fc.constantFrom('x/a', 'x/b', 'x-', 'y/z/a', 'y/z/b');
      const step = fc.oneof(
        fc.record({ kind: fc.constant('put'), key, body: fc.uint8Array({ maxLength: 80 }) }),
        fc.record({ kind: fc.constant('once'), key, body: fc.uint8Array({ maxLength: 80 }) }),
        fc.record({ kind: fc.constant('delete'), key, body: fc.constant(new Uint8Array()) }),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
          const root = unique('map');
          const model = new Map<string, Uint8Array>();

          for (const { kind, key: name, body } of steps) {
            const path = `${root}/${name}`;
            if (kind === 'delete') {
              await open().delete(path);
              model.delete(path);
            } else {
              const ifNoneMatch = kind === 'once';
              const put = await open()
                .put(path, body, { ifNoneMatch })
                .catch((error: unknown) => error);
              const taken = ifNoneMatch && model.has(path);
              expect(put instanceof ObjectExistsError).toBe(taken);
              if (!taken) model.set(path, body);
            }
          }

          const listed = await collect(open().list(`${root}/`));
          expect(listed.map((head) => head.key)).toEqual([...model.keys()].sort());
          for (const [path, body] of model) {
            expect([...(await open().get(path))]).toEqual([...body]);
          }
        }),
        { numRuns: 15 },
      );
    });
  });
}
