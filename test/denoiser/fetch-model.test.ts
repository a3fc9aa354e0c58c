import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { beforeAll, expect, it } from 'vitest';
import { loadManifest } from '#models/manifest.ts';
import { verifyPackage } from '#models/verify-package.ts';
import { fetchModel } from '#denoiser/fetch-model.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { writePackage } from '../models/package-fixture.ts';
import { motoClientOptions } from '../moto.ts';
import { unique } from '../aws/samples.ts';
import { temporaryFolder } from '../temporary-folder.ts';

describeOnMoto('fetchModel from moto', (endpoint) => {
  const bucket = unique('models-');
  const client = new S3Client(motoClientOptions(endpoint || 'http://127.0.0.1:9'));
  let original: string;

  beforeAll(async () => {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    original = await writePackage();
  });

  async function upload(
    prefix: string,
    change: (name: string, body: Buffer) => Buffer | null = (_, body) => body,
  ): Promise<string> {
    for (const name of await readdir(original)) {
      const Body = change(name, await readFile(join(original, name)));
      if (Body === null) continue;
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: prefix + name, Body }));
    }
    return `s3://${bucket}/${prefix}`;
  }

  it('fetches a package that is whole, from a prefix or from the bucket itself', async () => {
    for (const prefix of ['models/one/', '']) {
      const directory = join(await temporaryFolder(), 'opt', 'model');
      const source = await upload(prefix);

      await fetchModel({ source, revision: null, directory, client });

      const fetched = await loadManifest(directory);
      await verifyPackage(fetched);
      expect(fetched.revision).toBe((await loadManifest(original)).revision);
    }
  });

  it('repairs what is damaged and leaves the rest as it is', async () => {
    // Prepare
    const directory = await temporaryFolder();
    const source = await upload('models/two/');
    await fetchModel({ source, revision: null, directory, client });
    const damaged = join(directory, 'denoiser.onnx');
    await writeFile(damaged, 'damaged');
    const kept = await readFile(join(directory, 'segmenter.onnx'));
    await upload('models/two/', (name) => (name === 'segmenter.onnx' ? Buffer.from('!') : null));

    // Act
    await fetchModel({ source, revision: null, directory, client });

    // Assess: the segmenter that is uploaded now would not have passed.
    expect(await readFile(damaged)).toEqual(await readFile(join(original, 'denoiser.onnx')));
    expect(await readFile(join(directory, 'segmenter.onnx'))).toEqual(kept);
  });

  it('brings the calibration of the source along, and leaves none that it has not', async () => {
    // Prepare
    const directory = await temporaryFolder();
    const source = await upload('models/calibrated/');
    const file = { Bucket: bucket, Key: 'models/calibrated/calibration.json' };
    await client.send(new PutObjectCommand({ ...file, Body: '{"any": "content"}' }));

    // Act and assess
    await fetchModel({ source, revision: null, directory, client });
    expect(await readFile(join(directory, 'calibration.json'), 'utf8')).toBe('{"any": "content"}');

    await client.send(new DeleteObjectCommand(file));
    await fetchModel({ source, revision: null, directory, client });
    expect(await readdir(directory)).not.toContain('calibration.json');
  });

  it('refuses a file that is not the one of the manifest', async () => {
    const directory = await temporaryFolder();
    const source = await upload('models/three/', (name, body) =>
      name === 'judge.onnx' ? Buffer.from('content of jvdge') : body,
    );

    await expect(fetchModel({ source, revision: null, directory, client })).rejects.toMatchObject({
      code: 'model_corrupt',
      field: 'judge.onnx',
    });
    await expect(loadManifest(directory)).rejects.toMatchObject({ code: 'model_missing' });
  });

  it('takes the revision that was deployed and fetches nothing of another', async () => {
    // Prepare
    const { revision } = await loadManifest(original);
    const [right, wrong] = [await temporaryFolder(), await temporaryFolder()];
    const source = await upload('models/five/');

    // Act
    await fetchModel({ source, revision, directory: right, client });
    const [refused] = await Promise.allSettled([
      fetchModel({ source, revision: 'f'.repeat(64), directory: wrong, client }),
    ]);

    // Assess
    expect((await loadManifest(right)).revision).toBe(revision);
    expect(refused).toMatchObject({ reason: { code: 'model_corrupt', field: 'model.json' } });
    expect(await readdir(wrong)).toEqual([]);
  });

  it('shows that it gets on while a large file comes', async () => {
    // Prepare
    const source = await upload('models/six/');
    const files = (await readdir(original)).length - 1;
    let signs = 0;

    // Act
    const directory = await temporaryFolder();
    const options = { source, revision: null, directory, client, onProgress: () => void signs++ };
    await fetchModel(options);
    const signsOfFetching = signs;
    await fetchModel(options);

    // Assess: while files come, and while those that are there are read.
    expect(signsOfFetching).toBeGreaterThanOrEqual(files);
    expect(signs - signsOfFetching).toBeGreaterThanOrEqual(files);
  });

  it('names a file that is not there', async () => {
    const source = await upload('models/four/', (name, body) =>
      name === 'tokenizer.json' ? null : body,
    );

    await expect(
      fetchModel({ source, revision: null, directory: await temporaryFolder(), client }),
    ).rejects.toMatchObject({ code: 'model_missing', field: 'models/four/tokenizer.json' });
  });

  it('names a bucket that is not there', async () => {
    await expect(
      fetchModel({
        source: 's3://absent-bucket/x',
        revision: null,
        directory: await temporaryFolder(),
        client,
      }),
    ).rejects.toMatchObject({ code: 'model_missing', field: 'x/model.json' });
  });

  it.each(['https://bucket/x', 's3://', 's3:///x', 'models/x'])(
    'refuses %s as a source',
    async (source) => {
      await expect(
        fetchModel({ source, revision: null, directory: '/nowhere', client }),
      ).rejects.toMatchObject({
        code: 'invalid_input',
        field: 'FLEXCACHE_MODEL_SOURCE',
      });
    },
  );
});
