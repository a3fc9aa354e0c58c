import type { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type StorageClass as S3StorageClass,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { ObjectMissingError } from '#core/errors.ts';
import { isStorageClass, type StorageClass } from '#core/costs/storage-class.ts';
import { awsErrorName, fromAws } from './aws-errors.ts';
import {
  nothingThere,
  ObjectCorruptError,
  ObjectExistsError,
  refuseLongObject,
} from '#ports/errors.ts';
import { sha256Of, validateObjectKey } from '#ports/object-key.ts';
import { contentDisposition } from './content-disposition.ts';
import { meterObjectRead } from '#ports/object-requests.ts';
import type {
  GetObjectOptions,
  ObjectHead,
  ObjectRange,
  ObjectStore,
  PresignOptions,
  PutObjectOptions,
} from '#ports/objects.ts';
import { meterUse } from '#ports/usage-meter.ts';

/** S3 keeps it as `x-amz-meta-sha256`; the checksum travels with the object wherever it is copied. */
const SHA256_METADATA = 'sha256';
const HEADS_AT_ONCE = 16;
/** S3 answers 409 while another conditional put of the same key is under way. */
const CONFLICT_TRIES = 4;
const CONFLICT_PAUSE_MILLISECONDS = 100;

/** Videos are kept, shown and thrown away by other rules than what the cache keeps for itself. */
const VIDEOS_PREFIX = 'videos/';

export interface S3ObjectStoreOptions {
  bucket: string;
  /** Where keys under `videos/` are; `bucket` unless given. */
  videosBucket?: string;
  /** Of what is written; S3's own default unless given. Intelligent-Tiering is chosen here, not by a rule of the bucket, whose every transition costs a request. */
  storageClass?: S3StorageClass;
  client?: S3Client;
}

/**
 * Objects in an S3 bucket. Bodies are buffers: their length and checksum are known before the first
 * byte is sent, so S3 refuses what arrives altered.
 *
 * @example
 * const objects = new S3ObjectStore({ bucket: 'flexcache-objects' });
 * const { sha256 } = await objects.put('latents/v/1.fcl', bytes, { ifNoneMatch: true });
 */
export class S3ObjectStore implements ObjectStore {
  readonly #bucket: string;
  readonly #videosBucket: string;
  readonly #storageClass: S3StorageClass | undefined;
  readonly #client: S3Client;

  constructor({ bucket, videosBucket, storageClass, client }: S3ObjectStoreOptions) {
    this.#bucket = bucket;
    this.#videosBucket = videosBucket ?? bucket;
    this.#storageClass = storageClass;
    this.#client = client ?? new S3Client({});
  }

  async put(key: string, body: Uint8Array, options: PutObjectOptions = {}): Promise<ObjectHead> {
    validateObjectKey(key);
    const sha256 = sha256Of(body);
    const command = new PutObjectCommand({
      Bucket: this.#bucketOf(key),
      Key: key,
      Body: body,
      ContentLength: body.byteLength,
      ContentType: options.contentType ?? 'application/octet-stream',
      ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64'),
      Metadata: { [SHA256_METADATA]: sha256 },
      ...(options.ifNoneMatch && { IfNoneMatch: '*' }),
      ...(this.#storageClass !== undefined && { StorageClass: this.#storageClass }),
    });
    for (let attempt = 1; ; attempt++) {
      try {
        await metered('objectPuts', () => this.#client.send(command));
        meterUse({ objectBytesWritten: body.byteLength });
        return { key, bytes: body.byteLength, sha256, modifiedAt: Date.now() };
      } catch (error) {
        const name = awsErrorName(error);
        if (name === 'PreconditionFailed') throw new ObjectExistsError(key, { cause: error });
        if (name !== 'ConditionalRequestConflict' || attempt === CONFLICT_TRIES) {
          throw fromAws(error, `store object ${key}`);
        }
        await new Promise((resolve) => setTimeout(resolve, attempt * CONFLICT_PAUSE_MILLISECONDS));
      }
    }
  }

  async get(key: string, { atMostBytes }: GetObjectOptions = {}): Promise<Uint8Array> {
    validateObjectKey(key);
    let body: Uint8Array;
    let expected: string | undefined;
    try {
      const answer = await metered('objectGets', () =>
        this.#client.send(new GetObjectCommand({ Bucket: this.#bucketOf(key), Key: key })),
      );
      expected = answer.Metadata?.[SHA256_METADATA];
      try {
        refuseLongObject(key, answer.ContentLength ?? 0, atMostBytes);
      } catch (error) {
        // An answer that nobody reads would keep its connection.
        (answer.Body as Readable).destroy();
        throw error;
      }
      body = await answer.Body!.transformToByteArray();
      meterObjectRead(body.byteLength, answer.StorageClass);
    } catch (error) {
      if (error instanceof ObjectCorruptError) throw error;
      if (isMissing(error)) throw new ObjectMissingError(key, { cause: error });
      if (isChecksumMismatch(error)) {
        throw new ObjectCorruptError(key, 'its checksum does not match', { cause: error });
      }
      throw fromAws(error, `read object ${key}`);
    }
    if (expected === undefined) throw new ObjectCorruptError(key, 'it has no sha256 metadata');
    if (sha256Of(body) !== expected) {
      throw new ObjectCorruptError(key, `its sha256 is not ${expected}`);
    }
    return body;
  }

  async getRange(key: string, start: number, bytes: number): Promise<ObjectRange> {
    validateObjectKey(key);
    try {
      const answer = await metered('objectGets', () =>
        this.#client.send(
          new GetObjectCommand({
            Bucket: this.#bucketOf(key),
            Key: key,
            Range: `bytes=${start}-${start + bytes - 1}`,
          }),
        ),
      );
      const body = await answer.Body!.transformToByteArray();
      meterObjectRead(body.byteLength, answer.StorageClass);
      const objectBytes = Number(
        /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1] ?? body.byteLength,
      );
      return { body, objectBytes };
    } catch (error) {
      if (isMissing(error)) throw new ObjectMissingError(key, { cause: error });
      if (awsErrorName(error) === 'InvalidRange') throw nothingThere(key, start, { cause: error });
      throw fromAws(error, `read object ${key}`);
    }
  }

  async head(key: string): Promise<ObjectHead | null> {
    validateObjectKey(key);
    try {
      const answer = await metered('objectGets', () =>
        this.#client.send(new HeadObjectCommand({ Bucket: this.#bucketOf(key), Key: key })),
      );
      // S3 leaves its own default unsaid.
      const { StorageClass: storageClass = 'STANDARD' } = answer;
      return {
        key,
        bytes: answer.ContentLength ?? 0,
        sha256: answer.Metadata?.[SHA256_METADATA] ?? '',
        modifiedAt: answer.LastModified?.getTime() ?? 0,
        ...(isStorageClass(storageClass) && { storageClass }),
      };
    } catch (error) {
      if (isMissing(error)) return null;
      throw fromAws(error, `look at object ${key}`);
    }
  }

  async delete(key: string): Promise<void> {
    validateObjectKey(key);
    try {
      await this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucketOf(key), Key: key }));
    } catch (error) {
      throw fromAws(error, `delete object ${key}`);
    }
  }

  /** A copy of the object onto itself: S3 has no other way. Metadata and content type go with it. */
  async setStorageClass(key: string, storageClass: StorageClass): Promise<boolean> {
    const head = await this.head(key);
    if (head === null) return false;
    if (head.storageClass === storageClass) return true;
    const bucket = this.#bucketOf(key);
    try {
      await metered('objectPuts', () =>
        this.#client.send(
          new CopyObjectCommand({
            Bucket: bucket,
            Key: key,
            CopySource: `${bucket}/${key}`,
            StorageClass: storageClass,
            ChecksumAlgorithm: 'SHA256',
          }),
        ),
      );
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw fromAws(error, `move object ${key} to ${storageClass}`);
    }
  }

  /** A listing does not carry the checksum: each object costs one HEAD. */
  async *list(prefix: string): AsyncIterable<ObjectHead> {
    const areVideosApart = this.#videosBucket !== this.#bucket;
    if (!areVideosApart || !VIDEOS_PREFIX.startsWith(prefix)) {
      yield* this.#listBucket(this.#bucketOf(prefix), prefix);
      return;
    }
    let videos: AsyncIterable<ObjectHead> | null = this.#listBucket(this.#videosBucket, prefix);
    for await (const head of this.#listBucket(this.#bucket, prefix)) {
      if (videos !== null && head.key > VIDEOS_PREFIX) {
        yield* videos;
        videos = null;
      }
      yield head;
    }
    if (videos !== null) yield* videos;
  }

  async *#listBucket(bucket: string, prefix: string): AsyncIterable<ObjectHead> {
    let continuation: string | undefined;
    do {
      const page = await this.#listPage(bucket, prefix, continuation);
      const keys = (page.Contents ?? []).map((object) => object.Key!);
      for (let start = 0; start < keys.length; start += HEADS_AT_ONCE) {
        const batch = keys.slice(start, start + HEADS_AT_ONCE);
        const heads = await Promise.all(batch.map((key) => this.head(key)));
        for (const head of heads) if (head) yield head;
      }
      continuation = page.NextContinuationToken;
    } while (continuation !== undefined);
  }

  async presign(
    key: string,
    { expiresSeconds, contentType, fileName }: PresignOptions,
  ): Promise<string> {
    validateObjectKey(key);
    const command = new GetObjectCommand({
      Bucket: this.#bucketOf(key),
      Key: key,
      ...(contentType !== undefined && { ResponseContentType: contentType }),
      ...(fileName !== undefined && { ResponseContentDisposition: contentDisposition(fileName) }),
    });
    try {
      return await getSignedUrl(this.#client, command, { expiresIn: expiresSeconds });
    } catch (error) {
      throw fromAws(error, `sign the address of object ${key}`);
    }
  }

  #bucketOf(key: string): string {
    return key.startsWith(VIDEOS_PREFIX) ? this.#videosBucket : this.#bucket;
  }

  async #listPage(bucket: string, prefix: string, continuation: string | undefined) {
    try {
      return await metered('objectPuts', () =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix: prefix,
            ContinuationToken: continuation,
          }),
        ),
      );
    } catch (error) {
      throw fromAws(error, `list objects under ${JSON.stringify(prefix)}`);
    }
  }
}

/** Counts a request that S3 charges: every one that it answered, but for faults of its own. Deletions are free. */
async function metered<Output>(
  kind: 'objectPuts' | 'objectGets',
  request: () => Promise<Output>,
): Promise<Output> {
  try {
    const answer = await request();
    meterUse({ [kind]: 1 });
    return answer;
  } catch (error) {
    const { $metadata: metadata } = error as { $metadata?: { httpStatusCode?: number } };
    const status = metadata?.httpStatusCode;
    if (status !== undefined && status < 500) meterUse({ [kind]: 1 });
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound'].includes(awsErrorName(error));
}

/** The SDK raises a plain Error when the checksum that S3 sent does not fit the body. */
function isChecksumMismatch(error: unknown): boolean {
  return error instanceof Error && /^Checksum mismatch/i.test(error.message);
}
