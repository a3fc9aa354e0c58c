import { Stack } from 'aws-cdk-lib';
import type * as assets from 'aws-cdk-lib/aws-ecr-assets';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { CHECKPOINT_PREFIX, INPUT_PREFIX } from '#core/requests/identity.ts';
import type { Pool } from '#core/generation.ts';
import { DENOISER_VARIABLES } from '#denoiser/variables.ts';
import { appLogGroup } from './app-function.ts';
import { deployedModel } from './model-layers.ts';
import { settingsOf } from './settings.ts';
import { allow, type StorageStack } from './storage-stack.ts';

export interface WorkerProps {
  storage: StorageStack;
  pool: Pool;
  image: assets.DockerImageAsset;
}

/** What the worker of a pool is, whoever starts it: its image, its logs, what it is told and may do. */
export class Worker extends Construct {
  readonly image: ecs.ContainerImage;
  readonly logGroup: logs.LogGroup;
  readonly logging: ecs.LogDriver;
  /** The worker's own. */
  readonly role: iam.Role;
  /** Of the agent that fetches the image and writes the logs. */
  readonly executionRole: iam.Role;
  readonly environment: Readonly<Record<string, string>>;

  constructor(scope: Construct, id: string, { storage, pool, image }: WorkerProps) {
    super(scope, id);
    this.image = ecs.ContainerImage.fromDockerImageAsset(image);
    this.logGroup = appLogGroup(this, 'Logs');
    this.logging = ecs.LogDrivers.awsLogs({
      logGroup: this.logGroup,
      streamPrefix: pool,
      // A worker does not wait for its log.
      mode: ecs.AwsLogDriverMode.NON_BLOCKING,
    });
    this.executionRole = this.#createRole('ExecutionRole', `Starts the ${pool} worker`);
    this.role = this.#createRole('Role', `What the ${pool} worker may do`);
    this.#allow(storage, pool);
    this.environment = this.#environment(storage, pool);
  }

  #createRole(id: string, description: string): iam.Role {
    return new iam.Role(this, id, {
      description,
      assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
    });
  }

  /** Answering task tokens is allowed where the state machine is known, in the workflow stack. */
  #allow(storage: StorageStack, pool: Pool): void {
    storage.allowTable(this.role, 'dynamodb:DeleteItem', 'dynamodb:GetItem', 'dynamodb:UpdateItem');
    storage.allowObjects(this.role, 'latents/', 's3:GetObject', 's3:PutObject');
    storage.allowObjects(
      this.role,
      CHECKPOINT_PREFIX,
      's3:GetObject',
      's3:PutObject',
      's3:DeleteObject',
    );
    storage.allowObjects(this.role, INPUT_PREFIX, 's3:GetObject');
    storage.allowObjects(this.role, 'videos/', 's3:PutObject');
    allow(
      this.role,
      [
        'sqs:ReceiveMessage',
        'sqs:DeleteMessage',
        'sqs:ChangeMessageVisibility',
        // One that is given back is sent anew.
        'sqs:SendMessage',
      ],
      [storage.work[pool].queue.queueArn],
    );
    const { modelSource } = settingsOf(this);
    if (modelSource !== null) {
      const { partition } = Stack.of(this);
      const path = modelSource.slice('s3://'.length).replace(/\/$/, '');
      allow(this.role, ['s3:GetObject'], [`arn:${partition}:s3:::${path}/*`]);
    }
  }

  #environment(storage: StorageStack, pool: Pool): Record<string, string> {
    const { storageClass, modelSource, workerBatch } = settingsOf(this);
    const names = DENOISER_VARIABLES;
    return {
      // Tasks on EC2 machines are not told their region.
      AWS_REGION: Stack.of(this).region,
      [names.tableName]: storage.table.tableName,
      [names.latentsBucket]: storage.latents.bucketName,
      [names.videosBucket]: storage.videos.bucketName,
      [names.storageClass]: storageClass,
      [names.queueUrl]: storage.work[pool].queue.queueUrl,
      ...(workerBatch > 1 && { [names.batch]: String(workerBatch) }),
      ...(modelSource !== null && {
        [names.modelSource]: modelSource,
        [names.modelRevision]: deployedModel(this).revision,
      }),
    };
  }
}
