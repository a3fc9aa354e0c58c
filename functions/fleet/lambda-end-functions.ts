import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { fromAws } from '#stores/aws-errors.ts';
import type { EndFunctions } from './empty-letter-boxes.ts';

export interface LambdaEndFunctionsOptions {
  /** ARNs or names. */
  fail: string;
  close: string;
  client?: LambdaClient;
}

/** Fail and Close as EventBridge calls them: tried three times, and then in the queue of lost ends again. */
export function lambdaEndFunctions({
  fail,
  close,
  client = new LambdaClient({}),
}: LambdaEndFunctionsOptions): EndFunctions {
  const call = async (FunctionName: string, event: object): Promise<void> => {
    try {
      await client.send(
        new InvokeCommand({
          FunctionName,
          InvocationType: 'Event',
          Payload: JSON.stringify(event),
        }),
      );
    } catch (error) {
      throw fromAws(error, 'tell the end of an execution again');
    }
  };
  return { fail: (ended) => call(fail, ended), close: (ended) => call(close, ended) };
}
