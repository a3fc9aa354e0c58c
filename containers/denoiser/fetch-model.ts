import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { CALIBRATION_FILE } from '#core/planning/calibration-file.ts';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { sha256OfFile } from '#files/sha256-of-file.ts';
import {
  declaredFiles,
  MANIFEST_FILE,
  modelRevision,
  parseManifest,
  type DeclaredFile,
} from '#models/manifest.ts';
import { awsErrorName, fromAws } from '#aws/aws-errors.ts';
import { DENOISER_VARIABLES } from './variables.ts';

export interface FetchModelOptions {
  /** `s3://bucket/prefix` */
  source: string;
  /** Where the package is wanted; created when missing. */
  directory: string;
  /** Of the package that is expected there; any is taken when it is null. */
  revision: string | null;
  client?: S3Client;
  /** Whenever something of a file has come or was checked. */
  onProgress?: () => void;
}

const SOURCE = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/*$/;

const MISSING: ReadonlySet<string> = new Set(['NoSuchBucket', 'NoSuchKey', 'NotFound']);

/**
 * Fetches a model package into a folder. Each file is checked against the manifest while it is
 * written, and files that are there already are not fetched again. The manifest comes last: a package
 * that has one is whole. The calibration beside it comes along, or goes where the source has none. Nothing is fetched of a package of another revision than the one asked for.
 *
 * @throws FlexCacheError `model_missing` or `model_corrupt` naming the file.
 */
export async function fetchModel(options: FetchModelOptions): Promise<void> {
  const { directory, onProgress = () => {} } = options;
  const location = SOURCE.exec(options.source);
  if (location === null) {
    const name = DENOISER_VARIABLES.modelSource;
    throw new InvalidInputError(
      name,
      `environment variable ${name} is "${options.source}"`,
      'give the place of a model package as s3://bucket/prefix',
    );
  }
  const [, bucket, prefix = ''] = location;
  const client = options.client ?? new S3Client({});
  const open = (path: string): Promise<Readable> =>
    openObject(client, bucket!, prefix === '' ? path : `${prefix}/${path}`);

  await mkdir(directory, { recursive: true });
  const text = (await (await open(MANIFEST_FILE)).toArray()).join('');
  const manifest = parseManifest(options.source, text);
  refuseOtherRevision(options, modelRevision(manifest));
  const failed = new AbortController();
  const fetchUnlessThere = async (file: DeclaredFile): Promise<void> => {
    try {
      if (await isThere(directory, file, onProgress)) return;
      await fetchFile(directory, file, open, failed.signal, onProgress);
    } catch (error) {
      // The first failure ends the other files, and is what is told: nothing is written after it.
      if (!failed.signal.aborted) failed.abort(error);
    }
  };
  await Promise.all(declaredFiles(manifest).map(fetchUnlessThere));
  failed.signal.throwIfAborted();
  await fetchCalibration(directory, open);
  await writeFile(join(directory, MANIFEST_FILE), text);
}

/** It is checked when it is loaded: of what it should be, the manifest says nothing. */
async function fetchCalibration(
  directory: string,
  open: (path: string) => Promise<Readable>,
): Promise<void> {
  const path = join(directory, CALIBRATION_FILE);
  let text: string;
  try {
    text = (await (await open(CALIBRATION_FILE)).toArray()).join('');
  } catch (error) {
    if (!(error instanceof FlexCacheError && error.code === 'model_missing')) throw error;
    await rm(path, { force: true });
    return;
  }
  await writeFile(path, text);
}

function refuseOtherRevision({ source, revision }: FetchModelOptions, found: string): void {
  if (revision === null || revision === found) return;
  throw new FlexCacheError(
    'model_corrupt',
    `the model package in ${source} has revision ${found}, expected ${revision}`,
    { field: MANIFEST_FILE, fix: 'upload the package that was deployed, or deploy with this one' },
  );
}

async function openObject(client: S3Client, bucket: string, key: string): Promise<Readable> {
  try {
    const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return answer.Body as Readable;
  } catch (error) {
    const place = `s3://${bucket}/${key}`;
    if (!MISSING.has(awsErrorName(error))) throw fromAws(error, `read ${place}`);
    throw new FlexCacheError('model_missing', `there is no model file ${place}`, {
      field: key,
      fix: 'upload the whole model package there',
      cause: error,
    });
  }
}

async function isThere(
  directory: string,
  file: DeclaredFile,
  onProgress: () => void,
): Promise<boolean> {
  try {
    return (await sha256OfFile(join(directory, file.path), onProgress)) === file.sha256;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function fetchFile(
  directory: string,
  file: DeclaredFile,
  open: (path: string) => Promise<Readable>,
  signal: AbortSignal,
  onProgress: () => void,
): Promise<void> {
  const path = join(directory, file.path);
  const partial = `${path}.partial`;
  await mkdir(dirname(path), { recursive: true });
  const digest = createHash('sha256');
  await pipeline(
    await open(file.path),
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        digest.update(chunk);
        onProgress();
        yield chunk;
      }
    },
    createWriteStream(partial),
    { signal },
  );
  const sha256 = digest.digest('hex');
  if (sha256 !== file.sha256) {
    await rm(partial);
    throw new FlexCacheError(
      'model_corrupt',
      `model file ${file.path} arrived with sha256 ${sha256}, expected ${file.sha256}`,
      { field: file.path, fix: 'upload the model package again' },
    );
  }
  await rename(partial, path);
}
