import {
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { fromAws } from './aws-errors.ts';
import type { BackfillStarter } from '#ports/workflow.ts';

/**
 * Starts executions of the `backfill` state machine, named by their backfill.
 *
 * @example
 * await new SfnBackfillStarter({ stateMachineArn }).start(backfillId);
 */
export class SfnBackfillStarter implements BackfillStarter {
  readonly #stateMachineArn: string;
  readonly #client: SFNClient;

  constructor({ stateMachineArn, client }: { stateMachineArn: string; client?: SFNClient }) {
    this.#stateMachineArn = stateMachineArn;
    this.#client = client ?? new SFNClient({});
  }

  async start(backfillId: string): Promise<void> {
    try {
      await this.#client.send(
        new StartExecutionCommand({
          stateMachineArn: this.#stateMachineArn,
          name: backfillId,
          input: JSON.stringify({ backfillId }),
        }),
      );
    } catch (error) {
      if (error instanceof ExecutionAlreadyExists) return;
      throw fromAws(error, `start backfill ${backfillId}`);
    }
  }

  /** Its children end with it, and with them the executions that they wait for. */
  async stop(backfillId: string): Promise<void> {
    const executionArn = `${this.#stateMachineArn.replace(':stateMachine:', ':execution:')}:${backfillId}`;
    try {
      await this.#client.send(
        new StopExecutionCommand({
          executionArn,
          error: 'cancelled',
          cause: 'the backfill was cancelled',
        }),
      );
    } catch (error) {
      if (error instanceof ExecutionDoesNotExist) return;
      throw fromAws(error, `stop backfill ${backfillId}`);
    }
  }
}
