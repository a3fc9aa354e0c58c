import type { Pool } from '#core/generation.ts';
import type { Machine } from '#core/pricing/prices.ts';
import { AwsFleet } from '#aws/aws-fleet.ts';
import { SqsQueue } from '#aws/sqs-queue.ts';
import { ENVIRONMENT } from './environment.ts';
import { numericVariable, variable } from './services.ts';

const QUEUE_VARIABLES: Readonly<Record<Pool, string>> = {
  interactive: ENVIRONMENT.interactiveQueueUrl,
  backfill: ENVIRONMENT.backfillQueueUrl,
};

export function deployedQueues(): Record<Pool, SqsQueue> {
  const queueOf = (pool: Pool): SqsQueue => new SqsQueue({ queueUrl: queueUrlOf(pool) });
  return { interactive: queueOf('interactive'), backfill: queueOf('backfill') };
}

function queueUrlOf(pool: Pool): string {
  return variable(QUEUE_VARIABLES[pool]);
}

export function deployedFleet(): AwsFleet {
  return new AwsFleet({
    tableName: variable(ENVIRONMENT.tableName),
    interactive: {
      queueUrl: queueUrlOf('interactive'),
      cluster: variable(ENVIRONMENT.cluster),
      service: variable(ENVIRONMENT.service),
      maximumWorkers: numericVariable(ENVIRONMENT.interactiveMax),
      idleMinutes: numericVariable(ENVIRONMENT.idleMinutes),
      purchaseOption: variable(ENVIRONMENT.interactivePurchase) as Machine['purchaseOption'],
    },
    backfill: {
      queueUrl: queueUrlOf('backfill'),
      jobQueue: variable(ENVIRONMENT.jobQueue),
      jobDefinition: variable(ENVIRONMENT.jobDefinition),
      maximumWorkers: numericVariable(ENVIRONMENT.backfillMax),
    },
  });
}
