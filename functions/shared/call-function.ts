import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { fromAws } from '#aws/aws-errors.ts';

/**
 * Calls a function without waiting for what comes of it, as EventBridge would: Lambda tries three times,
 * and then puts the event into the function's dead-letter queue.
 *
 * @param functionName ARN or name
 */
export function eventCaller<Event extends object>(
  functionName: string,
  client: LambdaClient = new LambdaClient({}),
): (event: Event) => Promise<void> {
  return async (event) => {
    try {
      await client.send(
        new InvokeCommand({
          FunctionName: functionName,
          InvocationType: 'Event',
          Payload: JSON.stringify(event),
        }),
      );
    } catch (error) {
      throw fromAws(error, `call the function ${functionName}`);
    }
  };
}
