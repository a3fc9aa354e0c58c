import {
  AutoScalingClient,
  TerminateInstanceInAutoScalingGroupCommand,
} from '@aws-sdk/client-auto-scaling';
import {
  DescribeContainerInstancesCommand,
  DescribeServicesCommand,
  ECSClient,
  paginateListContainerInstances,
  UpdateServiceCommand,
  type ContainerInstance,
} from '@aws-sdk/client-ecs';
import { FlexCacheError } from '#core/errors.ts';
import { fromAws } from './aws-errors.ts';

export interface InteractiveServiceOptions {
  cluster: string;
  service: string;
  clients?: { ecs?: ECSClient | undefined; autoScaling?: AutoScalingClient | undefined };
}

/** A machine of the cluster that is to be paid for and has nothing more to do. */
export interface IdleMachine {
  /** Of EC2. */
  instanceId: string;
  instanceType: string;
  /** Epoch milliseconds when it joined the cluster. */
  since: number;
}

/** One page of machines: as many as can be described at once. */
const PAGE_MACHINES = 100;

/** The ECS service of the interactive workers, and the machines that they run on, one worker each. */
export class InteractiveService {
  readonly #cluster: string;
  readonly #service: string;
  readonly #ecs: ECSClient;
  readonly #autoScaling: AutoScalingClient;

  constructor({ cluster, service, clients = {} }: InteractiveServiceOptions) {
    this.#cluster = cluster;
    this.#service = service;
    this.#ecs = clients.ecs ?? new ECSClient({});
    this.#autoScaling = clients.autoScaling ?? new AutoScalingClient({});
  }

  async desiredCount(): Promise<number> {
    const [cluster, name] = [this.#cluster, this.#service];
    let desiredCount: number | undefined;
    try {
      const { services } = await this.#ecs.send(
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

  /** Of fewer workers ECS stops those first that have no message: the others are protected. */
  async setDesiredCount(desiredCount: number): Promise<void> {
    const [cluster, service] = [this.#cluster, this.#service];
    try {
      await this.#ecs.send(new UpdateServiceCommand({ cluster, service, desiredCount }));
    } catch (error) {
      throw fromAws(error, `ask service ${service} for ${desiredCount} workers`);
    }
  }

  /**
   * Ends the machines that the workers wanted do not need: ECS alone would keep them for a quarter of
   * an hour. Where no worker is wanted all go, else those alone that have none.
   *
   * @returns machines without a worker that are on their way out, still paid for.
   */
  async releaseMachines(wantedWorkers: number): Promise<IdleMachine[]> {
    const machines = await this.#machines();
    const active = machines.filter(isActive);
    const surplus = active.length - wantedWorkers;
    const leaving =
      wantedWorkers === 0 ? active : active.filter(isEmpty).slice(0, Math.max(0, surplus));
    for (const machine of leaving) await this.#terminate(machine.ec2InstanceId!);
    return machines
      .filter((machine) => isEmpty(machine) && (leaving.includes(machine) || !isActive(machine)))
      .map((machine) => ({
        instanceId: machine.ec2InstanceId!,
        instanceType: instanceTypeOf(machine),
        since: machine.registeredAt?.getTime() ?? 0,
      }));
  }

  async #machines(): Promise<ContainerInstance[]> {
    const cluster = this.#cluster;
    const machines: ContainerInstance[] = [];
    try {
      const pages = paginateListContainerInstances(
        { client: this.#ecs, pageSize: PAGE_MACHINES },
        { cluster },
      );
      for await (const { containerInstanceArns: arns = [] } of pages) {
        if (arns.length === 0) continue;
        const { containerInstances = [] } = await this.#ecs.send(
          new DescribeContainerInstancesCommand({ cluster, containerInstances: arns }),
        );
        machines.push(...containerInstances);
      }
    } catch (error) {
      throw fromAws(error, `list the machines of cluster ${cluster}`);
    }
    return machines.filter(({ ec2InstanceId }) => ec2InstanceId !== undefined);
  }

  async #terminate(instanceId: string): Promise<void> {
    try {
      await this.#autoScaling.send(
        new TerminateInstanceInAutoScalingGroupCommand({
          InstanceId: instanceId,
          ShouldDecrementDesiredCapacity: true,
        }),
      );
    } catch (error) {
      throw fromAws(error, `end machine ${instanceId}`);
    }
  }
}

function isActive({ status }: ContainerInstance): boolean {
  return status === 'ACTIVE';
}

function isEmpty({ runningTasksCount = 0, pendingTasksCount = 0 }: ContainerInstance): boolean {
  return runningTasksCount + pendingTasksCount === 0;
}

/** The ECS agent registers it as an attribute. */
function instanceTypeOf({ attributes = [] }: ContainerInstance): string {
  return attributes.find(({ name }) => name === 'ecs.instance-type')?.value ?? 'unknown';
}
