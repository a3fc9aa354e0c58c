import { HOURS_PER_MONTH, type MonthlyUsage } from '#core/costs/idle-cost.ts';

/** A template of CloudFormation, as far as it is looked at. */
export interface Template {
  Resources?: Record<string, Resource>;
}

interface Resource {
  Type: string;
  Properties?: Record<string, unknown>;
}

/** What is assumed of a deployment of which the templates say nothing. */
export interface StandingAssumptions {
  /** The worker's image, compressed, in ECR. */
  imageGigabytes: number;
  /** Code of the functions and their layers, in the bucket of the CDK's bootstrap. */
  assetGigabytes: number;
  /** A scheduled call that finds nothing to do. */
  secondsPerCall: number;
  /** Its lines of log, which are Lambda's own; a quiet function has none. */
  logBytesPerCall: number;
}

export const ASSUMPTIONS: StandingAssumptions = {
  imageGigabytes: 5,
  assetGigabytes: 0.3,
  secondsPerCall: 0.5,
  logBytesPerCall: 1500,
};

/** Types that cost nothing while nobody uses them, or nothing at all. */
const FREE_TYPES: ReadonlySet<string> = new Set([
  'AWS::ApiGatewayV2::Api',
  'AWS::ApiGatewayV2::ApiMapping',
  'AWS::ApiGatewayV2::DomainName',
  'AWS::ApiGatewayV2::Integration',
  'AWS::ApiGatewayV2::Route',
  'AWS::ApiGatewayV2::Stage',
  // Without a machine.
  'AWS::AutoScaling::AutoScalingGroup',
  'AWS::AutoScaling::LifecycleHook',
  'AWS::Batch::ComputeEnvironment',
  'AWS::Batch::JobDefinition',
  'AWS::Batch::JobQueue',
  'AWS::Budgets::Budget',
  'AWS::CDK::Metadata',
  'AWS::DynamoDB::GlobalTable',
  'AWS::EC2::FlowLog',
  'AWS::EC2::InternetGateway',
  'AWS::EC2::LaunchTemplate',
  'AWS::EC2::Route',
  'AWS::EC2::RouteTable',
  'AWS::EC2::SecurityGroup',
  'AWS::EC2::Subnet',
  'AWS::EC2::SubnetRouteTableAssociation',
  'AWS::EC2::VPC',
  'AWS::EC2::VPCGatewayAttachment',
  'AWS::ECS::CapacityProvider',
  'AWS::ECS::Cluster',
  'AWS::ECS::ClusterCapacityProviderAssociations',
  'AWS::ECS::Service',
  'AWS::ECS::TaskDefinition',
  'AWS::IAM::InstanceProfile',
  'AWS::IAM::Policy',
  'AWS::IAM::Role',
  'AWS::Lambda::LayerVersion',
  'AWS::Lambda::Permission',
  'AWS::Logs::LogGroup',
  'AWS::Logs::ResourcePolicy',
  'AWS::S3::Bucket',
  'AWS::S3::BucketPolicy',
  'AWS::S3Vectors::Index',
  'AWS::S3Vectors::VectorBucket',
  'AWS::SNS::Subscription',
  'AWS::SNS::Topic',
  'AWS::SNS::TopicPolicy',
  'AWS::SQS::Queue',
  'AWS::SQS::QueuePolicy',
  'AWS::StepFunctions::StateMachine',
  // Runs while a stack is changed.
  'Custom::DesiredCount',
]);

const FUNCTION = 'AWS::Lambda::Function';

/**
 * Lambda keeps five long polls of 20 seconds open on every queue that calls a function, and each is
 * charged (aws.amazon.com/premiumsupport/knowledge-center/sqs-high-charges).
 */
const POLLS_PER_MONTH = (5 * HOURS_PER_MONTH * 3600) / 20;

const BYTES_PER_GIGABYTE = 2 ** 30;

/** A function that the schedules call, and what it asks of other services each time. */
const CALLS_OF: Readonly<
  Record<string, Partial<Record<'sqs.request' | 'dynamodb.read-unit' | 's3.put-request', number>>>
> = {
  // Two queues, and every tenth time the four of what went wrong.
  Fleet: { 'sqs.request': 2.4, 'dynamodb.read-unit': 2 },
  Evict: { 'dynamodb.read-unit': 1 },
  Sweep: { 'dynamodb.read-unit': 2 },
  // Three days of nothing, and the look for what was kept before each of them.
  Report: { 'dynamodb.read-unit': 70, 's3.put-request': 3 },
};

/**
 * What the stacks use every month with nothing stored and nobody asking.
 *
 * @throws Error on a resource of a type that nobody has said the price of: it must not be taken for free.
 */
export function standingUse(
  templates: readonly Template[],
  assumptions: StandingAssumptions = ASSUMPTIONS,
): MonthlyUsage[] {
  const resources = templates.flatMap((template) => Object.entries(template.Resources ?? {}));
  const uses: MonthlyUsage[] = [];
  let alarmMetrics = 0;
  let dashboards = 0;
  let polledQueues = 0;
  for (const [id, resource] of resources) {
    const { Type: type, Properties: properties = {} } = resource;
    if (type === 'AWS::CloudWatch::Alarm') alarmMetrics += metricsOf(properties);
    else if (type === 'AWS::CloudWatch::Dashboard') dashboards++;
    else if (type === 'AWS::Lambda::EventSourceMapping') polledQueues++;
    else if (type === 'AWS::Scheduler::Schedule' || type === 'AWS::Events::Rule') {
      uses.push(...scheduled(id, resource, resources, assumptions));
    } else if (type !== FUNCTION && !FREE_TYPES.has(type) && !isGatewayEndpoint(resource)) {
      throw new Error(
        `nobody has said what ${id} of type ${type} costs while idle: bench/monthly-usage.ts`,
      );
    }
  }
  return [
    {
      what: `alarms on ${alarmMetrics} metrics`,
      priceId: 'cloudwatch.alarm',
      quantity: alarmMetrics,
    },
    ...(dashboards === 0
      ? []
      : [
          {
            what: `dashboards, ${dashboards}`,
            priceId: 'cloudwatch.dashboard' as const,
            quantity: dashboards,
          },
        ]),
    {
      what: `the worker's image, ${assumptions.imageGigabytes} GB`,
      priceId: 'ecr.storage',
      quantity: assumptions.imageGigabytes,
    },
    {
      what: `Lambda's polls of ${polledQueues} empty queues`,
      priceId: 'sqs.request',
      quantity: polledQueues * POLLS_PER_MONTH,
    },
    ...uses,
    {
      what: `the functions' code, ${assumptions.assetGigabytes} GB`,
      priceId: 's3.storage.standard',
      quantity: assumptions.assetGigabytes,
    },
  ];
}

/** An alarm on an expression is paid by the metrics in it. */
function metricsOf(properties: Record<string, unknown>): number {
  const metrics = properties['Metrics'] as { MetricStat?: unknown }[] | undefined;
  return metrics === undefined ? 1 : metrics.filter(({ MetricStat }) => MetricStat).length;
}

function isGatewayEndpoint({ Type: type, Properties: properties }: Resource): boolean {
  return type === 'AWS::EC2::VPCEndpoint' && properties?.['VpcEndpointType'] === 'Gateway';
}

/** Lambda says nothing of its calls that went well. */
function isQuiet({ Properties: properties }: Resource): boolean {
  const logging = properties?.['LoggingConfig'] as { SystemLogLevel?: string } | undefined;
  return logging?.SystemLogLevel === 'WARN';
}

function scheduled(
  id: string,
  { Type: type, Properties: properties = {} }: Resource,
  resources: readonly [string, Resource][],
  { secondsPerCall, logBytesPerCall }: StandingAssumptions,
): MonthlyUsage[] {
  const expression = properties['ScheduleExpression'];
  // A rule on events that do not happen.
  if (typeof expression !== 'string') return [];
  const calls = callsPerMonth(expression);
  const target = JSON.stringify(properties['Target'] ?? properties['Targets']);
  const [functionId, lambda] =
    resources.find(([name, { Type }]) => Type === FUNCTION && target.includes(`"${name}"`)) ?? [];
  if (functionId === undefined) throw new Error(`the target of ${id} is no function of the stacks`);
  const name = Object.keys(CALLS_OF).find((known) => functionId.startsWith(known));
  if (name === undefined) throw new Error(`nobody has said what a call of ${functionId} uses`);
  const gigabytes = ((lambda?.Properties?.['MemorySize'] as number | undefined) ?? 128) / 1024;
  const what = `the ${name.toLowerCase()} function, ${Math.round(calls)} calls`;
  return [
    ...(type === 'AWS::Scheduler::Schedule'
      ? [{ what, priceId: 'scheduler.invocation' as const, quantity: calls }]
      : []),
    { what, priceId: 'lambda.request', quantity: calls },
    {
      what,
      priceId: 'lambda.gb-second.x86_64',
      quantity: calls * secondsPerCall * gigabytes,
    },
    ...Object.entries(CALLS_OF[name]!).map(([priceId, each]) => ({
      what,
      priceId: priceId as MonthlyUsage['priceId'],
      quantity: calls * each,
    })),
    {
      what,
      priceId: 'cloudwatch.logs-ingested',
      quantity: isQuiet(lambda!) ? 0 : (calls * logBytesPerCall) / BYTES_PER_GIGABYTE,
    },
  ];
}

const MINUTES: Readonly<Record<string, number>> = { minute: 1, hour: 60, day: 1440 };
const DAYS_PER_WEEK = 7;

/** @throws Error when the expression is none of those that the settings have. */
export function callsPerMonth(expression: string): number {
  const minutesPerMonth = HOURS_PER_MONTH * 60;
  const [, count, unit] = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(expression) ?? [];
  if (unit !== undefined) return minutesPerMonth / (Number(count) * MINUTES[unit]!);
  const [, day] = /^cron\(\d+ \d+ \? \* (\*|[A-Z]{3}) \*\)$/.exec(expression) ?? [];
  if (day === undefined) throw new Error(`cannot count the calls of schedule "${expression}"`);
  const perDay = minutesPerMonth / MINUTES['day']!;
  return day === '*' ? perDay : perDay / DAYS_PER_WEEK;
}
