import { BatchClient, JobStatus, paginateListJobs, SubmitJobCommand } from '@aws-sdk/client-batch';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DescribeServicesCommand, ECSClient, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { FlexCacheError } from '../core/errors.ts';
import { POOLS, type Pool } from '../core/generation.ts';
import { fromAws } from './aws-errors.ts';
import { DynamoItems } from './dynamo-items.ts';
import { FleetTurns } from './fleet-turns.ts';
import type { Fleet } from './fleet.ts';
import { meterQueueRequest } from './queue-requests.ts';

export interface AwsFleetOptions {
  tableName: string;
  /** An ECS service: its workers stay until the pool has been idle for a while. */
  interactive: {
    queueUrl: string;
    cluster: string;
    service: string;
    maximumWorkers: number;
    idleMinutes: number;
  };
  /** Batch jobs, each of which works until its queue is empty and ends. */
  backfill: { queueUrl: string; jobQueue: string; jobDefinition: string; maximumWorkers: number };
  clients?: Partial<FleetClients>;
  /** Epoch milliseconds now. */
  now?: () => number;
}

export interface FleetClients {
  dynamodb: DynamoDBClient;
  sqs: SQSClient;
  ecs: ECSClient;
  batch: BatchClient;
}

/** One caller asks for capacity in this time; what comes in meanwhile is found by the next look. */
const TURN_MILLISECONDS = 60_000;

/**
 * Messages for which one more worker is worth its start. Who waits should not wait behind others; a
 * backfill should first use up the minutes that a machine takes to boot and load its model.
 */
const MESSAGES_PER_WORKER: Readonly<Record<Pool, number>> = { interactive: 2, backfill: 20 };

const MILLISECONDS_PER_MINUTE = 60_000;

/** States of a Batch job that will work or works. */
const UNDER_WAY: readonly JobStatus[] = [
  JobStatus.SUBMITTED,
  JobStatus.PENDING,
  JobStatus.RUNNABLE,
  JobStatus.STARTING,
  JobStatus.RUNNING,
];

const DRAIN_JOB_NAME = 'flexcache-drain';

/**
 * The GPU machines on AWS. CloudWatch may show a queue minutes late, so whoever queues something
 * wakes the fleet; a schedule calls `reconcile` for what that missed.
 *
 * @example
 * const fleet = new AwsFleet({ tableName, interactive, backfill });
 * await fleet.wake('interactive');
 */
export class AwsFleet implements Fleet {
  readonly #options: AwsFleetOptions;
  readonly #clients: Omit<FleetClients, 'dynamodb'>;
  readonly #turns: Readonly<Record<Pool, FleetTurns>>;
  readonly #now: () => number;

  constructor(options: AwsFleetOptions) {
    this.#options = options;
    const { tableName, clients = {}, now = Date.now } = options;
    this.#clients = {
      sqs: clients.sqs ?? new SQSClient({}),
      ecs: clients.ecs ?? new ECSClient({}),
      batch: clients.batch ?? new BatchClient({}),
    };
    const items = new DynamoItems({
      tableName,
      now,
      ...(clients.dynamodb && { client: clients.dynamodb }),
    });
    this.#turns = {
      interactive: new FleetTurns(items, 'interactive'),
      backfill: new FleetTurns(items, 'backfill'),
    };
    this.#now = now;
  }

  async wake(pool: Pool): Promise<void> {
    const turns = this.#turns[pool];
    if (!(await turns.take(this.#now(), TURN_MILLISECONDS))) return;
    try {
      // Whoever wakes has just queued something, whether or not the queue counts it yet.
      await this.#provide(pool, Math.max(1, await this.#depth(pool)));
    } catch (error) {
      await turns.giveBack();
      throw error;
    }
  }

  /** Both pools, even when one of them cannot be looked at. */
  async reconcile(): Promise<void> {
    const results = await Promise.allSettled(POOLS.map((pool) => this.#reconcile(pool)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async #reconcile(pool: Pool): Promise<void> {
    const depth = await this.#depth(pool);
    if (depth > 0) {
      await this.#turns[pool].markBusy(this.#now());
      await this.#provide(pool, depth);
    } else if (pool === 'interactive') {
      await this.#letGo();
    }
  }

  /** Never takes away: a worker that is stopped loses what it works on. */
  async #provide(pool: Pool, depth: number): Promise<void> {
    const { maximumWorkers } = this.#options[pool];
    const wanted = Math.min(maximumWorkers, Math.ceil(depth / MESSAGES_PER_WORKER[pool]));
    if (pool === 'interactive') {
      if (wanted > (await this.#desiredCount())) await this.#setDesiredCount(wanted);
    } else {
      const missing = wanted - (await this.#drainJobs());
      for (let job = 0; job < missing; job++) await this.#submitDrainJob();
    }
  }

  async #letGo(): Promise<void> {
    const idleMilliseconds = this.#options.interactive.idleMinutes * MILLISECONDS_PER_MINUTE;
    if (!(await this.#turns.interactive.isIdle(this.#now(), idleMilliseconds))) return;
    if ((await this.#desiredCount()) === 0) return;
    await this.#setDesiredCount(0);
    // A message that came in between was answered with workers that have just been let go.
    const depth = await this.#depth('interactive');
    if (depth > 0) await this.#provide('interactive', depth);
  }

  /** Messages that wait, are worked on, or are delayed. */
  async #depth(pool: Pool): Promise<number> {
    const { queueUrl } = this.#options[pool];
    try {
      const { Attributes: attributes = {} } = await this.#clients.sqs.send(
        new GetQueueAttributesCommand({
          QueueUrl: queueUrl,
          AttributeNames: [
            'ApproximateNumberOfMessages',
            'ApproximateNumberOfMessagesNotVisible',
            'ApproximateNumberOfMessagesDelayed',
          ],
        }),
      );
      meterQueueRequest();
      return Object.values(attributes).reduce((sum, count) => sum + Number(count), 0);
    } catch (error) {
      throw fromAws(error, `see how long the ${pool} queue is`);
    }
  }

  async #desiredCount(): Promise<number> {
    const { cluster, service: name } = this.#options.interactive;
    let desiredCount: number | undefined;
    try {
      const { services } = await this.#clients.ecs.send(
        new DescribeServicesCommand({ cluster, services: [name] }),
      );
      desiredCount = services?.[0]?.desiredCount;
    } catch (error) {
      throw fromAws(error, `look at service ${name}`);
    }
    if (desiredCount !== undefined) return desiredCount;
    throw new FlexCacheError('not_found', `there is no service ${name} in cluster ${cluster}`, {
      fix: 'check that the stack of the GPU fleet is deployed',
    });
  }

  async #setDesiredCount(desiredCount: number): Promise<void> {
    const { cluster, service } = this.#options.interactive;
    try {
      await this.#clients.ecs.send(new UpdateServiceCommand({ cluster, service, desiredCount }));
    } catch (error) {
      throw fromAws(error, `ask service ${service} for ${desiredCount} workers`);
    }
  }

  async #drainJobs(): Promise<number> {
    const { jobQueue } = this.#options.backfill;
    const { batch: client } = this.#clients;
    let jobs = 0;
    try {
      for (const jobStatus of UNDER_WAY) {
        for await (const page of paginateListJobs({ client }, { jobQueue, jobStatus })) {
          jobs += page.jobSummaryList?.length ?? 0;
        }
      }
    } catch (error) {
      throw fromAws(error, `count the jobs of ${jobQueue}`);
    }
    return jobs;
  }

  async #submitDrainJob(): Promise<void> {
    const { jobQueue, jobDefinition } = this.#options.backfill;
    try {
      await this.#clients.batch.send(
        new SubmitJobCommand({ jobName: DRAIN_JOB_NAME, jobQueue, jobDefinition }),
      );
    } catch (error) {
      throw fromAws(error, `submit a job to ${jobQueue}`);
    }
  }
}
