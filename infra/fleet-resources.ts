import type * as iam from 'aws-cdk-lib/aws-iam';

/** What of the GPU machines the workflow wakes, and who of them answers it. */
export interface FleetResources {
  /** ECS cluster and service of the interactive pool. */
  clusterName: string;
  serviceName: string;
  serviceArn: string;
  /** Batch job queue and definition of the backfill pool. */
  jobQueueArn: string;
  jobDefinitionArn: string;
  /** Whom the workers act as. */
  workerRoles: iam.IRole[];
}
