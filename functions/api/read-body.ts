import { ApiError } from './api-error.ts';
import type { BodyRule } from './endpoint.ts';
import { objectFromForm } from './form-fields.ts';
import { INPUT_REFERENCE } from '../shared/resources/schemas/input-reference.ts';
import { asInputReference } from './input-reference.ts';

/** A body as it arrived, before validation. */
export interface RawBody {
  value: unknown;
  /** Forms carry text only: numbers and nested objects arrive written out. */
  isForm: boolean;
}

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json$/;

/**
 * Reads and parses a body. A body that is too long is refused before it is parsed: by the length it
 * announces, or as soon as more than that has been read.
 *
 * @throws ApiError 413, 415 or 400.
 */
export async function readBody(
  request: Request,
  { limitBytes, acceptsForm }: Pick<BodyRule, 'limitBytes' | 'acceptsForm'>,
): Promise<RawBody> {
  const announced = request.headers.get('content-length');
  if (announced !== null && Number(announced) > limitBytes) throw tooLarge(limitBytes);
  const contentType = request.headers.get('content-type') ?? '';
  const type = contentType.split(';', 1)[0]!.trim().toLowerCase();
  const isForm = type === 'multipart/form-data';
  if (isForm ? !acceptsForm : !JSON_TYPE.test(type)) {
    throw new ApiError(
      415,
      'unsupported_media_type',
      `content type ${JSON.stringify(type.slice(0, 80))} is not understood here: send application/json${acceptsForm ? ' or multipart/form-data' : ''}`,
    );
  }
  const bytes = await readBytes(request, limitBytes);
  return { value: isForm ? await parseForm(bytes, contentType) : parseJson(bytes), isForm };
}

async function readBytes(request: Request, limitBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  const reader = request.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true as const, value: undefined };
    if (done) return new Uint8Array(Buffer.concat(pieces));
    bytes += value.byteLength;
    if (bytes > limitBytes) {
      // The sender is told before it has sent the rest; whoever serves the request drops that.
      await reader?.cancel().catch(() => {});
      throw tooLarge(limitBytes);
    }
    pieces.push(value);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new ApiError(
      400,
      'invalid_json',
      bytes.byteLength === 0
        ? 'the body is empty: send a JSON object'
        : 'the body is not JSON in UTF-8: send a JSON object',
    );
  }
}

async function parseForm(bytes: Uint8Array<ArrayBuffer>, contentType: string): Promise<unknown> {
  let form: FormData;
  try {
    form = await new Response(bytes, { headers: { 'content-type': contentType } }).formData();
  } catch {
    throw new ApiError(
      400,
      'invalid_form',
      'the body is not the multipart form that its content type announces: check the boundary',
    );
  }
  return objectFromForm(form, async (name, file) =>
    name === INPUT_REFERENCE ? asInputReference(file) : null,
  );
}

function tooLarge(limitBytes: number): ApiError {
  return new ApiError(413, 'body_too_large', `the body is longer than ${limitBytes} bytes`, {
    headers: { connection: 'close' },
  });
}
