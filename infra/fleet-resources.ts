import type * as iam from 'aws-cdk-lib/aws-iam';

/** Resources of the GPU pools that the workflow uses. */
export interface FleetResources {
  /** ECS cluster and service of the interactive pool. */
  clusterName: string;
  serviceName: string;
  serviceArn: string;
  clusterArn: string;
  /** Auto Scaling group of the interactive machines. */
  machinesName: string;
  /** Batch job queue of the backfill pool. */
  jobQueueArn: string;
  /**
   * Job definition of drain jobs, without revision: every change to a worker creates a new revision and
   * deregisters the previous one.
   */
  jobDefinitionName: string;
  /** Roles of the workers. */
  workerRoles: iam.IRole[];
}
