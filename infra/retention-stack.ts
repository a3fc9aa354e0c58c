import { Duration, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { CHECKPOINT_PREFIX, INPUT_PREFIX } from '#core/requests/identity.ts';
import { ENVIRONMENT } from '#functions/shared/environment.ts';
import { DAY_INDEX, STATE_INDEX } from '#aws/table-definition.ts';
import { AppFunction } from './app-function.ts';
import { AppSchedule } from './app-schedule.ts';
import { settingsOf } from './settings.ts';
import { allow, type StorageStack } from './storage-stack.ts';
import { executionsOf } from './workflow-states.ts';
import type { WorkflowStack } from './workflow-stack.ts';
import { evictionVariables } from './eviction-variables.ts';

export interface RetentionStackProps extends StackProps {
  storage: StorageStack;
  workflow: WorkflowStack;
}

/** Maximum timeout of Lambda, because the table and the buckets grow. */
const LONGEST = Duration.minutes(15);

/** One full vCPU: evaluating a million entries is CPU-bound. */
const EVICT_MEMORY_MEGABYTES = 1769;

/** Holds a page of keys and the object keys to compare with. */
const SWEEP_MEMORY_MEGABYTES = 1024;

/** Eviction, the sweep of orphans, and cost reports. */
export class RetentionStack extends Stack {
  readonly evict: AppFunction;
  readonly sweep: AppFunction;
  readonly report: AppFunction;

  constructor(scope: Construct, id: string, { storage, workflow, ...props }: RetentionStackProps) {
    super(scope, id, props);
    const { evictSchedule, sweepSchedule, reportSchedule, storageClass } = settingsOf(this);
    const environment = {
      [ENVIRONMENT.tableName]: storage.table.tableName,
      [ENVIRONMENT.vectorIndexArn]: storage.vectorIndex.attrIndexArn,
      [ENVIRONMENT.latentsBucket]: storage.latents.bucketName,
      [ENVIRONMENT.videosBucket]: storage.videos.bucketName,
      [ENVIRONMENT.storageClass]: storageClass,
    };
    this.evict = new AppFunction(this, 'Evict', {
      description: 'Evicts entries that cost more than they save',
      folder: 'evict',
      environment: { ...environment, ...evictionVariables(this) },
      memoryMegabytes: EVICT_MEMORY_MEGABYTES,
      timeout: LONGEST,
    });
    this.sweep = new AppFunction(this, 'Sweep', {
      description: 'Deletes orphaned objects, vectors and records',
      folder: 'sweep',
      environment,
      memoryMegabytes: SWEEP_MEMORY_MEGABYTES,
      timeout: LONGEST,
    });
    this.report = new AppFunction(this, 'Report', {
      description: 'Fails jobs whose end was lost, and writes daily cost reports',
      folder: 'report',
      environment: {
        ...environment,
        [ENVIRONMENT.generateArn]: workflow.generate.stateMachineArn,
        [ENVIRONMENT.failFunction]: workflow.functions.fail.functionArn,
      },
      timeout: LONGEST,
    });
    this.#allow(storage, workflow);
    new AppSchedule(this, 'EvictSchedule', {
      description: 'When eviction runs',
      expression: evictSchedule,
      function: this.evict,
    });
    new AppSchedule(this, 'SweepSchedule', {
      description: 'When the sweep of orphans runs',
      expression: sweepSchedule,
      function: this.sweep,
    });
    new AppSchedule(this, 'ReportSchedule', {
      description: 'When daily cost reports are written',
      expression: reportSchedule,
      function: this.report,
    });
  }

  #allow(storage: StorageStack, { generate, functions }: WorkflowStack): void {
    const { evict, sweep, report } = this;
    storage.allowTable(
      evict,
      'dynamodb:GetItem',
      'dynamodb:PutItem',
      'dynamodb:UpdateItem',
      'dynamodb:DeleteItem',
    );
    storage.allowQuery(evict, STATE_INDEX);
    storage.allowVectors(evict, 's3vectors:DeleteVectors');
    storage.allowObjects(evict, 'latents/', 's3:DeleteObject');
    if (settingsOf(this).moveStorageClasses) {
      // To copy an object onto itself.
      storage.allowObjects(evict, 'latents/', 's3:GetObject', 's3:PutObject');
    }

    storage.allowTable(
      sweep,
      'dynamodb:Scan',
      'dynamodb:GetItem',
      'dynamodb:PutItem',
      'dynamodb:UpdateItem',
    );
    storage.allowVectors(
      sweep,
      's3vectors:DeleteVectors',
      's3vectors:ListVectors',
      's3vectors:PutVectors',
    );
    for (const prefix of ['latents/', CHECKPOINT_PREFIX, INPUT_PREFIX, 'videos/']) {
      storage.allowObjects(sweep, prefix, 's3:GetObject', 's3:DeleteObject');
    }

    storage.allowTable(report, 'dynamodb:BatchGetItem', 'dynamodb:Query');
    storage.allowQuery(report, DAY_INDEX);
    storage.allowObjects(report, 'reports/', 's3:PutObject');
    allow(report, ['states:DescribeExecution'], [executionsOf(this, generate.stateMachineName)]);
    allow(report, ['lambda:InvokeFunction'], [functions.fail.functionArn]);
  }
}
