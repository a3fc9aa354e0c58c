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

/** vCPUs reserved for the machine's agents. */
const SYSTEM_VCPUS = 1;

/** Maximum of Batch; Spot machines may be interrupted often. */
const ATTEMPTS = 10;

/** Timeout of a drain job, well above a normal run. */
const MAX_JOB = Duration.hours(24);

/** Longer than the transient reasons while a machine boots; a job that is still stuck needs an operator. */
const STUCK_AFTER = Duration.minutes(30);

/** Spot and On-Demand capacity can both be unavailable for a while. */
const NO_CAPACITY_AFTER = Duration.hours(4);

/**
 * Workers for backfills: Batch jobs that load the model once, drain the queue and end, on Spot machines and
 * then On-Demand ones. `AwsFleet` submits jobs in proportion to the length of the queue.
 */
export class BackfillPool extends Construct {
  readonly jobQueue: batch.JobQueue;
  /** Name for SubmitJob, with which Batch uses the latest active revision. */
  readonly jobDefinitionName: string;

  constructor(scope: Construct, id: string, { network, worker }: BackfillPoolProps) {
    super(scope, id);
    const { backfillPurchase } = settingsOf(this);
    const role = this.#machineRole();
    const userData = new ec2.MultipartUserData();
    const commands = ec2.UserData.forLinux();
    commands.addCommands(...AGENT_SETTINGS);
    // Batch adds its own part.
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

  /** Uses AWS's managed policy, because Batch creates the cluster. */
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
      // Otherwise every change replaces the environment.
      replaceComputeEnvironment: false,
      terminateOnUpdate: false,
      updateTimeout: Duration.minutes(30),
    });
    const resource = environment.node.defaultChild as batch.CfnComputeEnvironment;
    // Otherwise it keeps the first version.
    resource.addPropertyOverride(
      'ComputeResources.LaunchTemplate.Version',
      launchTemplate.latestVersionNumber,
    );
    // Tags of the machines; the construct's tags apply to the environment.
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
      timeout: MAX_JOB,
      retryAttempts: ATTEMPTS,
      retryStrategies: [
        batch.RetryStrategy.of(batch.Action.RETRY, batch.Reason.SPOT_INSTANCE_RECLAIMED),
        batch.RetryStrategy.of(batch.Action.RETRY, batch.Reason.CANNOT_PULL_CONTAINER),
        // The next fleet run finds the remaining messages.
        batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom({ onReason: '*' })),
      ],
      propagateTags: true,
    });
  }
}
