import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ObjectMissingError } from '#core/errors.ts';
import { awsErrorName, fromAws } from './aws-errors.ts';

/** Objects that somebody else put into the store, without our checksum: users' files, results of a map. */
export interface ExternalObjects {
  /** @throws ObjectMissingError */
  read(key: string): AsyncIterable<Uint8Array>;
}

/**
 * Such objects in an S3 bucket, streamed.
 *
 * @example
 * for await (const piece of new S3ForeignObjects({ bucket }).read('uploads/prompts.txt')) take(piece);
 */
export class S3ForeignObjects implements ExternalObjects {
  readonly #bucket: string;
  readonly #client: S3Client;

  constructor({ bucket, client }: { bucket: string; client?: S3Client }) {
    this.#bucket = bucket;
    this.#client = client ?? new S3Client({});
  }

  async *read(key: string): AsyncGenerator<Uint8Array> {
    try {
      const { Body: body } = await this.#client.send(
        new GetObjectCommand({ Bucket: this.#bucket, Key: key }),
      );
      yield* body as unknown as AsyncIterable<Uint8Array>;
    } catch (error) {
      if (['NoSuchKey', 'NotFound'].includes(awsErrorName(error))) {
        throw new ObjectMissingError(key, { cause: error });
      }
      throw fromAws(error, `read object ${key}`);
    }
  }
}

/** The whole of such an object as text. */
export async function readText(objects: ExternalObjects, key: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of objects.read(key)) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}
