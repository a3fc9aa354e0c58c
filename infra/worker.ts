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

/** Configuration of a pool's worker: image, logs, environment, roles. */
export class Worker extends Construct {
  readonly image: ecs.ContainerImage;
  readonly logGroup: logs.LogGroup;
  readonly logging: ecs.LogDriver;
  /** Role of the worker. */
  readonly role: iam.Role;
  /** Role of the ECS agent, which pulls the image and writes the logs. */
  readonly executionRole: iam.Role;
  readonly environment: Readonly<Record<string, string>>;

  constructor(scope: Construct, id: string, { storage, pool, image }: WorkerProps) {
    super(scope, id);
    this.image = ecs.ContainerImage.fromDockerImageAsset(image);
    this.logGroup = appLogGroup(this, 'Logs');
    this.logging = ecs.LogDrivers.awsLogs({
      logGroup: this.logGroup,
      streamPrefix: pool,
      // Logging must not block a worker.
      mode: ecs.AwsLogDriverMode.NON_BLOCKING,
    });
    this.executionRole = this.#createRole('ExecutionRole', `Starts the ${pool} worker`);
    this.role = this.#createRole('Role', `Permissions of the ${pool} worker`);
    this.#allow(storage, pool);
    this.environment = this.#environment(storage, pool);
  }

  #createRole(id: string, description: string): iam.Role {
    return new iam.Role(this, id, {
      description,
      assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
    });
  }

  /** The workflow stack, which has the state machine, grants the use of task tokens. */
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
        // A returned message is sent again.
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
      // ECS does not set it on EC2 machines.
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
