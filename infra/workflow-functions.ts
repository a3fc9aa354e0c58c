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

/** onnxruntime uses a second core from 1769 MB on; the text tower has no use for more. */
const EMBED_MEMORY_MEGABYTES = 1769;

/** The largest file is held in memory, as requests too. */
const PREPARE_MEMORY_MEGABYTES = 1769;
const PREPARE_TIMEOUT = Duration.minutes(5);

/** Reads what became of every line, and writes what is missing. */
const CLOSE_MEMORY_MEGABYTES = 1024;
const CLOSE_TIMEOUT = Duration.minutes(15);

/** Called every minute, and mostly to see that nothing is to be done. */
const FLEET_MEMORY_MEGABYTES = 256;

/** The functions of the state machines, each allowed what it does. */
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
      description: 'Marks the job running; vectors of a prompt and its parts',
      folder: 'embed',
      environment: { ...table, ...modelPackage },
      memoryMegabytes: EMBED_MEMORY_MEGABYTES,
      layers: [...embedder, ...onnxRuntime],
      timeout: TIMEOUT,
    }),
    lookup: new AppFunction(stack, 'Lookup', {
      description: 'Finds and leases donors; plans the generation',
      folder: 'lookup',
      environment: { ...table, ...vectors, ...modelPackage, ...objects },
      layers: embedder,
      timeout: TIMEOUT,
    }),
    dispatch: new AppFunction(stack, 'Dispatch', {
      description: 'Hands a request to the workers of its pool and wakes them',
      folder: 'dispatch',
      environment: { ...table, ...machines },
      timeout: TIMEOUT,
    }),
    commit: new AppFunction(stack, 'Commit', {
      description: 'Makes a finished video visible: entry, vectors, job',
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
      description: 'Ends a job with a reason that its user understands',
      folder: 'fail',
      environment: { ...table, ...webhooks },
      deadLetterQueue: storage.lostEnds,
      timeout: TIMEOUT,
    }),
    prepare: new AppFunction(stack, 'Prepare', {
      description: "Reads a backfill's file into requests",
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
      description: 'Makes a line of a backfill a job, once',
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
      description: 'Ends a backfill: its lines, its status, its announcement',
      folder: 'close',
      environment: { ...table, ...objects, ...webhooks },
      memoryMegabytes: CLOSE_MEMORY_MEGABYTES,
      deadLetterQueue: storage.lostEnds,
      timeout: CLOSE_TIMEOUT,
    }),
  };
  const { prepare, close, dispatch, commit, fail } = functions;
  const fleetFunction = new AppFunction(stack, 'Fleet', {
    description: 'Wakes GPU machines, ends those that are idle, and deals with dead letters',
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
    // Jobs are listed of an account; the API knows no narrower resource.
    allow(waking, ['batch:ListJobs'], ['*']);
  }
  // It gives up what nobody takes.
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

/** What ends the machines of the interactive pool; each gets its name when it starts. */
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
  // Records of passes say how large the index is that its queries are charged for.
  storage.allowTable(lookup, 'dynamodb:BatchGetItem', 'dynamodb:Query');
  storage.allowQuery(lookup, EXACT_KEY_INDEX, PROMPT_KEY_INDEX);
  // What a refreshed video replaces is found by its prompt.
  storage.allowTable(commit, 'dynamodb:BatchGetItem');
  storage.allowQuery(commit, PROMPT_KEY_INDEX);
  for (const writer of [dispatch, commit, fail, submit, close]) {
    storage.allowTable(writer, 'dynamodb:PutItem');
  }
  // A job that ends without a worker leaves the queue.
  for (const ending of [commit, fail]) storage.allowTable(ending, 'dynamodb:DeleteItem');
  storage.allowTable(close, 'dynamodb:Query');
  storage.allowVectors(lookup, 's3vectors:QueryVectors', 's3vectors:GetVectors');
  // Whether an exact answer is still there.
  storage.allowObjects(lookup, 'videos/', 's3:GetObject');
  storage.allowVectors(commit, 's3vectors:PutVectors', 's3vectors:DeleteVectors');
}
