import type * as iam from 'aws-cdk-lib/aws-iam';

/** What of the GPU machines the workflow wakes, and who of them answers it. */
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
   * What a drain job of the backfill pool is, whatever its revision: every change to a worker makes
   * another one and takes the one before it away.
   */
  jobDefinitionName: string;
  /** Whom the workers act as. */
  workerRoles: iam.IRole[];
}
