import { CustomResource, Duration, Stack, Tags, Token } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { AGENT_SETTINGS, gpuMachine, STOP_SECONDS } from './gpu-machine.ts';
import { AppFunction } from './app-function.ts';
import { settingsOf } from './settings.ts';
import { allow } from './storage-stack.ts';
import type { Worker } from './worker.ts';
import type { WorkerNetwork } from './worker-network.ts';

export interface InteractivePoolProps {
  network: WorkerNetwork;
  worker: Worker;
}

/** One in its cluster, whose name is CloudFormation's. Asked for by name before it is made. */
const SERVICE_NAME = 'interactive-worker';

/** `containers/denoiser/health.ts` as the image has it. A health check of the image itself ECS ignores. */
const HEALTH_COMMAND = ['CMD', 'node', 'health.js'];

/** A machine boots, fetches its image and loads a model: only then is a further one worth a thought. */
const MACHINE_WARM_UP = Duration.minutes(5);

/**
 * Workers for videos that somebody waits for: a service of as many as were asked for, on machines
 * that come and go with them. `AwsFleet` asks.
 */
export class InteractivePool extends Construct {
  readonly cluster: ecs.Cluster;
  readonly service: ecs.Ec2Service;
  readonly machines: autoscaling.AutoScalingGroup;

  constructor(scope: Construct, id: string, { network, worker }: InteractivePoolProps) {
    super(scope, id);
    this.cluster = new ecs.Cluster(this, 'Cluster', {
      vpc: network.vpc,
      containerInsightsV2: ecs.ContainerInsights.DISABLED,
    });
    this.machines = this.#createMachines(network);
    const capacity = new ecs.AsgCapacityProvider(this, 'Capacity', {
      autoScalingGroup: this.machines,
      enableManagedScaling: true,
      enableManagedTerminationProtection: true,
      enableManagedDraining: true,
      targetCapacityPercent: 100,
      instanceWarmupPeriod: MACHINE_WARM_UP.toSeconds(),
    });
    this.cluster.addAsgCapacityProvider(capacity);
    const task = this.#createTask(worker);
    // Through the agent, which acts as the worker: none with a message is stopped for being one too many.
    allow(
      worker.role,
      ['ecs:UpdateTaskProtection'],
      [
        Stack.of(this).formatArn({
          service: 'ecs',
          resource: 'task',
          resourceName: `${this.cluster.clusterName}/*`,
        }),
      ],
    );
    this.service = new ecs.Ec2Service(this, 'Service', {
      cluster: this.cluster as ecs.ICluster,
      serviceName: SERVICE_NAME,
      taskDefinition: task,
      desiredCount: this.#desiredCount(task),
      capacityProviderStrategies: [{ capacityProvider: capacity.capacityProviderName, weight: 1 }],
      // A worker fills its machine: the new one starts where the old one was.
      minHealthyPercent: 0,
      maxHealthyPercent: 100,
      circuitBreaker: { rollback: true },
      enableECSManagedTags: true,
      propagateTags: ecs.PropagatedTagSource.SERVICE,
    });
    // The cluster knows its capacity provider by a resource of its own.
    this.service.node.addDependency(this.cluster);
    Tags.of(this).add('workload', 'interactive');
  }

  #createMachines(network: WorkerNetwork): autoscaling.AutoScalingGroup {
    const { interactiveInstanceTypes, interactiveMax, interactivePurchase } = settingsOf(this);
    const isOnDemand = interactivePurchase === 'on-demand';
    const userData = ec2.UserData.forLinux();
    userData.addCommands(...AGENT_SETTINGS);
    const launchTemplate = gpuMachine(this, 'Machine', {
      machineImage: ecs.EcsOptimizedImage.amazonLinux2023(ecs.AmiHardwareType.GPU),
      // The cluster would add every action whose name begins with `ecs:Submit`.
      role: this.#machineRole().withoutPolicyUpdates(),
      securityGroup: network.securityGroup,
      userData,
    });
    const machines = new autoscaling.AutoScalingGroup(this, 'Machines', {
      vpc: network.vpc,
      vpcSubnets: network.subnets,
      minCapacity: 0,
      maxCapacity: interactiveMax,
      newInstancesProtectedFromScaleIn: true,
      groupMetrics: [new autoscaling.GroupMetrics(autoscaling.GroupMetric.IN_SERVICE_INSTANCES)],
      mixedInstancesPolicy: {
        launchTemplate,
        launchTemplateOverrides: interactiveInstanceTypes.map((type) => ({
          instanceType: new ec2.InstanceType(type),
        })),
        instancesDistribution: {
          onDemandPercentageAboveBaseCapacity: isOnDemand ? 100 : 0,
          onDemandAllocationStrategy: autoscaling.OnDemandAllocationStrategy.PRIORITIZED,
          spotAllocationStrategy: autoscaling.SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED,
        },
      },
    });
    return machines;
  }

  /** What the ECS agent of a machine needs, action by action, for this cluster alone. */
  #machineRole(): iam.Role {
    const role = new iam.Role(this, 'MachineRole', {
      description: 'The ECS agent of the interactive machines',
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
    });
    allow(
      role,
      [
        'ecs:RegisterContainerInstance',
        'ecs:DeregisterContainerInstance',
        // Requests for these name their cluster as the resource and carry no `ecs:cluster`.
        'ecs:SubmitAttachmentStateChanges',
        'ecs:SubmitContainerStateChange',
        'ecs:SubmitTaskStateChange',
      ],
      [this.cluster.clusterArn],
    );
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['ecs:Poll', 'ecs:StartTelemetrySession', 'ecs:UpdateContainerInstancesState'],
        resources: ['*'],
        conditions: { ArnEquals: { 'ecs:cluster': this.cluster.clusterArn } },
      }),
    );
    allow(role, ['ecs:DiscoverPollEndpoint'], ['*']);
    return role;
  }

  #createTask(worker: Worker): ecs.Ec2TaskDefinition {
    const task = new ecs.Ec2TaskDefinition(this, 'Task', {
      // Tasks with an interface of their own get no public address on EC2 machines.
      networkMode: ecs.NetworkMode.HOST,
      taskRole: worker.role,
      executionRole: worker.executionRole,
    });
    task.addContainer('Worker', {
      image: worker.image,
      environment: { ...worker.environment },
      logging: worker.logging,
      gpuCount: 1,
      memoryReservationMiB: settingsOf(this).workerMemoryMebibytes,
      stopTimeout: Duration.seconds(STOP_SECONDS),
      healthCheck: {
        command: HEALTH_COMMAND,
        interval: Duration.seconds(15),
        timeout: Duration.seconds(5),
        retries: 3,
        // The longest there is: a model is fetched and loaded in it.
        startPeriod: Duration.seconds(300),
      },
    });
    return task;
  }

  /**
   * As many as there are now: 0 when the service is first made, and after that whatever `AwsFleet`
   * has asked for. Looked up again whenever a deployment changes the workers.
   */
  #desiredCount(task: ecs.Ec2TaskDefinition): number {
    const lookUp = new AppFunction(this, 'DesiredCount', {
      description: 'Tells a deployment how many workers there are, so that it leaves them',
      folder: 'desired-count',
      environment: {},
      timeout: Duration.seconds(30),
    });
    allow(
      lookUp.role!,
      ['ecs:DescribeServices'],
      [
        Stack.of(this).formatArn({
          service: 'ecs',
          resource: 'service',
          resourceName: `${this.cluster.clusterName}/${SERVICE_NAME}`,
        }),
      ],
    );
    const count = new CustomResource(this, 'DesiredCountNow', {
      serviceToken: lookUp.functionArn,
      resourceType: 'Custom::DesiredCount',
      serviceTimeout: Duration.minutes(2),
      properties: {
        Cluster: this.cluster.clusterName,
        Service: SERVICE_NAME,
        TaskDefinition: task.taskDefinitionArn,
      },
    });
    // The function must be allowed to look before it is asked.
    count.node.addDependency(lookUp.role!);
    return Token.asNumber(count.getAtt('DesiredCount'));
  }
}
