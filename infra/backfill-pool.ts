import { Duration, Size, Stack, Tags } from 'aws-cdk-lib';
import * as batch from 'aws-cdk-lib/aws-batch';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { DENOISER_VARIABLES } from '#denoiser/variables.ts';
import { AGENT_SETTINGS, gpuMachine } from './gpu-machine.ts';
import { settingsOf, vcpusOf } from './settings.ts';
import type { Worker } from './worker.ts';
import type { WorkerNetwork } from './worker-network.ts';

export interface BackfillPoolProps {
  network: WorkerNetwork;
  worker: Worker;
}

/** Left to the machine's own agents. */
const SYSTEM_VCPUS = 1;

/** The most that Batch takes; a Spot machine may be taken away often. */
const ATTEMPTS = 10;

/** A drain job that still runs then is not draining. */
const LONGEST_JOB = Duration.hours(24);

/** Reasons pass while a machine boots; what stays has to be looked at by a person. */
const STUCK_AFTER = Duration.minutes(30);

/** Spot and On-Demand machines may both be short for a while. */
const NO_CAPACITY_AFTER = Duration.hours(4);

/**
 * Workers for backfills: jobs that load the model once, empty the queue and end, on Spot machines
 * first and on On-Demand ones where there are none. `AwsFleet` submits as many as the queue is long.
 */
export class BackfillPool extends Construct {
  readonly jobQueue: batch.JobQueue;
  /** Whoever submits a job names it by this, and Batch takes the newest active revision. */
  readonly jobDefinitionName: string;

  constructor(scope: Construct, id: string, { network, worker }: BackfillPoolProps) {
    super(scope, id);
    const { backfillPurchase } = settingsOf(this);
    const role = this.#machineRole();
    const userData = new ec2.MultipartUserData();
    const commands = ec2.UserData.forLinux();
    commands.addCommands(...AGENT_SETTINGS);
    // Batch adds its own part to it.
    userData.addUserDataPart(commands, ec2.MultipartBody.SHELL_SCRIPT, true);
    const launchTemplate = gpuMachine(this, 'Machine', {
      machineImage: null,
      role: null,
      securityGroup: null,
      userData,
    });
    const environment = (name: string, spot: boolean) =>
      this.#createEnvironment(name, { network, role, launchTemplate, spot });
    const environments = [
      ...(backfillPurchase === 'on-demand' ? [] : [environment('Spot', true)]),
      ...(backfillPurchase === 'spot' ? [] : [environment('OnDemand', false)]),
    ];
    this.jobQueue = this.#createJobQueue(environments);
    this.jobDefinitionName = `${Stack.of(this).stackName}-drain`;
    this.#createJobDefinition(worker);
    Tags.of(this).add('workload', 'backfill');
  }

  /** Batch makes the cluster of these machines and names it, so AWS's own policy it is. */
  #machineRole(): iam.Role {
    const role = new iam.Role(this, 'MachineRole', {
      description: 'The ECS agent of the backfill machines',
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
      managedPolicies: [
        iam.ManagedPolicy.fromAwsManagedPolicyName(
          'service-role/AmazonEC2ContainerServiceforEC2Role',
        ),
      ],
    });
    return role;
  }

  #createEnvironment(
    id: string,
    {
      network,
      role,
      launchTemplate,
      spot,
    }: {
      network: WorkerNetwork;
      role: iam.Role;
      launchTemplate: ec2.LaunchTemplate;
      spot: boolean;
    },
  ): batch.ManagedEc2EcsComputeEnvironment {
    const { backfillInstanceTypes, backfillMax } = settingsOf(this);
    const environment = new batch.ManagedEc2EcsComputeEnvironment(this, id, {
      vpc: network.vpc,
      vpcSubnets: network.subnets,
      securityGroups: [network.securityGroup],
      instanceTypes: backfillInstanceTypes.map((type) => new ec2.InstanceType(type)),
      useOptimalInstanceClasses: false,
      images: [{ imageType: batch.EcsMachineImageType.ECS_AL2023_NVIDIA }],
      launchTemplate,
      instanceRole: role,
      spot,
      allocationStrategy: spot
        ? batch.AllocationStrategy.SPOT_PRICE_CAPACITY_OPTIMIZED
        : batch.AllocationStrategy.BEST_FIT_PROGRESSIVE,
      minvCpus: 0,
      maxvCpus: backfillMax * Math.max(...backfillInstanceTypes.map(vcpusOf)),
      updateToLatestImageVersion: true,
      // Without it every change would ask for a new environment.
      replaceComputeEnvironment: false,
      terminateOnUpdate: false,
      updateTimeout: Duration.minutes(30),
    });
    const resource = environment.node.defaultChild as batch.CfnComputeEnvironment;
    // Without a version it would keep the first one.
    resource.addPropertyOverride(
      'ComputeResources.LaunchTemplate.Version',
      launchTemplate.latestVersionNumber,
    );
    // The machines themselves: the construct's tags are the environment's.
    resource.addPropertyOverride('ComputeResources.Tags', {
      project: 'flexcache',
      workload: 'backfill',
    });
    return environment;
  }

  #createJobQueue(environments: batch.ManagedEc2EcsComputeEnvironment[]): batch.JobQueue {
    const cancel = (reason: batch.JobStateTimeLimitActionsReason, maxTime: Duration) => ({
      reason,
      maxTime,
      state: batch.JobStateTimeLimitActionsState.RUNNABLE,
      action: batch.JobStateTimeLimitActionsAction.CANCEL,
    });
    const reasons = batch.JobStateTimeLimitActionsReason;
    return new batch.JobQueue(this, 'Jobs', {
      priority: 1,
      computeEnvironments: environments.map((computeEnvironment, index) => ({
        computeEnvironment,
        order: index + 1,
      })),
      jobStateTimeLimitActions: [
        cancel(reasons.COMPUTE_ENVIRONMENT_MAX_RESOURCE, STUCK_AFTER),
        cancel(reasons.JOB_RESOURCE_REQUIREMENT, STUCK_AFTER),
        cancel(reasons.INSUFFICIENT_INSTANCE_CAPACITY, NO_CAPACITY_AFTER),
      ],
    });
  }

  #createJobDefinition(worker: Worker): void {
    const { backfillInstanceTypes, workerMemoryMebibytes } = settingsOf(this);
    new batch.EcsJobDefinition(this, 'Drain', {
      jobDefinitionName: this.jobDefinitionName,
      container: new batch.EcsEc2ContainerDefinition(this, 'Container', {
        image: worker.image,
        cpu: Math.min(...backfillInstanceTypes.map(vcpusOf)) - SYSTEM_VCPUS,
        memory: Size.mebibytes(workerMemoryMebibytes),
        gpu: 1,
        jobRole: worker.role,
        executionRole: worker.executionRole,
        logging: worker.logging,
        environment: { ...worker.environment, [DENOISER_VARIABLES.stopWhenEmpty]: 'true' },
      }),
      timeout: LONGEST_JOB,
      retryAttempts: ATTEMPTS,
      retryStrategies: [
        batch.RetryStrategy.of(batch.Action.RETRY, batch.Reason.SPOT_INSTANCE_RECLAIMED),
        batch.RetryStrategy.of(batch.Action.RETRY, batch.Reason.CANNOT_PULL_CONTAINER),
        // What is left in the queue is found by the next look at it.
        batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom({ onReason: '*' })),
      ],
      propagateTags: true,
    });
  }
}
