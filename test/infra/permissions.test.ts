import { describe, expect, it } from 'vitest';
import { conditionedActionsOf } from './condition-keys.ts';
import { permissionsOf, type Permissions } from './permissions.ts';
import { synthesizeStacks } from './stack-template.ts';

const { roles, assembly } = synthesize();

function synthesize() {
  const made = synthesizeStacks();
  return { assembly: made, roles: permissionsOf(made) };
}

const TABLE = (...actions: string[]): string[] => actions.map((action) => `dynamodb:${action}`);
const VECTORS = (...actions: string[]): string[] => actions.map((action) => `s3vectors:${action}`);
const OBJECTS = (...actions: string[]): string[] => actions.map((action) => `s3:${action}Object`);
const LIST = ['s3:ListBucket'];
const QUERY = ['dynamodb:Query'];
const SEND = ['sqs:SendMessage'];
const TAKE = ['sqs:DeleteMessage', 'sqs:ReceiveMessage'];
const CONSUME = [
  'ChangeMessageVisibility',
  'DeleteMessage',
  'GetQueueAttributes',
  'GetQueueUrl',
  'ReceiveMessage',
].map((action) => `sqs:${action}`);
const DRAIN_JOB =
  'arn:AWS::Partition:batch:AWS::Region:AWS::AccountId:job-definition/FlexCacheGpu-drain';
const WAKE: Permissions = {
  InteractiveService: ['ecs:DescribeServices', 'ecs:UpdateService'],
  BackfillJobs: ['batch:SubmitJob'],
  [DRAIN_JOB]: ['batch:SubmitJob'],
  [`${DRAIN_JOB}:*`]: ['batch:SubmitJob'],
  '*': ['batch:ListJobs'],
};
const ECS = 'arn:AWS::Partition:ecs:AWS::Region:AWS::AccountId:';
const MACHINES =
  'arn:AWS::Partition:autoscaling:AWS::Region:AWS::AccountId:autoScalingGroup:*:autoScalingGroupName/InteractiveMachinesASG';
const EXECUTIONS = 'arn:AWS::Partition:states:AWS::Region:AWS::AccountId:execution:';

const worker = (queue: string): Permissions => ({
  Table: TABLE('DeleteItem', 'GetItem', 'UpdateItem'),
  Latents: LIST,
  'Latents/latents/*': OBJECTS('Get', 'Put'),
  'Latents/checkpoints/*': OBJECTS('Delete', 'Get', 'Put'),
  'Latents/inputs/*': OBJECTS('Get'),
  'Videos/videos/*': OBJECTS('Put'),
  [queue]: ['ChangeMessageVisibility', 'DeleteMessage', 'ReceiveMessage', 'SendMessage'].map(
    (action) => `sqs:${action}`,
  ),
  Generate: ['states:SendTaskFailure', 'states:SendTaskHeartbeat', 'states:SendTaskSuccess'],
});

/** Everything that our code may do in an account. */
const EXPECTED: Record<string, Permissions> = {
  Embed: { Table: TABLE('GetItem', 'UpdateItem') },
  Lookup: {
    Table: TABLE('BatchGetItem', 'GetItem', 'Query', 'UpdateItem'),
    'Table/index/ready-by-exact-key': QUERY,
    'Table/index/ready-by-prompt-key': QUERY,
    VectorIndex: VECTORS('GetVectors', 'QueryVectors'),
    Videos: LIST,
    'Videos/videos/*': OBJECTS('Get'),
  },
  Dispatch: {
    Table: TABLE('GetItem', 'PutItem', 'UpdateItem'),
    InteractiveQueue: ['sqs:GetQueueAttributes', 'sqs:SendMessage'],
    BackfillQueue: ['sqs:GetQueueAttributes', 'sqs:SendMessage'],
    ...WAKE,
  },
  Commit: {
    Table: TABLE('BatchGetItem', 'DeleteItem', 'GetItem', 'PutItem', 'UpdateItem'),
    'Table/index/ready-by-prompt-key': QUERY,
    VectorIndex: VECTORS('DeleteVectors', 'PutVectors'),
    WebhooksQueue: SEND,
  },
  Fail: {
    Table: TABLE('DeleteItem', 'GetItem', 'PutItem', 'UpdateItem'),
    WebhooksQueue: SEND,
    LostEnds: SEND,
  },
  Prepare: {
    Table: TABLE('GetItem', 'UpdateItem'),
    Latents: LIST,
    'Latents/uploads/*': OBJECTS('Get'),
    'Latents/backfills/*': OBJECTS('Get', 'Put'),
  },
  Submit: { Table: TABLE('GetItem', 'PutItem', 'UpdateItem') },
  Close: {
    Table: TABLE('GetItem', 'PutItem', 'Query', 'UpdateItem'),
    Latents: LIST,
    'Latents/backfills/*': OBJECTS('Get'),
    WebhooksQueue: SEND,
    LostEnds: SEND,
  },
  Fleet: {
    Table: TABLE('GetItem', 'UpdateItem'),
    InteractiveQueue: ['sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'],
    BackfillQueue: ['sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'],
    ...WAKE,
    InteractiveCluster: ['ecs:ListContainerInstances'],
    [`${ECS}container-instance/InteractiveCluster/*`]: ['ecs:DescribeContainerInstances'],
    [MACHINES]: ['autoscaling:TerminateInstanceInAutoScalingGroup'],
    Generate: ['states:SendTaskFailure'],
    InteractiveDeadLetters: TAKE,
    BackfillDeadLetters: TAKE,
    LostEnds: TAKE,
    WebhooksDeadLetters: ['sqs:GetQueueAttributes'],
    Fail: ['lambda:InvokeFunction'],
    Close: ['lambda:InvokeFunction'],
  },
  Api: {
    Table: TABLE('BatchGetItem', 'DeleteItem', 'GetItem', 'PutItem', 'Query', 'UpdateItem'),
    'Table/index/by-owner': QUERY,
    'Table/index/ready-by-exact-key': QUERY,
    VectorIndex: VECTORS('DeleteVectors'),
    Latents: LIST,
    'Latents/backfills/*': OBJECTS('Get', 'Put'),
    'Latents/inputs/*': OBJECTS('Put'),
    Videos: LIST,
    'Videos/videos/*': OBJECTS('Get'),
    WebhooksQueue: SEND,
    Predict: ['lambda:InvokeFunction'],
    Generate: ['states:StartExecution'],
    Backfill: ['states:StartExecution'],
    [`${EXECUTIONS}Generate:*`]: ['states:DescribeExecution', 'states:StopExecution'],
    [`${EXECUTIONS}Backfill:*`]: ['states:DescribeExecution', 'states:StopExecution'],
  },
  Predict: {
    Table: TABLE('BatchGetItem', 'GetItem'),
    'Table/index/by-owner': QUERY,
    'Table/index/ready-by-exact-key': QUERY,
    'Table/index/ready-by-prompt-key': QUERY,
    VectorIndex: VECTORS('GetVectors', 'QueryVectors'),
    Latents: LIST,
    'Latents/uploads/*': OBJECTS('Get'),
    Videos: LIST,
    'Videos/videos/*': OBJECTS('Get'),
  },
  Webhook: {
    Table: TABLE('GetItem', 'Query', 'UpdateItem'),
    Latents: LIST,
    'Latents/backfills/*': OBJECTS('Get'),
    WebhooksQueue: CONSUME,
  },
  Evict: {
    Table: TABLE('DeleteItem', 'GetItem', 'PutItem', 'UpdateItem'),
    'Table/index/entries-by-state': QUERY,
    VectorIndex: VECTORS('DeleteVectors'),
    'Latents/latents/*': OBJECTS('Delete'),
  },
  Sweep: {
    Table: TABLE('GetItem', 'PutItem', 'Scan', 'UpdateItem'),
    VectorIndex: VECTORS('DeleteVectors', 'ListVectors', 'PutVectors'),
    Latents: LIST,
    'Latents/latents/*': OBJECTS('Delete', 'Get'),
    'Latents/checkpoints/*': OBJECTS('Delete', 'Get'),
    'Latents/inputs/*': OBJECTS('Delete', 'Get'),
    Videos: LIST,
    'Videos/videos/*': OBJECTS('Delete', 'Get'),
  },
  Report: {
    Table: TABLE('BatchGetItem', 'Query'),
    'Table/index/by-day': QUERY,
    'Latents/reports/*': OBJECTS('Put'),
    [`${EXECUTIONS}Generate:*`]: ['states:DescribeExecution'],
    Fail: ['lambda:InvokeFunction'],
  },
  InteractiveDesiredCount: {
    [`${ECS}service/InteractiveCluster/interactive-worker`]: ['ecs:DescribeServices'],
  },
  InteractiveWorker: {
    ...worker('InteractiveQueue'),
    [`${ECS}task/InteractiveCluster/*`]: ['ecs:UpdateTaskProtection'],
  },
  BackfillWorker: worker('BackfillQueue'),
};

/** Roles of machinery: state machines, schedules, machines and what starts containers on them. */
const MACHINERY = [
  'BackfillRole',
  'BackfillWorkerExecutionRole',
  'EvictScheduleRole',
  'GenerateRole',
  'InteractiveMachineRole',
  'InteractiveWorkerExecutionRole',
  'NetworkVpcRefusedIAMRole',
  'ReportScheduleRole',
  'SweepScheduleRole',
];

describe('what may be done', () => {
  it.each(Object.keys(EXPECTED))('by %s is what it does and no more', (name) => {
    // Assess
    expect(roles[`${name}Role`]).toEqual(EXPECTED[name]);
  });

  it('is known of every role there is', () => {
    // Assess
    const known = [...Object.keys(EXPECTED).map((name) => `${name}Role`), ...MACHINERY];
    expect(Object.keys(roles).sort()).toEqual(known.sort());
  });

  it('never has a wildcard for an action', () => {
    // Prepare
    const actions = Object.values(roles).flatMap((permissions) =>
      Object.values(permissions).flat(),
    );

    // Assess
    expect(actions.length).toBeGreaterThan(100);
    expect(actions.filter((action) => action.includes('*'))).toEqual([]);
  });

  it('is not widened by a policy that AWS manages, but for the machines of Batch', () => {
    // Prepare
    const managed = assembly.stacks.flatMap((stack) =>
      Object.entries(
        (stack.template as { Resources: Record<string, { Properties?: object }> }).Resources,
      ).filter(([, { Properties: properties = {} }]) => 'ManagedPolicyArns' in properties),
    );

    // Assess
    expect(managed.map(([logicalId]) => logicalId)).toEqual([
      expect.stringMatching(/^BackfillMachineRole/),
    ]);
  });

  it('is under no condition whose key the requests for that action do not carry', () => {
    // Prepare
    const conditioned = conditionedActionsOf(assembly.stacks);

    // Assess
    expect(conditioned.map(({ key }) => key)).toContain('ecs:cluster');
    expect(conditioned.filter(({ isKnown }) => !isKnown)).toEqual([]);
  });

  it('lets the agent of an interactive machine report what became of its tasks', () => {
    // Assess
    expect(roles['InteractiveMachineRole']).toMatchObject({
      InteractiveCluster: expect.arrayContaining([
        'ecs:SubmitAttachmentStateChanges',
        'ecs:SubmitContainerStateChange',
        'ecs:SubmitTaskStateChange',
      ]),
    });
  });
});
