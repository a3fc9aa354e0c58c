import { FlexCacheError, messageWithFix } from '#core/errors.ts';

/** The name by which the state machine knows an error that the same call may not meet again. */
export const TRANSIENT_ERROR = 'Transient';

/**
 * An error as it leaves a function: Lambda reports `name` as the error's type, which is what the
 * state machine retries and catches by, and the message carries the code for the job.
 */
export class TaskError extends Error {
  constructor(error: FlexCacheError) {
    super(`${error.code}: ${messageWithFix(error)}`, { cause: error });
    this.name = error.transient ? TRANSIENT_ERROR : error.code;
  }
}

/** The handler with its errors named for the state machine. */
export function withTaskErrors<Input, Output>(
  handle: (input: Input) => Promise<Output>,
): (input: Input) => Promise<Output> {
  return async (input) => {
    try {
      return await handle(input);
    } catch (error) {
      throw error instanceof FlexCacheError ? new TaskError(error) : error;
    }
  };
}
