import {
  CreateBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { beforeAll, expect, test } from 'vitest';
import { ObjectCorruptError } from '#ports/errors.ts';
import { S3ObjectStore } from '#aws/s3-object-store.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { collect } from '../collect.ts';
import { motoClientOptions } from '../moto.ts';
import { objectStoreContract } from '../ports/object-store.contract.ts';
import { unique } from './samples.ts';

describeOnMoto('S3ObjectStore on moto', (endpoint) => {
  const bucket = unique('bucket-');
  const client = new S3Client(motoClientOptions(endpoint || 'http://127.0.0.1:9'));
  const store = new S3ObjectStore({ bucket, client });
  beforeAll(async () => {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  });

  objectStoreContract(() => store, { isAtomic: false });

  test('an object whose bytes are not those of its sha256 is corrupt', async () => {
    await client.send(
      new PutObjectCommand({
        Bucket: bucket,
        Key: 'foreign/altered',
        Body: Buffer.from('altered'),
        Metadata: { sha256: '00'.repeat(32) },
      }),
    );

    await expect(store.get('foreign/altered')).rejects.toThrow(ObjectCorruptError);
  });

  test('a presigned address says until when it holds', async () => {
    const address = new URL(await store.presign('videos/v/1.mp4', { expiresSeconds: 900 }));

    expect(address.searchParams.get('X-Amz-Expires')).toBe('900');
    expect(address.pathname).toBe(`/${bucket}/videos/v/1.mp4`);
  });

  test('an object of somebody else, without sha256, is corrupt', async () => {
    await client.send(
      new PutObjectCommand({ Bucket: bucket, Key: 'foreign/bare', Body: Buffer.from('bare') }),
    );

    await expect(store.get('foreign/bare')).rejects.toThrow(ObjectCorruptError);
    expect(await store.head('foreign/bare')).toMatchObject({ bytes: 4, sha256: '' });
  });

  test('a bucket that is not there is named with a fix', async () => {
    const absent = new S3ObjectStore({ bucket: 'absent-bucket', client });

    await expect(absent.put('a', Buffer.from('a'))).rejects.toMatchObject({ code: 'not_found' });
    await expect(collect(absent.list(''))).rejects.toMatchObject({ code: 'not_found' });
  });
});

describeOnMoto('S3ObjectStore with a bucket for videos on moto', (endpoint) => {
  const bucket = unique('latents-');
  const videosBucket = unique('videos-');
  const client = new S3Client(motoClientOptions(endpoint || 'http://127.0.0.1:9'));
  const store = new S3ObjectStore({
    bucket,
    videosBucket,
    storageClass: 'INTELLIGENT_TIERING',
    client,
  });
  beforeAll(async () => {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    await client.send(new CreateBucketCommand({ Bucket: videosBucket }));
  });

  objectStoreContract(() => store, { isAtomic: false });

  test('videos are in the one, everything else in the other, all of the class that was asked for', async () => {
    const classOf = async (Bucket: string, Key: string) =>
      (await client.send(new HeadObjectCommand({ Bucket, Key }))).StorageClass;

    await store.put('videos/v/1.mp4', Buffer.from('video'));
    await store.put('latents/v/1.fcl', Buffer.from('latent'));

    expect(await classOf(videosBucket, 'videos/v/1.mp4')).toBe('INTELLIGENT_TIERING');
    expect(await classOf(bucket, 'latents/v/1.fcl')).toBe('INTELLIGENT_TIERING');
    await expect(classOf(bucket, 'videos/v/1.mp4')).rejects.toThrow();
    const address = new URL(await store.presign('videos/v/1.mp4', { expiresSeconds: 900 }));
    expect(address.pathname).toBe(`/${videosBucket}/videos/v/1.mp4`);
  });

  test('a listing of everything is of both, in key order', async () => {
    for (const key of ['order/v', 'videos/order', 'weights/order']) {
      await store.put(key, Buffer.from(key));
    }

    const keys = (await collect(store.list(''))).map(({ key }) => key);

    expect(keys).toEqual(keys.toSorted());
    expect(keys).toEqual(expect.arrayContaining(['order/v', 'videos/order', 'weights/order']));
    expect((await collect(store.list('videos/'))).map(({ key }) => key)).toContain('videos/order');
  });
});
