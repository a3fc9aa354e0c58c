import {
  CreateIndexCommand,
  CreateVectorBucketCommand,
  QueryVectorsCommand,
  S3VectorsClient,
} from '@aws-sdk/client-s3vectors';
import { beforeAll, expect, test } from 'vitest';
import { S3VectorIndex } from '#aws/s3-vector-index.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { standInForQueryVectors } from './query-vectors-stand-in.ts';
import { unique } from './samples.ts';
import { DIMENSIONS, vectorIndexContract } from '../ports/vector-index.contract.ts';

describeOnMoto('S3VectorIndex on moto, with a stand-in for QueryVectors', (endpoint) => {
  const options = motoClientOptions(endpoint || 'http://127.0.0.1:9');
  const names = { vectorBucketName: unique('bucket-'), indexName: 'vectors' };
  const moto = new S3VectorsClient(options);
  const client = new S3VectorsClient(options);
  standInForQueryVectors(client, moto);
  const index = new S3VectorIndex({ index: names, client });
  beforeAll(async () => {
    const { vectorBucketName } = names;
    await moto.send(new CreateVectorBucketCommand({ vectorBucketName }));
    await moto.send(
      new CreateIndexCommand({
        ...names,
        dataType: 'float32',
        dimension: DIMENSIONS,
        distanceMetric: 'cosine',
      }),
    );
  });

  vectorIndexContract(() => index);

  test('moto itself does not answer QueryVectors yet; when it does, drop the stand-in', async () => {
    const query = new QueryVectorsCommand({
      ...names,
      topK: 1,
      queryVector: { float32: [1, 0, 0, 0] },
    });

    await expect(moto.send(query)).rejects.toThrow();
  });

  test('an index that is not there is named with a fix', async () => {
    const absent = new S3VectorIndex({ index: { ...names, indexName: 'absent' }, client: moto });

    await expect(absent.delete(['vid_1'])).rejects.toMatchObject({ code: 'not_found' });
  });
});
