import { MAX_IMAGE_BYTES } from '#core/requests/first-image.ts';
import {
  INPUT_REFERENCE,
  type InputReference,
} from '../shared/resources/schemas/input-reference.ts';
import { ApiError } from './api-error.ts';

/** An image inside a request: nothing is fetched from elsewhere. */
const DATA_URL = /^data:[\w.+/-]*;base64,([A-Za-z0-9+/]*={0,2})$/;

const BASE64_CHARACTERS = 4;
const BASE64_BYTES = 3;

/** The longest image, as a request in JSON has it. */
export const MAX_INPUT_CHARACTERS = Math.ceil(MAX_IMAGE_BYTES / BASE64_BYTES) * BASE64_CHARACTERS;

/** A file of a form, as a request in JSON has it. */
export async function asInputReference(file: File): Promise<InputReference> {
  const base64 = Buffer.from(await file.arrayBuffer()).toString('base64');
  return { image_url: `data:application/octet-stream;base64,${base64}` };
}

/** The file in a request. @throws ApiError 400 for an address of a file elsewhere. */
export function fileOf({ image_url: url }: InputReference): Uint8Array {
  const [, base64] = DATA_URL.exec(url) ?? [];
  if (base64 !== undefined) return Buffer.from(base64, 'base64');
  throw new ApiError(
    400,
    'invalid_input',
    `${INPUT_REFERENCE}.image_url is no data URL in base64, and no file is fetched from elsewhere: send the image itself`,
    { param: `${INPUT_REFERENCE}.image_url` },
  );
}
