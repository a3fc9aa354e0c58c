import { FlexCacheError } from '#core/errors.ts';

/** Error names by which the AWS services say "slower". */
const THROTTLED: ReadonlySet<string> = new Set([
  'ExecutionLimitExceeded',
  'KmsThrottled',
  'KmsThrottlingException',
  'LimitExceededException',
  'OverLimit',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'ServiceQuotaExceededException',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
  'TransactionConflictException',
]);

/** Error names by which they refuse the caller. */
const REFUSED: ReadonlySet<string> = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'Forbidden',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidSecurity',
  'KmsAccessDenied',
  'KmsAccessDeniedException',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
]);

/** Error names of a bucket, table, queue, index or state machine that is not there. */
const ABSENT: ReadonlySet<string> = new Set([
  'AWS.SimpleQueueService.NonExistentQueue',
  'NoSuchBucket',
  'NotFoundException',
  'QueueDoesNotExist',
  'ResourceNotFoundException',
  'StateMachineDoesNotExist',
]);

/** Error names of a connection that failed before the service answered. */
const UNREACHED: ReadonlySet<string> = new Set([
  'AbortError',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'NetworkingError',
  'TimeoutError',
]);

/** The name by which an AWS service, or the connection to it, says what went wrong. */
export function awsErrorName(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const code = (error as { code?: unknown }).code;
  return error.name === 'Error' && typeof code === 'string' ? code : error.name;
}

/**
 * An error of the AWS SDK in this product's words.
 *
 * @param doing what was tried, as in "store object a/b"
 * @example
 * try { await client.send(command); } catch (error) { throw fromAws(error, `read entry ${id}`); }
 */
export function fromAws(error: unknown, doing: string): FlexCacheError {
  if (error instanceof FlexCacheError) return error;
  const name = awsErrorName(error);
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  const said = error instanceof Error ? error.message || name : String(error);
  const message = `could not ${doing}: ${name === '' ? '' : `${name}: `}${said}`;

  if (THROTTLED.has(name) || status === 429) {
    return new FlexCacheError('throttled', message, {
      cause: error,
      transient: true,
      fix: 'try again later, or raise the quota of the service',
    });
  }
  if (REFUSED.has(name) || status === 403) {
    return new FlexCacheError('permission_denied', message, {
      cause: error,
      fix: 'check the credentials and the permissions of this role',
    });
  }
  if (ABSENT.has(name)) {
    return new FlexCacheError('not_found', message, {
      cause: error,
      fix: 'check the configured name, the region and that the stack is deployed',
    });
  }
  return new FlexCacheError('internal', message, {
    cause: error,
    transient: UNREACHED.has(name) || (status !== undefined && status >= 500),
  });
}
