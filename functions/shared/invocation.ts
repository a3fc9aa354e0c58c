import { AsyncLocalStorage } from 'node:async_hooks';
import { newRunId } from '#core/run-id.ts';

/** The part of Lambda's context that is read. */
export interface InvocationContext {
  awsRequestId: string;
}

/** One call of a function. */
export interface Invocation {
  /** Beginning of the request id that stands in the function's log; made up where there is none. */
  run: string;
  /** `performance.now()` from which it is billed. */
  billedFrom: number;
}

/** Lambda gives an environment so long to start (Lambda quotas); one that is older was made in advance. */
const MAX_START_MILLISECONDS = 10_000;

const invocations = new AsyncLocalStorage<Invocation>();
let isFirst = true;

/** Runs a function's work as one call of it. The first of an environment is billed for its start too. */
export function inInvocation<Output>(
  context: Partial<InvocationContext> | undefined,
  work: () => Output,
): Output {
  const now = performance.now();
  const startsEnvironment = isFirst && now < MAX_START_MILLISECONDS;
  isFirst = false;
  return invocations.run(
    { run: newRunId(context?.awsRequestId), billedFrom: startsEnvironment ? 0 : now },
    work,
  );
}

/** The call that is under way; outside Lambda one that begins now. */
export function currentInvocation(): Invocation {
  return invocations.getStore() ?? { run: newRunId(), billedFrom: performance.now() };
}
