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

/** Unique in its cluster, whose name CloudFormation generates. Looked up by name before it is created. */
const SERVICE_NAME = 'interactive-worker';

/** `containers/denoiser/health.ts` in the image. ECS ignores a HEALTHCHECK of the image itself. */
const HEALTH_COMMAND = ['CMD', 'node', 'health.js'];

/** Time to boot, pull the image and load the model, before scaling considers another machine. */
const MACHINE_WARM_UP = Duration.minutes(5);

/**
 * Workers for interactive videos: an ECS service on machines that scale with it. `AwsFleet` sets the
 * desired count.
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
    // Used by the agent in the role of the worker: scale-in does not stop a worker that holds a message.
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
      // A worker takes a whole machine: the new one needs the machine of the old one.
      minHealthyPercent: 0,
      maxHealthyPercent: 100,
      circuitBreaker: { rollback: true },
      enableECSManagedTags: true,
      propagateTags: ecs.PropagatedTagSource.SERVICE,
    });
    // A separate resource associates the capacity provider with the cluster.
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
      // Otherwise the cluster adds every action that starts with `ecs:Submit`.
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

  /** Grants the ECS agent of a machine exactly the actions it needs, for this cluster only. */
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
        // These use the cluster as the resource and do not support the condition `ecs:cluster`.
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
      // On EC2, tasks with their own network interface get no public address.
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
        // The maximum: a model is downloaded and loaded in it.
        startPeriod: Duration.seconds(300),
      },
    });
    return task;
  }

  /**
   * Returns the current desired count: 0 for a new service, then whatever `AwsFleet` has set. Looked up
   * whenever a deployment changes the workers.
   */
  #desiredCount(task: ecs.Ec2TaskDefinition): number {
    const lookUp = new AppFunction(this, 'DesiredCount', {
      description: 'Returns the current number of workers, so that a deployment keeps it',
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
    // The function needs its permission before it is called.
    count.node.addDependency(lookUp.role!);
    return Token.asNumber(count.getAtt('DesiredCount'));
  }
}
