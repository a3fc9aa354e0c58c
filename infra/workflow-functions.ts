import { ArnFormat, Duration, type Stack } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { ENVIRONMENT } from '#functions/shared/environment.ts';
import { POOLS } from '#core/generation.ts';
import { EXACT_KEY_INDEX, PROMPT_KEY_INDEX } from '#aws/table-definition.ts';
import type { FleetResources } from './fleet-resources.ts';
import { AppFunction } from './app-function.ts';
import { MODEL_DIRECTORY, modelLayers } from './model-layers.ts';
import { settingsOf } from './settings.ts';
import { allow, type StorageStack } from './storage-stack.ts';
import { evictionVariables } from './eviction-variables.ts';

export interface WorkflowFunctions {
  embed: lambda.Function;
  lookup: lambda.Function;
  dispatch: lambda.Function;
  commit: lambda.Function;
  fail: lambda.Function;
  prepare: lambda.Function;
  submit: lambda.Function;
  close: lambda.Function;
  fleet: lambda.Function;
}

const TIMEOUT = Duration.seconds(60);

/** onnxruntime uses a second core above 1769 MB, from which the text tower does not benefit. */
const EMBED_MEMORY_MEGABYTES = 1769;

/** Enough to hold the largest file and its requests in memory. */
const PREPARE_MEMORY_MEGABYTES = 1769;
const PREPARE_TIMEOUT = Duration.minutes(5);

/** Close reads the result of every line and writes the missing ones. */
const CLOSE_MEMORY_MEGABYTES = 1024;
const CLOSE_TIMEOUT = Duration.minutes(15);

/** Fleet runs every minute and usually has nothing to do. */
const FLEET_MEMORY_MEGABYTES = 256;

/** Creates the functions of the state machines with least-privilege roles. */
export function createWorkflowFunctions(
  stack: Stack,
  storage: StorageStack,
  fleet: FleetResources,
): WorkflowFunctions {
  const { embedder, onnxRuntime } = modelLayers(stack);
  const settings = settingsOf(stack);
  const { interactiveMax, idleMinutes, interactivePurchase } = settings;
  const { backfillMax, storageClass, defaultBudgetPerDayUsd } = settings;
  const table = { [ENVIRONMENT.tableName]: storage.table.tableName };
  const vectors = { [ENVIRONMENT.vectorIndexArn]: storage.vectorIndex.attrIndexArn };
  const modelPackage = { [ENVIRONMENT.modelDirectory]: MODEL_DIRECTORY };
  const webhooks = { [ENVIRONMENT.webhookQueueUrl]: storage.webhooks.queue.queueUrl };
  const objects = {
    [ENVIRONMENT.latentsBucket]: storage.latents.bucketName,
    [ENVIRONMENT.videosBucket]: storage.videos.bucketName,
    [ENVIRONMENT.storageClass]: storageClass,
  };
  const machines = {
    [ENVIRONMENT.interactiveQueueUrl]: storage.work.interactive.queue.queueUrl,
    [ENVIRONMENT.backfillQueueUrl]: storage.work.backfill.queue.queueUrl,
    [ENVIRONMENT.cluster]: fleet.clusterName,
    [ENVIRONMENT.service]: fleet.serviceName,
    [ENVIRONMENT.interactiveMax]: String(interactiveMax),
    [ENVIRONMENT.idleMinutes]: String(idleMinutes),
    [ENVIRONMENT.interactivePurchase]: interactivePurchase,
    [ENVIRONMENT.jobQueue]: fleet.jobQueueArn,
    [ENVIRONMENT.jobDefinition]: fleet.jobDefinitionName,
    [ENVIRONMENT.backfillMax]: String(backfillMax),
  };
  const functions: Omit<WorkflowFunctions, 'fleet'> = {
    embed: new AppFunction(stack, 'Embed', {
      description: 'Marks the job running and embeds the prompt and its parts',
      folder: 'embed',
      environment: { ...table, ...modelPackage },
      memoryMegabytes: EMBED_MEMORY_MEGABYTES,
      layers: [...embedder, ...onnxRuntime],
      timeout: TIMEOUT,
    }),
    lookup: new AppFunction(stack, 'Lookup', {
      description: 'Finds and leases donors, and plans the generation',
      folder: 'lookup',
      environment: { ...table, ...vectors, ...modelPackage, ...objects },
      layers: embedder,
      timeout: TIMEOUT,
    }),
    dispatch: new AppFunction(stack, 'Dispatch', {
      description: 'Queues a request for the workers of its pool and starts them',
      folder: 'dispatch',
      environment: { ...table, ...machines },
      timeout: TIMEOUT,
    }),
    commit: new AppFunction(stack, 'Commit', {
      description: 'Publishes a finished video: entry, vectors, job',
      folder: 'commit',
      environment: {
        ...table,
        ...vectors,
        ...modelPackage,
        ...webhooks,
        ...evictionVariables(stack),
        [ENVIRONMENT.storageClass]: storageClass,
      },
      layers: embedder,
      timeout: TIMEOUT,
    }),
    fail: new AppFunction(stack, 'Fail', {
      description: 'Fails or cancels a job with a user-readable reason',
      folder: 'fail',
      environment: { ...table, ...webhooks },
      deadLetterQueue: storage.lostEnds,
      timeout: TIMEOUT,
    }),
    prepare: new AppFunction(stack, 'Prepare', {
      description: "Reads a backfill's file and stores its requests",
      folder: 'prepare',
      environment: {
        ...table,
        ...modelPackage,
        ...objects,
        [ENVIRONMENT.backfillMax]: String(backfillMax),
      },
      memoryMegabytes: PREPARE_MEMORY_MEGABYTES,
      layers: embedder,
      timeout: PREPARE_TIMEOUT,
    }),
    submit: new AppFunction(stack, 'Submit', {
      description: 'Creates the job of a backfill line, idempotently',
      folder: 'submit',
      environment: {
        ...table,
        ...modelPackage,
        [ENVIRONMENT.defaultBudgetPerDayUsd]: String(defaultBudgetPerDayUsd ?? ''),
      },
      layers: embedder,
      timeout: TIMEOUT,
    }),
    close: new AppFunction(stack, 'Close', {
      description: 'Ends a backfill: line results, status, webhook event',
      folder: 'close',
      environment: { ...table, ...objects, ...webhooks },
      memoryMegabytes: CLOSE_MEMORY_MEGABYTES,
      deadLetterQueue: storage.lostEnds,
      timeout: CLOSE_TIMEOUT,
    }),
  };
  const { prepare, close, dispatch, commit, fail } = functions;
  const fleetFunction = new AppFunction(stack, 'Fleet', {
    description: 'Starts GPU machines, terminates idle ones, and drains dead-letter queues',
    folder: 'fleet',
    environment: {
      ...table,
      ...machines,
      [ENVIRONMENT.interactiveDeadLettersUrl]: storage.work.interactive.deadLetters.queueUrl,
      [ENVIRONMENT.backfillDeadLettersUrl]: storage.work.backfill.deadLetters.queueUrl,
      [ENVIRONMENT.lostEndsUrl]: storage.lostEnds.queueUrl,
      [ENVIRONMENT.givenUpWebhooksUrl]: storage.webhooks.deadLetters.queueUrl,
      [ENVIRONMENT.failFunction]: fail.functionArn,
      [ENVIRONMENT.closeFunction]: close.functionArn,
    },
    memoryMegabytes: FLEET_MEMORY_MEGABYTES,
    isQuiet: true,
    timeout: TIMEOUT,
  });
  const all = { ...functions, fleet: fleetFunction };
  allowTableAndVectors(storage, all);
  storage.allowObjects(prepare, 'backfills/', 's3:GetObject', 's3:PutObject');
  storage.allowObjects(prepare, 'uploads/', 's3:GetObject');
  storage.allowObjects(close, 'backfills/', 's3:GetObject');
  for (const ending of [commit, fail, close]) {
    allow(ending, ['sqs:SendMessage'], [storage.webhooks.queue.queueArn]);
  }
  const workQueues = POOLS.map((pool) => storage.work[pool].queue.queueArn);
  allow(dispatch, ['sqs:SendMessage'], workQueues);
  const jobDefinitions = [fleet.jobDefinitionName, `${fleet.jobDefinitionName}:*`].map((name) =>
    stack.formatArn({ service: 'batch', resource: 'job-definition', resourceName: name }),
  );
  for (const waking of [dispatch, fleetFunction]) {
    allow(waking, ['sqs:GetQueueAttributes'], workQueues);
    allow(waking, ['ecs:DescribeServices', 'ecs:UpdateService'], [fleet.serviceArn]);
    allow(waking, ['batch:SubmitJob'], [fleet.jobQueueArn, ...jobDefinitions]);
    // ListJobs has no resource-level permissions.
    allow(waking, ['batch:ListJobs'], ['*']);
  }
  // It fails requests of pools without workers.
  allow(fleetFunction, ['sqs:ReceiveMessage', 'sqs:DeleteMessage'], workQueues);
  allowMachines(stack, fleetFunction, fleet);
  const deadLetterQueues = [
    ...POOLS.map((pool) => storage.work[pool].deadLetters.queueArn),
    storage.lostEnds.queueArn,
  ];
  allow(fleetFunction, ['sqs:ReceiveMessage', 'sqs:DeleteMessage'], deadLetterQueues);
  allow(fleetFunction, ['sqs:GetQueueAttributes'], [storage.webhooks.deadLetters.queueArn]);
  allow(fleetFunction, ['lambda:InvokeFunction'], [fail.functionArn, close.functionArn]);
  return all;
}

/** Allows a function to terminate machines of the interactive pool, whose ids are not known in advance. */
function allowMachines(
  stack: Stack,
  ending: lambda.Function,
  { clusterArn, clusterName, machinesName }: FleetResources,
): void {
  allow(ending, ['ecs:ListContainerInstances'], [clusterArn]);
  const machine = { resource: 'container-instance', resourceName: `${clusterName}/*` };
  allow(
    ending,
    ['ecs:DescribeContainerInstances'],
    [stack.formatArn({ service: 'ecs', ...machine })],
  );
  const group = stack.formatArn({
    service: 'autoscaling',
    resource: 'autoScalingGroup',
    resourceName: `*:autoScalingGroupName/${machinesName}`,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
  allow(ending, ['autoscaling:TerminateInstanceInAutoScalingGroup'], [group]);
}

function allowTableAndVectors(storage: StorageStack, functions: WorkflowFunctions): void {
  const { embed, lookup, dispatch, commit, fail, prepare, submit, close, fleet } = functions;
  for (const reader of [embed, lookup, dispatch, commit, fail, prepare, submit, close, fleet]) {
    storage.allowTable(reader, 'dynamodb:GetItem', 'dynamodb:UpdateItem');
  }
  // Records of eviction passes have the size of the vector index, for the cost of queries.
  storage.allowTable(lookup, 'dynamodb:BatchGetItem', 'dynamodb:Query');
  storage.allowQuery(lookup, EXACT_KEY_INDEX, PROMPT_KEY_INDEX);
  // A refreshed video replaces entries with the same prompt.
  storage.allowTable(commit, 'dynamodb:BatchGetItem');
  storage.allowQuery(commit, PROMPT_KEY_INDEX);
  for (const writer of [dispatch, commit, fail, submit, close]) {
    storage.allowTable(writer, 'dynamodb:PutItem');
  }
  // A job that ends without a worker is removed from the queue.
  for (const ending of [commit, fail]) storage.allowTable(ending, 'dynamodb:DeleteItem');
  storage.allowTable(close, 'dynamodb:Query');
  storage.allowVectors(lookup, 's3vectors:QueryVectors', 's3vectors:GetVectors');
  // Checks whether the video of an exact hit still exists.
  storage.allowObjects(lookup, 'videos/', 's3:GetObject');
  storage.allowVectors(commit, 's3vectors:PutVectors', 's3vectors:DeleteVectors');
}
