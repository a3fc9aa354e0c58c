import type { Job } from '#core/generation.ts';
import type { CaughtError } from './states.ts';
import { TRANSIENT_ERROR } from './task-error.ts';

type JobError = NonNullable<Job['error']>;

/** A code of ours in front of a message, as `TaskError` writes it. */
const CODED_MESSAGE = /^([a-z]+(?:_[a-z]+)*): (.*)$/s;
/** The code alone, as a worker and `TaskError` name their errors. */
const CODE = /^[a-z]+(?:_[a-z]+)*$/;

/** What the errors of the services mean to somebody who waits for a video. */
const SERVICE_ERRORS: Readonly<Record<string, JobError>> = {
  'States.Timeout': {
    code: 'workflow_failed',
    message: 'the video was not finished within its time limit; submit the request again',
  },
  'States.DataLimitExceeded': {
    code: 'workflow_failed',
    message: 'the request grew larger than the workflow can carry',
  },
  'Execution.TIMED_OUT': {
    code: 'workflow_failed',
    message: 'the video was not finished within its time limit; submit the request again',
  },
  'Execution.ABORTED': { code: 'cancelled', message: 'the request was stopped' },
  'Execution.FAILED': {
    code: 'workflow_failed',
    message: 'the workflow ended without saying why; submit the request again',
  },
};

/** The error of a job in words for its user, from what the state machine caught. */
export function explainFailure({ Error: name, Cause: cause }: CaughtError): JobError {
  const known = SERVICE_ERRORS[name];
  if (known !== undefined) return known;
  const message = messageOfCause(cause);
  if (name === TRANSIENT_ERROR) {
    const [, code = 'workflow_failed', said = message] = CODED_MESSAGE.exec(message) ?? [];
    return { code, message: said };
  }
  if (CODE.test(name)) {
    const prefix = `${name}: `;
    return {
      code: name,
      message: message.startsWith(prefix) ? message.slice(prefix.length) : message,
    };
  }
  if (/^(Lambda|SQS|Sandbox|Runtime)\./.test(name)) {
    return {
      code: 'workflow_failed',
      message: `a service that the workflow uses failed (${name}): ${message}`,
    };
  }
  return { code: 'internal', message: `${name}: ${message}` };
}

/** Lambda reports an error as JSON; a worker's cause is the message itself. */
function messageOfCause(cause: string): string {
  try {
    const report = JSON.parse(cause) as { errorMessage?: unknown } | null;
    if (typeof report?.errorMessage === 'string') return report.errorMessage;
  } catch {
    // Not JSON: the cause is the message.
  }
  return cause === '' ? 'no cause was given' : cause;
}
