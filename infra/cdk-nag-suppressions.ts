/** A finding of the AWS Solutions rules that is accepted. */
export interface AcknowledgedFinding {
  /** The rule, with its finding id if it has one. */
  finding: RegExp;
  /** Path of the construct. */
  path: RegExp;
  reason: string;
}

/** All exceptions. A test requires each to be in use. */
export const ACKNOWLEDGED_FINDINGS: readonly AcknowledgedFinding[] = [
  {
    finding: /^AwsSolutions-S1$/,
    path: /^FlexCacheStorage\/(Latents|Videos)\//,
    reason:
      'Only functions and workers have access, and they log their actions with the video id. Access logs would be larger than the small objects.',
  },
  {
    finding: /^AwsSolutions-SQS3$/,
    path: /^FlexCacheStorage\/LostEnds\//,
    reason: 'It is the dead-letter queue of functions and rules of another stack.',
  },
  {
    finding: /^AwsSolutions-ECS4$/,
    path: /^FlexCacheGpu\/Interactive\/Cluster\//,
    reason:
      'Container Insights bills metrics even while idle. The workers write their own, which the dashboard shows.',
  },
  {
    finding: /^AwsSolutions-ECS2$/,
    path: /^FlexCacheGpu\/Interactive\/Task\//,
    reason: 'The variables are names of the table, buckets and queue, not secrets.',
  },
  {
    finding: /^AwsSolutions-AS3$/,
    path: /^FlexCacheGpu\/Interactive\/Machines\//,
    reason:
      'The group scales with the work, many times a day. An alarm covers the exception, idle GPU hours.',
  },
  {
    finding: /^AwsSolutions-EC26$/,
    path: /^FlexCacheGpu\/Interactive\/Machines\//,
    reason:
      'The launch template encrypts the disks, but the rule does not check it in a mixed instances policy. A test does.',
  },
  {
    finding: /^AwsSolutions-IAM4\[.*AmazonEC2ContainerServiceforEC2Role\]$/,
    path: /^FlexCacheGpu\/Backfill\/MachineRole\//,
    reason: 'Batch requires this managed policy, for a cluster that it creates itself.',
  },
  {
    finding: /^AwsSolutions-SF1$/,
    path: /^FlexCacheWorkflow\/(Generate|Backfill)\//,
    reason:
      'Step Functions keeps the history of executions for 90 days, and errors are logged. Logging every event would cost more than the steps.',
  },
  {
    finding: /^AwsSolutions-APIG4$/,
    path: /^FlexCacheApi\/HttpApi\//,
    reason:
      'The function checks the bearer key of every request, and returns limits and errors in the format of the API, which an authorizer cannot. The API description is public.',
  },
  {
    finding:
      /^AwsSolutions-IAM5\[Resource::.*\/(latents|checkpoints|inputs|videos|backfills|uploads|reports)\/\*\]$/,
    path: /Role\/DefaultPolicy\//,
    reason: 'Objects under one prefix of one bucket; their keys are not known in advance.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::.*:execution:.*\*\]$/,
    path: /^(FlexCacheWorkflow\/Backfill\/(Role\/DefaultPolicy|DistributedMapPolicy)|FlexCache(Api\/ApiRole|Retention\/ReportRole)\/DefaultPolicy)\//,
    reason: 'Executions of one state machine; their ARNs are not known in advance.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::<\w+\.Arn>:\*\]$/,
    path: /^FlexCacheWorkflow\/(Generate|Backfill)\/Role\/DefaultPolicy\//,
    reason: 'Versions of one function that a state machine could call; there are none.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::\*\]$/,
    path: /^FlexCacheWorkflow\/(Generate|Backfill)\/Role\/DefaultPolicy\//,
    reason: 'Log delivery and tracing actions have no resource-level permissions.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::\*\]$/,
    path: /^FlexCacheWorkflow\/(Dispatch|Fleet)Role\/DefaultPolicy\//,
    reason: 'batch:ListJobs, which counts drain jobs, has no resource-level permissions.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::.*:job-definition\/FlexCacheGpu-drain:\*\]$/,
    path: /^FlexCacheWorkflow\/(Dispatch|Fleet)Role\/DefaultPolicy\//,
    reason: 'Revisions of one job definition; each change to the worker creates one.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::.*:(task|container-instance)\/.*\/\*\]$/,
    path: /^(FlexCacheGpu\/InteractiveWorker\/Role|FlexCacheWorkflow\/FleetRole)\/DefaultPolicy\//,
    reason: 'Tasks and machines of one cluster; their ARNs are not known in advance.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::.*:autoScalingGroup:\*:autoScalingGroupName\/.*\]$/,
    path: /^FlexCacheWorkflow\/FleetRole\/DefaultPolicy\//,
    reason: 'One group by name; its ARN also contains an id that CloudFormation does not return.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::\*\]$/,
    path: /^FlexCacheGpu\/\w+Worker\/ExecutionRole\/DefaultPolicy\//,
    reason: 'The authorization token for image pulls has no resource-level permissions.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::\*\]$/,
    path: /^FlexCacheGpu\/Interactive\/MachineRole\/DefaultPolicy\//,
    reason:
      'The ARN of a machine is not known in advance, so a condition restricts the actions to the cluster. DiscoverPollEndpoint has no resource-level permissions.',
  },
];
