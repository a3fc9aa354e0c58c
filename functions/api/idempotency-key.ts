import { ApiError } from './api-error.ts';

export const MAX_IDEMPOTENCY_KEY = 255;

const PRINTABLE = new RegExp(`^[\\x20-\\x7e]{1,${MAX_IDEMPOTENCY_KEY}}$`);

/** The header as it was given. @throws ApiError 400 when it is empty, long or not ASCII. */
export function idempotencyKeyOf(header: string | undefined): string | undefined {
  if (header === undefined || PRINTABLE.test(header)) return header;
  throw new ApiError(
    400,
    'invalid_input',
    `the idempotency key must have 1 to ${MAX_IDEMPOTENCY_KEY} printable ASCII characters`,
    { param: 'Idempotency-Key' },
  );
}
