import { createHash } from 'node:crypto';
import { InvalidInputError } from '../errors.ts';

/** A file of the first image of a video: what fits, as base64, into what a Lambda function takes (6 MB). */
export const MAX_IMAGE_BYTES = 4 * 2 ** 20;

/** sha256 of the file, hexadecimal. */
const IMAGE_PATTERN = /^[0-9a-f]{64}$/;

const FIX = 'give a PNG, JPEG or WebP file';

/** The beginnings of the files that are taken. */
const SIGNATURES: readonly { offset: number; bytes: readonly number[] }[][] = [
  [{ offset: 0, bytes: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] }],
  [{ offset: 0, bytes: [0xff, 0xd8, 0xff] }],
  [
    { offset: 0, bytes: [...Buffer.from('RIFF')] },
    { offset: 8, bytes: [...Buffer.from('WEBP')] },
  ],
];

/**
 * What a request names the first image of its video by: the sha256 of its file. Whether the rest of the file is an
 * image shows when the worker decodes it.
 *
 * @throws InvalidInputError `image` for a file that is too long or begins like no PNG, JPEG or WebP.
 */
export function imageOfFile(file: Uint8Array): string {
  if (file.byteLength > MAX_IMAGE_BYTES) {
    throw new InvalidInputError(
      'image',
      `the first image has ${file.byteLength} bytes, and at most ${MAX_IMAGE_BYTES} are taken`,
      'give a smaller one: it is scaled to the size of the video',
    );
  }
  const begins = SIGNATURES.some((signature) =>
    signature.every(({ offset, bytes }) =>
      bytes.every((byte, index) => file[offset + index] === byte),
    ),
  );
  if (!begins) {
    throw new InvalidInputError('image', 'the first image is no PNG, JPEG or WebP file', FIX);
  }
  return createHash('sha256').update(file).digest('hex');
}

/** @throws InvalidInputError unless it is 64 hexadecimal digits. */
export function validateImage(image: unknown): string {
  if (typeof image === 'string' && IMAGE_PATTERN.test(image)) return image;
  throw new InvalidInputError(
    'image',
    'the first image is not named by the sha256 of its file',
    FIX,
  );
}

/** A file that begins like an image and is none. */
export function unreadableImage(cause: Error): InvalidInputError {
  return new InvalidInputError('image', `the first image cannot be read: ${cause.message}`, FIX);
}
