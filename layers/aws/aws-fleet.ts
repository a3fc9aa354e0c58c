import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { BatchClient, JobStatus, paginateListJobs, SubmitJobCommand } from '@aws-sdk/client-batch';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { ECSClient } from '@aws-sdk/client-ecs';
import { SQSClient } from '@aws-sdk/client-sqs';
import { dayAt } from '#core/day.ts';
import type { Pool } from '#core/generation.ts';
import { FLEET_LOOK_SECONDS, TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import type { Machine } from '#core/pricing/prices.ts';
import { fromAws } from './aws-errors.ts';
import { DynamoIdleTable } from './dynamo-idle-table.ts';
import { DynamoItems } from './dynamo-items.ts';
import { FleetLeases, type PoolState } from './fleet-turns.ts';
import type { Fleet, PoolLook } from '#ports/fleet.ts';
import { InteractiveService, type IdleMachine } from './interactive-service.ts';
import { readBacklog, type Backlog } from './queue-backlog.ts';

export interface AwsFleetOptions {
  tableName: string;
  /** An ECS service: its workers stay until they were not needed for a while. */
  interactive: {
    queueUrl: string;
    cluster: string;
    service: string;
    maximumWorkers: number;
    idleMinutes: number;
    purchaseOption: Machine['purchaseOption'];
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
  autoScaling: AutoScalingClient;
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

const LOOK_MILLISECONDS = FLEET_LOOK_SECONDS * 1000;

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
 * wakes the fleet; a schedule calls `reconcile` for what that missed, and for what is needed no more.
 *
 * @example
 * const fleet = new AwsFleet({ tableName, interactive, backfill });
 * await fleet.wake('interactive');
 */
export class AwsFleet implements Fleet {
  readonly #options: AwsFleetOptions;
  readonly #sqs: SQSClient;
  readonly #batch: BatchClient;
  readonly #service: InteractiveService;
  readonly #idle: DynamoIdleTable;
  readonly #turns: Readonly<Record<Pool, FleetLeases>>;
  readonly #now: () => number;

  constructor(options: AwsFleetOptions) {
    this.#options = options;
    const { tableName, interactive, clients = {}, now = Date.now } = options;
    const { cluster, service } = interactive;
    const { ecs, autoScaling } = clients;
    this.#sqs = clients.sqs ?? new SQSClient({});
    this.#batch = clients.batch ?? new BatchClient({});
    this.#service = new InteractiveService({ cluster, service, clients: { ecs, autoScaling } });
    const table = { tableName, now, ...(clients.dynamodb && { client: clients.dynamodb }) };
    const items = new DynamoItems(table);
    this.#idle = new DynamoIdleTable(table);
    this.#turns = {
      interactive: new FleetLeases(items, 'interactive'),
      backfill: new FleetLeases(items, 'backfill'),
    };
    this.#now = now;
  }

  async wake(pool: Pool): Promise<void> {
    const turns = this.#turns[pool];
    if (!(await turns.take(this.#now(), TURN_MILLISECONDS))) return;
    try {
      const { waiting, inFlight } = await this.#backlog(pool);
      // Whoever wakes has just queued something, whether or not the queue counts it yet.
      await this.#provide(pool, { waiting: Math.max(waiting, inFlight === 0 ? 1 : 0), inFlight });
    } catch (error) {
      await turns.giveBack();
      throw error;
    }
  }

  async reconcile(pool: Pool): Promise<PoolLook> {
    const now = this.#now();
    const backlog = await this.#backlog(pool);
    const before = await this.#turns[pool].read();
    const isUntaken = backlog.waiting > 0 && backlog.inFlight === 0;
    const untakenSince = isUntaken ? (before?.untakenSince ?? now) : null;
    const needed =
      pool === 'interactive'
        ? await this.#reconcileService(backlog, before)
        : await this.#provide(pool, backlog).then(() => []);
    const hasChanged =
      needed.length + (before?.needed.length ?? 0) > 0 ||
      untakenSince !== (before?.untakenSince ?? null);
    if (hasChanged) await this.#turns[pool].remember({ needed, untakenSince });
    const patience = TASK_TIMEOUTS[pool].withoutWorkerSeconds * 1000;
    return { isDeserted: untakenSince !== null && now - untakenSince >= patience };
  }

  /**
   * As many workers as the queue needs now, and no more than it has needed at any look of the last
   * idle minutes.
   */
  async #reconcileService(
    backlog: Backlog,
    before: PoolState | null,
  ): Promise<PoolState['needed']> {
    const now = this.#now();
    const { idleMinutes, purchaseOption } = this.#options.interactive;
    const present = await this.#service.desiredCount();
    const needed = this.#workersFor('interactive', backlog);
    // A schedule is not exact: the look that is due counts as late as half an interval too soon.
    const since = now - idleMinutes * MILLISECONDS_PER_MINUTE + LOOK_MILLISECONDS / 2;
    const remembered = (before?.needed ?? []).filter(({ at }) => at > since);
    // Workers that nobody has asked for, as far as is known, begin to be idle now.
    const workers = before === null ? Math.max(needed, present) : needed;
    if (workers > 0) remembered.push({ at: now, workers });
    // What came and went between two looks.
    const woken = (before?.lastBusyAt ?? 0) > since ? 1 : 0;
    const kept = Math.max(woken, ...remembered.map((look) => look.workers));
    const desired = Math.min(Math.max(present, needed), kept);
    if (desired !== present) await this.#service.setDesiredCount(desired);
    // A message that came in between was answered with workers that have just been stopped.
    if (desired < present) {
      const provided = await this.#provide('interactive', await this.#backlog('interactive'));
      if (provided > desired) return remembered;
    }
    await this.#enterIdle(await this.#service.releaseMachines(desired), purchaseOption);
    return remembered;
  }

  /** What a worker has not counted itself: its machine after it, until the next look or its end. */
  async #enterIdle(
    machines: readonly IdleMachine[],
    purchaseOption: Machine['purchaseOption'],
  ): Promise<void> {
    const now = this.#now();
    for (const { instanceId, instanceType, since } of machines) {
      await this.#idle.addIdle({
        day: dayAt(now),
        workerId: `${instanceId}-${Math.floor(now / LOOK_MILLISECONDS)}`,
        instanceType,
        purchaseOption,
        seconds: Math.max(0, Math.min(LOOK_MILLISECONDS, now - since)) / 1000,
      });
    }
  }

  #workersFor(pool: Pool, { waiting, inFlight }: Backlog): number {
    const wanted = Math.ceil((waiting + inFlight) / MESSAGES_PER_WORKER[pool]);
    // Each message in the hands of an interactive worker has one.
    const least = pool === 'interactive' ? inFlight : 0;
    return Math.min(this.#options[pool].maximumWorkers, Math.max(wanted, least));
  }

  /** Never takes away. @returns workers that the queue needs */
  async #provide(pool: Pool, backlog: Backlog): Promise<number> {
    const wanted = this.#workersFor(pool, backlog);
    if (wanted === 0) return wanted;
    if (pool === 'interactive') {
      if (wanted > (await this.#service.desiredCount())) {
        await this.#service.setDesiredCount(wanted);
      }
    } else {
      const missing = wanted - (await this.#drainJobs());
      for (let job = 0; job < missing; job++) await this.#submitDrainJob();
    }
    return wanted;
  }

  #backlog(pool: Pool): Promise<Backlog> {
    return readBacklog(this.#sqs, this.#options[pool].queueUrl);
  }

  async #drainJobs(): Promise<number> {
    const { jobQueue } = this.#options.backfill;
    const client = this.#batch;
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
      await this.#batch.send(
        new SubmitJobCommand({ jobName: DRAIN_JOB_NAME, jobQueue, jobDefinition }),
      );
    } catch (error) {
      throw fromAws(error, `submit a job to ${jobQueue}`);
    }
  }
}
