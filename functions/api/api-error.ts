import {
  ConditionFailedError,
  fieldOnTheWire,
  FlexCacheError,
  messageWithFix,
} from '#core/errors.ts';
import type { ErrorCode } from '#core/errors.ts';

export const ERROR_TYPES = [
  'invalid_request_error',
  'authentication_error',
  'budget_error',
  'permission_error',
  'not_found_error',
  'conflict_error',
  'rate_limit_error',
  'server_error',
] as const;

export type ErrorType = (typeof ERROR_TYPES)[number];

/** Statuses that an error may have. */
export const ERROR_STATUSES = [400, 401, 402, 403, 404, 405, 409, 413, 415, 429, 500, 503] as const;

export type ErrorStatus = (typeof ERROR_STATUSES)[number];

const TYPE_OF_STATUS: Readonly<Record<ErrorStatus, ErrorType>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'budget_error',
  403: 'permission_error',
  404: 'not_found_error',
  405: 'invalid_request_error',
  409: 'conflict_error',
  413: 'invalid_request_error',
  415: 'invalid_request_error',
  429: 'rate_limit_error',
  500: 'server_error',
  503: 'server_error',
};

export interface ApiErrorOptions extends ErrorOptions {
  /** The field of the request that was wrong. */
  param?: string | undefined;
  headers?: Readonly<Record<string, string>>;
}

/** What a caller is told when a request is refused or fails. */
export class ApiError extends Error {
  readonly status: ErrorStatus;
  readonly code: string;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: ErrorStatus, code: string, message: string, options: ApiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.param = options.param ?? null;
    this.headers = options.headers ?? {};
  }

  /** The body, in the shape that clients of the Videos dialect read. */
  toBody(): { error: { message: string; type: ErrorType; param: string | null; code: string } } {
    const { message, param, code } = this;
    return { error: { message, type: TYPE_OF_STATUS[this.status], param, code } };
  }
}

/** Clients that follow this header do not send again what cannot succeed a moment later. */
const NO_RETRY = { 'x-should-retry': 'false' };

/** A request that does not fit what is stored. */
export function conflict(code: string, message: string, param?: string): ApiError {
  return new ApiError(409, code, message, { param, headers: NO_RETRY });
}

/** What is not there and what belongs to somebody else are told in the same words. */
export function notFound(
  what: 'video' | 'backfill' | 'model',
  id: string,
  param: 'id' | 'after' = 'id',
): ApiError {
  return new ApiError(404, `${what}_not_found`, `there is no ${what} ${JSON.stringify(id)}`, {
    param,
  });
}

const STATUS_OF_CODE: Readonly<Partial<Record<ErrorCode, ErrorStatus>>> = {
  invalid_input: 400,
  prompt_empty: 400,
  prompt_too_long: 400,
  prompt_without_words: 400,
  not_found: 404,
  condition_failed: 409,
  throttled: 503,
};

const RETRY_SECONDS = 2;

/**
 * What a caller is told of any error. Of faults of ours it is told nothing but that they happened:
 * messages may name tables, hosts and other tenants' ids.
 */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (!(error instanceof FlexCacheError)) return internalError(error);
  const status = STATUS_OF_CODE[error.code];
  if (error.transient || status === 503) {
    return new ApiError(503, 'unavailable', 'the service is busy: send the same request again', {
      cause: error,
      headers: { 'retry-after': String(RETRY_SECONDS) },
    });
  }
  if (status === 400) {
    const param = error.field === undefined ? undefined : fieldOnTheWire(error.field);
    return new ApiError(400, error.code, messageWithFix(error), { param, cause: error });
  }
  if (error instanceof ConditionFailedError) {
    return new ApiError(
      409,
      'conflict',
      'something else changed it at the same time: look at it and send the request again',
      { cause: error },
    );
  }
  return internalError(error);
}

function internalError(cause: unknown): ApiError {
  return new ApiError(
    500,
    'internal',
    'something went wrong on our side: send the same request again, and name the x-request-id of this answer if it stays',
    { cause },
  );
}
