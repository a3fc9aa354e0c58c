/** An error as a state machine sees it: it is retried and caught by its name. */
export class TaskFailure extends Error {
  /** Step Functions offers an error of its own runtime to no Retry and no Catch. */
  readonly isRetryable: boolean;
  readonly isCatchable: boolean;

  constructor(name: string, cause: string, { isCatchable = true } = {}) {
    super(cause);
    this.name = name;
    this.isRetryable = isCatchable;
    this.isCatchable = isCatchable;
  }

  /** What Lambda reports of an error that a function threw. */
  static fromFunction(error: unknown): TaskFailure {
    const errorType = error instanceof Error ? error.name : 'Error';
    const errorMessage = error instanceof Error ? error.message : String(error);
    return new TaskFailure(errorType, JSON.stringify({ errorType, errorMessage }));
  }
}

/** Most that Step Functions carries from state to state, in bytes of UTF-8. */
const MAX_STATE_BYTES = 262_144;

/** The value as it comes out of a service: JSON and nothing else, and not too large to carry. */
export function asStateOutput(value: unknown): unknown {
  const text = JSON.stringify(value ?? null);
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_STATE_BYTES) {
    throw new TaskFailure(
      'States.DataLimitExceeded',
      `a state returned ${bytes} bytes; at most ${MAX_STATE_BYTES} are carried`,
      { isCatchable: false },
    );
  }
  return JSON.parse(text) as unknown;
}
