/** A finding of the AWS Solutions rules that is as it should be. */
export interface AcknowledgedFinding {
  /** The rule, and what it found where it says so. */
  finding: RegExp;
  /** Path of the construct that it was found in. */
  path: RegExp;
  reason: string;
}

/** Every exception in one place. A test holds each to be in use. */
export const ACKNOWLEDGED_FINDINGS: readonly AcknowledgedFinding[] = [
  {
    finding: /^AwsSolutions-S1$/,
    path: /^FlexCacheStorage\/(Latents|Videos)\//,
    reason:
      'Functions and workers, the only ones that may read and write here, log what they do with the id of its video. Logs of every request would outgrow the small objects they are about.',
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
      'Container Insights bills metrics while nothing runs. The workers write their own, and the dashboard shows them.',
  },
  {
    finding: /^AwsSolutions-ECS2$/,
    path: /^FlexCacheGpu\/Interactive\/Task\//,
    reason: 'Names of the table, buckets and queue; none of them is a secret.',
  },
  {
    finding: /^AwsSolutions-AS3$/,
    path: /^FlexCacheGpu\/Interactive\/Machines\//,
    reason:
      'Machines come and go with the work, many times a day. What is out of the ordinary, GPU hours without work, has an alarm.',
  },
  {
    finding: /^AwsSolutions-EC26$/,
    path: /^FlexCacheGpu\/Interactive\/Machines\//,
    reason:
      'Their disks are encrypted by the launch template, which the rule does not look for in a policy of mixed instances. A test does.',
  },
  {
    finding: /^AwsSolutions-IAM4\[.*AmazonEC2ContainerServiceforEC2Role\]$/,
    path: /^FlexCacheGpu\/Backfill\/MachineRole\//,
    reason: 'Batch asks for this policy by name, for a cluster whose ARN it alone knows.',
  },
  {
    finding: /^AwsSolutions-SF1$/,
    path: /^FlexCacheWorkflow\/(Generate|Backfill)\//,
    reason:
      'An execution keeps its whole history for 90 days. Logging every event as well would cost more than the steps, and errors are logged.',
  },
  {
    finding: /^AwsSolutions-APIG4$/,
    path: /^FlexCacheApi\/HttpApi\//,
    reason:
      'The function checks the bearer key of every request, with limits and an answer in the dialect of the API that an authorizer could not give. What is said about the API itself is public.',
  },
  {
    finding:
      /^AwsSolutions-IAM5\[Resource::.*\/(latents|checkpoints|inputs|videos|backfills|uploads|reports)\/\*\]$/,
    path: /Role\/DefaultPolicy\//,
    reason: 'Objects under one prefix of one bucket; they get their names when they are written.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::.*:execution:.*\*\]$/,
    path: /^(FlexCacheWorkflow\/Backfill\/(Role\/DefaultPolicy|DistributedMapPolicy)|FlexCache(Api\/ApiRole|Retention\/ReportRole)\/DefaultPolicy)\//,
    reason: 'Executions of one state machine; each gets its ARN when it starts.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::<\w+\.Arn>:\*\]$/,
    path: /^FlexCacheWorkflow\/(Generate|Backfill)\/Role\/DefaultPolicy\//,
    reason: 'Versions of one function, which a state machine may name; there are none.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::\*\]$/,
    path: /^FlexCacheWorkflow\/(Generate|Backfill)\/Role\/DefaultPolicy\//,
    reason: 'Delivery of logs and traces, whose actions know no resource.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::\*\]$/,
    path: /^FlexCacheWorkflow\/(Dispatch|Fleet)Role\/DefaultPolicy\//,
    reason: 'ListJobs of Batch, with which drain jobs are counted, knows no resource.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::.*:job-definition\/FlexCacheGpu-drain:\*\]$/,
    path: /^FlexCacheWorkflow\/(Dispatch|Fleet)Role\/DefaultPolicy\//,
    reason: 'Revisions of one job definition; each change to the worker makes another.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::.*:(task|container-instance)\/.*\/\*\]$/,
    path: /^(FlexCacheGpu\/InteractiveWorker\/Role|FlexCacheWorkflow\/FleetRole)\/DefaultPolicy\//,
    reason: 'Tasks and machines of one cluster; each gets its ARN when it starts.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::.*:autoScalingGroup:\*:autoScalingGroupName\/.*\]$/,
    path: /^FlexCacheWorkflow\/FleetRole\/DefaultPolicy\//,
    reason: 'One group by its name; the other part of its ARN nobody can look up.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::\*\]$/,
    path: /^FlexCacheGpu\/\w+Worker\/ExecutionRole\/DefaultPolicy\//,
    reason: 'The token with which images are fetched belongs to no repository.',
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::\*\]$/,
    path: /^FlexCacheGpu\/Interactive\/MachineRole\/DefaultPolicy\//,
    reason:
      'A machine gets its ARN when it registers, so a condition holds it to its cluster. DiscoverPollEndpoint knows no resource.',
  },
];
