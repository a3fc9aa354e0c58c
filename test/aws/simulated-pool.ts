import { TerminateInstanceInAutoScalingGroupCommand } from '@aws-sdk/client-auto-scaling';
import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import {
  DescribeContainerInstancesCommand,
  DescribeServicesCommand,
  ECSClient,
  ListContainerInstancesCommand,
  UpdateServiceCommand,
} from '@aws-sdk/client-ecs';
import type { SQSClient } from '@aws-sdk/client-sqs';
import { FLEET_LOOK_SECONDS } from '#core/requests/task-timeouts.ts';
import { AwsFleet } from '#aws/aws-fleet.ts';
import { DynamoIdleTable } from '#aws/dynamo-idle-table.ts';
import { MemoryDynamo } from '../memory-stores/memory-dynamo.ts';

export interface SimulatedPoolOptions {
  maximumWorkers: number;
  idleMinutes: number;
  /** No machine is to be had. */
  hasMachines?: boolean;
  /** When the first look comes. */
  phaseSeconds?: number;
}

/** Seconds. What is in reach of us is the fleet's own; the rest is as operators of such pools report it. */
const CAPACITY_PROVIDER = 60;
const REGISTERED_AFTER = 90;
/** Boot, image and model. */
const READY_AFTER = 360;
const TASK_STOP = 10;
const DRAIN = 30;
/** ECS alone: fifteen minutes of low reservation. */
const ECS_SCALE_IN = 15 * 60;

interface Job {
  seconds: number;
  queuedAt: number;
  endedAt: number | null;
}

interface Machine {
  id: string;
  launchedAt: number;
  isDraining: boolean;
  endsAt: number | null;
  emptySince: number | null;
}

interface Task {
  wantedAt: number;
  machine: Machine | null;
  job: Job | null;
  busyUntil: number;
  stopsAt: number | null;
}

const START = Date.UTC(2026, 10, 22);

/**
 * The interactive pool second by second: queue, ECS service, machines and workers are simulated, and
 * `AwsFleet` is the one that is deployed.
 */
export class SimulatedPool {
  now = 0;
  readonly jobs: Job[] = [];
  isDeserted = false;
  machineSeconds = 0;
  /** Of machines whose worker has ended. */
  emptySeconds = 0;
  readonly #options: Required<SimulatedPoolOptions>;
  readonly #waiting: Job[] = [];
  #desired = 0;
  #tasks: Task[] = [];
  #machines: Machine[] = [];
  #launched = 0;
  readonly #memory = new MemoryDynamo();
  readonly #fleet: AwsFleet;

  constructor(options: SimulatedPoolOptions) {
    this.#options = { hasMachines: true, phaseSeconds: 0, ...options };
    const { maximumWorkers, idleMinutes } = options;
    this.#fleet = new AwsFleet({
      tableName: 'memory',
      interactive: {
        queueUrl: 'interactive',
        cluster: 'cluster',
        service: 'service',
        maximumWorkers,
        idleMinutes,
        purchaseOption: 'on-demand',
      },
      backfill: { queueUrl: 'backfill', jobQueue: '', jobDefinition: '', maximumWorkers: 1 },
      clients: {
        dynamodb: this.#memory.client,
        sqs: this.#client({}) as SQSClient,
        ecs: this.#client(new ECSClient({ region: 'us-east-1' })),
        autoScaling: this.#client({}) as AutoScalingClient,
      },
      now: () => START + this.now * 1000,
    });
  }

  /** Queues a video that takes so many seconds, as `dispatch` does. */
  async ask(seconds: number): Promise<void> {
    const job = { seconds, queuedAt: this.now, endedAt: null };
    this.jobs.push(job);
    this.#waiting.push(job);
    await this.#fleet.wake('interactive');
  }

  async run(seconds: number): Promise<void> {
    for (const end = this.now + seconds; this.now < end; this.now++) {
      this.#tick();
      if (this.now % FLEET_LOOK_SECONDS === this.#options.phaseSeconds % FLEET_LOOK_SECONDS) {
        this.isDeserted ||= (await this.#fleet.reconcile('interactive')).isDeserted;
      }
    }
  }

  /** Until every video has ended and no machine is left. */
  async runOut(longestSeconds: number): Promise<void> {
    const end = this.now + longestSeconds;
    while (this.now < end && (this.jobs.some(isOpen) || this.#machines.length > 0)) {
      await this.run(FLEET_LOOK_SECONDS);
    }
  }

  get workers(): number {
    return this.#tasks.filter((task) => this.#isReady(task)).length;
  }

  /** Seconds that the cost report shows for machines without a worker. */
  async reportedSeconds(): Promise<number> {
    const idle = new DynamoIdleTable({ tableName: 'memory', client: this.#memory.client });
    const tails = await idle.listIdle('2026-11-22');
    return tails.reduce((sum, { seconds }) => sum + seconds, 0);
  }

  #tick(): void {
    this.#startTasks();
    this.#work();
    this.#stopTasks();
    this.#endMachines();
    this.machineSeconds += this.#machines.length;
    this.emptySeconds += this.#machines.filter(({ emptySince }) => emptySince !== null).length;
  }

  #startTasks(): void {
    while (this.#tasks.filter(({ stopsAt }) => stopsAt === null).length < this.#desired) {
      const task = { wantedAt: this.now, machine: null, job: null, busyUntil: 0, stopsAt: null };
      this.#tasks.push(task);
    }
    for (const task of this.#tasks) {
      if (task.machine !== null) continue;
      const free = this.#machines.find(
        (machine) => !machine.isDraining && !this.#tasks.some((other) => other.machine === machine),
      );
      if (free !== undefined) task.machine = free;
      else if (this.#options.hasMachines && this.now - task.wantedAt >= CAPACITY_PROVIDER) {
        task.machine = this.#launch();
      }
      if (task.machine !== null) task.machine.emptySince = null;
    }
  }

  #launch(): Machine {
    const id = `i-${++this.#launched}`;
    const machine = {
      id,
      launchedAt: this.now,
      isDraining: false,
      endsAt: null,
      emptySince: null,
    };
    this.#machines.push(machine);
    return machine;
  }

  #isReady({ machine, stopsAt }: Task): boolean {
    return machine !== null && stopsAt === null && this.now - machine.launchedAt >= READY_AFTER;
  }

  #work(): void {
    for (const task of this.#tasks) {
      if (task.job !== null && task.busyUntil <= this.now) {
        task.job.endedAt = this.now;
        task.job = null;
      }
      if (task.job !== null || !this.#isReady(task)) continue;
      const job = this.#waiting.shift();
      if (job === undefined) continue;
      task.job = job;
      task.busyUntil = this.now + job.seconds;
    }
  }

  /** ECS stops what has no machine first, and nothing that is protected. */
  #stopTasks(): void {
    const staying = this.#tasks.filter(({ stopsAt }) => stopsAt === null);
    const free = staying
      .filter(({ job }) => job === null)
      .sort((one, other) => Number(one.machine !== null) - Number(other.machine !== null));
    for (const task of free.slice(0, Math.max(0, staying.length - this.#desired))) this.#stop(task);
    for (const task of this.#tasks.filter(({ stopsAt }) => stopsAt === this.now)) {
      if (task.machine !== null) task.machine.emptySince = this.now;
    }
    this.#tasks = this.#tasks.filter(({ stopsAt }) => stopsAt === null || stopsAt > this.now);
  }

  #stop(task: Task): void {
    task.stopsAt = this.now + (task.machine === null ? 0 : TASK_STOP);
    if (task.job === null) return;
    // Given back with what was done: here, from the beginning.
    this.#waiting.unshift(task.job);
    task.job = null;
  }

  #endMachines(): void {
    for (const machine of this.#machines) {
      if (machine.emptySince !== null && this.now - machine.emptySince >= ECS_SCALE_IN) {
        machine.endsAt ??= this.now;
      }
    }
    this.#machines = this.#machines.filter(({ endsAt }) => endsAt === null || endsAt > this.now);
  }

  #client<Client extends object>(client: Client): Client {
    return Object.assign(client, { send: async (command: object) => this.#answer(command) });
  }

  #answer(command: object): object {
    if (command instanceof DescribeServicesCommand) {
      return { services: [{ desiredCount: this.#desired }] };
    }
    if (command instanceof UpdateServiceCommand) {
      this.#desired = command.input.desiredCount!;
      return {};
    }
    const registered = this.#machines.filter(
      ({ launchedAt }) => this.now - launchedAt >= REGISTERED_AFTER,
    );
    if (command instanceof ListContainerInstancesCommand) {
      return { containerInstanceArns: registered.map(({ id }) => id) };
    }
    if (command instanceof DescribeContainerInstancesCommand) {
      const wanted = registered.filter(({ id }) => command.input.containerInstances!.includes(id));
      return { containerInstances: wanted.map((machine) => this.#describe(machine)) };
    }
    if (command instanceof TerminateInstanceInAutoScalingGroupCommand) {
      const machine = this.#machines.find(({ id }) => id === command.input.InstanceId)!;
      machine.isDraining = true;
      machine.endsAt ??= this.now + DRAIN;
      for (const task of this.#tasks) {
        if (task.machine === machine && task.stopsAt === null) this.#stop(task);
      }
      return {};
    }
    const inFlight = this.#tasks.filter(({ job }) => job !== null).length;
    return {
      Attributes: {
        ApproximateNumberOfMessages: String(this.#waiting.length),
        ApproximateNumberOfMessagesNotVisible: String(inFlight),
        ApproximateNumberOfMessagesDelayed: '0',
      },
    };
  }

  #describe(machine: Machine): object {
    return {
      ec2InstanceId: machine.id,
      status: machine.isDraining ? 'DRAINING' : 'ACTIVE',
      registeredAt: new Date(START + (machine.launchedAt + REGISTERED_AFTER) * 1000),
      runningTasksCount: this.#tasks.filter((task) => task.machine === machine).length,
      pendingTasksCount: 0,
      attributes: [{ name: 'ecs.instance-type', value: 'g6.xlarge' }],
    };
  }
}

function isOpen({ endedAt }: Job): boolean {
  return endedAt === null;
}
