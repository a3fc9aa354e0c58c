import { readFile } from 'node:fs/promises';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  CreateClusterCommand,
  CreateServiceCommand,
  ECSClient,
  RegisterTaskDefinitionCommand,
} from '@aws-sdk/client-ecs';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import {
  CreateIndexCommand,
  CreateVectorBucketCommand,
  GetIndexCommand,
  S3VectorsClient,
} from '@aws-sdk/client-s3vectors';
import { CreateStateMachineCommand, SFNClient } from '@aws-sdk/client-sfn';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { ENVIRONMENT } from '#functions/shared/environment.ts';
import { tableDefinition } from '#aws/table-definition.ts';
import { DEMO_PACKAGE } from '../models/package-fixture.ts';
import { motoClientOptions } from '../moto.ts';
import { unique } from '../aws/samples.ts';

/** What a deployment has, by the names that moto gave it. */
export interface MotoDeployment {
  tableName: string;
  latentsBucket: string;
  videosBucket: string;
  vectorIndexArn: string;
  queues: { interactive: string; backfill: string; webhook: string; functions: string };
  stateMachineArn: string;
  cluster: string;
  service: string;
  /** What the functions of this deployment are told. */
  environment: Record<string, string>;
}

const DEFINITION = new URL('../../local/generate.asl.json', import.meta.url);
const ROLE = 'arn:aws:iam::123456789012:role/flexcache';

/** Makes on moto what the stacks make on AWS, as far as one video needs it. */
export async function deployOnMoto(
  endpoint: string,
  embeddingDimensions: number,
): Promise<MotoDeployment> {
  const options = motoClientOptions(endpoint);
  const tableName = unique('table-');
  await new DynamoDBClient(options).send(new CreateTableCommand(tableDefinition(tableName)));

  const s3 = new S3Client({ ...options, forcePathStyle: true });
  const [latentsBucket, videosBucket] = [unique('latents-'), unique('videos-')];
  for (const Bucket of [latentsBucket, videosBucket])
    await s3.send(new CreateBucketCommand({ Bucket }));

  const s3vectors = new S3VectorsClient(options);
  const vectorBucketName = unique('vectors-');
  await s3vectors.send(new CreateVectorBucketCommand({ vectorBucketName }));
  const indexName = 'vectors';
  await s3vectors.send(
    new CreateIndexCommand({
      vectorBucketName,
      indexName,
      dataType: 'float32',
      dimension: embeddingDimensions,
      distanceMetric: 'cosine',
    }),
  );
  // Unlike AWS, moto does not say the ARN of what it creates.
  const { index } = await s3vectors.send(new GetIndexCommand({ vectorBucketName, indexName }));
  const vectorIndexArn = index!.indexArn!;

  const sqs = new SQSClient(options);
  const queue = async (name: string): Promise<string> =>
    (await sqs.send(new CreateQueueCommand({ QueueName: unique(`${name}-`) }))).QueueUrl!;
  const queues = {
    interactive: await queue('interactive'),
    backfill: await queue('backfill'),
    webhook: await queue('webhook'),
    functions: await queue('functions'),
  };

  const { cluster, service } = await createService(new ECSClient(options));
  const { stateMachineArn } = await new SFNClient(options).send(
    new CreateStateMachineCommand({
      name: unique('generate-'),
      roleArn: ROLE,
      definition: JSON.stringify(functionsByQueue(await definition(), queues.functions)),
    }),
  );
  return {
    tableName,
    latentsBucket,
    videosBucket,
    vectorIndexArn,
    queues,
    stateMachineArn: stateMachineArn!,
    cluster,
    service,
    environment: {
      [ENVIRONMENT.tableName]: tableName,
      [ENVIRONMENT.latentsBucket]: latentsBucket,
      [ENVIRONMENT.videosBucket]: videosBucket,
      [ENVIRONMENT.storageClass]: 'INTELLIGENT_TIERING',
      [ENVIRONMENT.vectorIndexArn]: vectorIndexArn,
      [ENVIRONMENT.modelDirectory]: DEMO_PACKAGE,
      [ENVIRONMENT.interactiveQueueUrl]: queues.interactive,
      [ENVIRONMENT.backfillQueueUrl]: queues.backfill,
      [ENVIRONMENT.webhookQueueUrl]: queues.webhook,
      [ENVIRONMENT.cluster]: cluster,
      [ENVIRONMENT.service]: service,
      [ENVIRONMENT.interactiveMax]: '2',
      [ENVIRONMENT.idleMinutes]: '10',
      [ENVIRONMENT.interactivePurchase]: 'on-demand',
      [ENVIRONMENT.jobQueue]: 'none',
      [ENVIRONMENT.jobDefinition]: 'none',
      [ENVIRONMENT.backfillMax]: '1',
      [ENVIRONMENT.embeddingDimensions]: '128',
      [ENVIRONMENT.pricedInstanceType]: 'g6.xlarge',
      [ENVIRONMENT.pricedPurchase]: 'on-demand',
    },
  };
}

async function createService(ecs: ECSClient): Promise<{ cluster: string; service: string }> {
  const [cluster, service] = [unique('cluster-'), unique('service-')];
  await ecs.send(new CreateClusterCommand({ clusterName: cluster }));
  await ecs.send(
    new RegisterTaskDefinitionCommand({
      family: service,
      containerDefinitions: [{ name: 'denoiser', image: 'denoiser', memory: 1024 }],
    }),
  );
  await ecs.send(
    new CreateServiceCommand({
      cluster,
      serviceName: service,
      taskDefinition: service,
      desiredCount: 0,
    }),
  );
  return { cluster, service };
}

interface State {
  Type: string;
  Resource?: string;
  Parameters?: { Payload?: unknown };
}

async function definition(): Promise<{ States: Record<string, State> }> {
  return JSON.parse(await readFile(DEFINITION, 'utf8')) as { States: Record<string, State> };
}

/**
 * The synthesized definition with its calls of functions carried by a queue: moto would run a function
 * in Docker. Flow, paths, retries and catches stay as they are, and moto's own interpreter follows them.
 */
function functionsByQueue(
  machine: { States: Record<string, State> },
  queueUrl: string,
): { States: Record<string, State> } {
  const states = Object.entries(machine.States).map(([name, state]): [string, State] => {
    if (state.Type !== 'Task') return [name, state];
    const waits = state.Resource === 'arn:aws:states:::lambda:invoke.waitForTaskToken';
    return [
      name,
      {
        ...state,
        Resource: 'arn:aws:states:::sqs:sendMessage.waitForTaskToken',
        Parameters: {
          QueueUrl: queueUrl,
          MessageBody: {
            state: name,
            'taskToken.$': '$$.Task.Token',
            ...(waits ? { payload: state.Parameters!.Payload } : { 'payload.$': '$' }),
          },
        } as State['Parameters'],
      } as State,
    ];
  });
  return { ...machine, States: Object.fromEntries(states) };
}
