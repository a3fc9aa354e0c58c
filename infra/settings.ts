import type { IConstruct } from 'constructs';
import { z } from 'zod';
import { isCorsOrigin } from '#core/requests/cors-origin.ts';
import { InvalidInputError } from '#core/errors.ts';
import { parseMeasuredPrices } from '#core/pricing/measured-prices.ts';
import { PRICE_REGIONS } from '#core/pricing/prices.ts';
import { MAX_BATCH } from '#models/step-batches.ts';

/** Log retention periods of CloudWatch, in days; a subset of those it accepts. */
const LOG_RETENTION_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 731, 1827];

/** Instance families with x86 CPUs and NVIDIA GPUs, as the worker image requires. */
const GPU_FAMILIES = ['g4dn', 'g5', 'g6', 'g6e', 'g7e', 'gr6'];

/** vCPUs by size, the same for all `GPU_FAMILIES`. */
const VCPUS_BY_SIZE: Readonly<Record<string, number>> = {
  xlarge: 4,
  '2xlarge': 8,
  '4xlarge': 16,
  '8xlarge': 32,
  '12xlarge': 48,
  '16xlarge': 64,
  '24xlarge': 96,
  '48xlarge': 192,
};

interface Knob<Schema extends z.ZodType = z.ZodType> {
  schema: Schema;
  /** Default, as in `cdk.json`. */
  standard: unknown;
  /** Description in docs/deploy.md. */
  meaning: string;
  /** Accepted values, for docs/deploy.md and error messages. */
  expected: string;
}

function setting<Schema extends z.ZodType>(
  schema: Schema,
  standard: unknown,
  expected: string,
  meaning: string,
): Knob<Schema> {
  return { schema, standard, meaning, expected };
}

/** Accepts the text of `-c name=value` where `cdk.json` has numbers and null. */
function optional<Schema extends z.ZodType>(schema: Schema) {
  const isNone = (value: unknown): boolean => value === '' || value === 'null' || value === null;
  return z.preprocess((value) => (isNone(value) ? null : value), z.nullable(schema));
}

function number(schema: z.ZodNumber) {
  const isNumeric = (value: unknown): value is string =>
    typeof value === 'string' && /^\d+(\.\d+)?$/.test(value);
  return z.preprocess((value) => (isNumeric(value) ? Number(value) : value), schema);
}

function integer(least: number, most: number) {
  return number(z.int().min(least).max(most));
}

const flag = z.preprocess(String, z.enum(['true', 'false'])).transform((value) => value === 'true');

function list<Schema extends z.ZodType>(element: Schema) {
  const split = (value: unknown): unknown =>
    typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value;
  return z.preprocess(split, z.array(element).min(1));
}

/** Returns whether the prices parse. `parseMeasuredPrices` reports the details where they are used. */
function areMeasuredPrices(text: string): boolean {
  try {
    return parseMeasuredPrices(text, 'priceOverrides').size > 0;
  } catch {
    return false;
  }
}

const gpuInstanceType = z.string().refine((type) => {
  const [family, size] = type.split('.');
  return GPU_FAMILIES.includes(family!) && size !== undefined && size in VCPUS_BY_SIZE;
});
const instanceTypes = list(gpuInstanceType);
const INSTANCE_TYPES_EXPECTED = `types of ${GPU_FAMILIES.join(', ')}, separated by commas, by preference`;

const schedule = z.string().regex(/^(rate|cron)\(.+\)$/);
const SCHEDULE_EXPECTED = 'a schedule of EventBridge Scheduler, rate(...) or cron(...), UTC';

const SETTING_SPECS = {
  account: setting(
    optional(z.string().regex(/^\d{12}$/)),
    null,
    'an account id of 12 digits, or null',
    'AWS account. Null: the account of your credentials.',
  ),
  region: setting(
    optional(z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/)),
    null,
    'a region such as us-east-1, or null',
    'AWS region; it must offer S3 Vectors. Null: the region of your credentials.',
  ),
  priceRegion: setting(
    optional(z.enum(PRICE_REGIONS)),
    null,
    `${PRICE_REGIONS.join(', ')}, or null`,
    'Region of the price book for cost estimates. Null: `region`; if that is null too, the region in which a function runs, or us-east-1 if that region has no price book.',
  ),
  priceOverrides: setting(
    optional(z.string().refine(areMeasuredPrices)),
    null,
    'measured prices such as ec2.g6.xlarge.spot=0.31, separated by commas, or null',
    'Prices from a bill or the Spot market; they override the price book.',
  ),
  stage: setting(
    z.enum(['production', 'trial']),
    'production',
    'production or trial',
    '`production` protects the storage stack from deletion and retains its table, buckets and vectors; `trial` deletes everything with its stack.',
  ),
  model: setting(
    z.string().min(1),
    'containers/demo-model/package',
    'a folder with a model.json, relative to the repository',
    'Model package. Its tokenizer and text tower go into a layer; the whole package goes into the worker image unless `modelSource` is set.',
  ),
  modelSource: setting(
    optional(z.string().regex(/^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[A-Za-z0-9_.=-]+)+\/?$/)),
    null,
    's3://bucket/prefix, or null',
    'Where workers download the model package at startup. Null: from their image. It must match `model`: workers refuse another revision.',
  ),
  vpcId: setting(
    optional(z.string().regex(/^vpc-([0-9a-f]{8}|[0-9a-f]{17})$/)),
    null,
    'a VPC such as vpc-0a1b2c3d, or null',
    'Existing VPC for the workers, with `subnetIds` and `availabilityZones`. Null: a new VPC with public subnets, no inbound rule and no NAT.',
  ),
  subnetIds: setting(
    optional(list(z.string().regex(/^subnet-([0-9a-f]{8}|[0-9a-f]{17})$/))),
    null,
    'subnets such as subnet-0a1b2c3d, separated by commas, or null',
    'Subnets of `vpcId` with internet access.',
  ),
  availabilityZones: setting(
    optional(list(z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d[a-z]$/))),
    null,
    'one zone such as us-east-1a per subnet, in the same order, or null',
    'Zones of `subnetIds`.',
  ),
  zones: setting(
    integer(1, 6),
    3,
    'a whole number, 1 to 6',
    'Number of availability zones of the new VPC. GPU capacity is scarce: more zones find more machines. us-west-1 has 2.',
  ),
  interactiveInstanceTypes: setting(
    instanceTypes,
    ['g6.xlarge', 'g5.xlarge'],
    INSTANCE_TYPES_EXPECTED,
    'Instance types of the interactive pool, by preference.',
  ),
  interactivePurchase: setting(
    z.enum(['on-demand', 'spot']),
    'on-demand',
    'on-demand or spot',
    'Purchase option of those machines.',
  ),
  interactiveMax: setting(
    integer(1, 100),
    2,
    'a whole number, 1 to 100',
    'Maximum workers of the interactive pool, one machine each.',
  ),
  idleMinutes: setting(
    integer(1, 720),
    5,
    'a whole number of minutes, 1 to 720',
    'Minutes that an idle worker of this pool waits before it stops. Longer: fewer cold starts, more idle GPU hours.',
  ),
  backfillInstanceTypes: setting(
    instanceTypes,
    ['g6.xlarge', 'g5.xlarge', 'g4dn.xlarge'],
    INSTANCE_TYPES_EXPECTED,
    'Instance types of the backfill pool; Spot picks the one with the best price and capacity.',
  ),
  backfillPurchase: setting(
    z.enum(['spot-then-on-demand', 'spot', 'on-demand']),
    'spot-then-on-demand',
    'spot-then-on-demand, spot or on-demand',
    'Purchase option of those machines.',
  ),
  backfillMax: setting(
    integer(1, 1000),
    4,
    'a whole number, 1 to 1000',
    'Maximum workers of the backfill pool.',
  ),
  workerMemoryMebibytes: setting(
    integer(2048, 1_048_576),
    12_288,
    'a whole number of MiB, 2048 or more',
    'Memory of one worker; the smallest instance type must have that much free.',
  ),
  workerDiskGibibytes: setting(
    integer(40, 2000),
    100,
    'a whole number of GiB, 40 to 2000',
    'Disk of a worker machine: operating system, image, and the model package if downloaded.',
  ),
  workerBatch: setting(
    integer(1, MAX_BATCH),
    1,
    `a whole number, 1 to ${MAX_BATCH}`,
    'Maximum videos per batch of a worker, if they fit its GPU. Above 1 it pays off only for small models, needs memory for as many decoded videos, and changes the last bits of results (docs/architecture.md).',
  ),
  storageClass: setting(
    z.enum(['INTELLIGENT_TIERING', 'STANDARD']),
    'INTELLIGENT_TIERING',
    'INTELLIGENT_TIERING or STANDARD',
    'Storage class of new latents and videos.',
  ),
  videosExpireAfterDays: setting(
    optional(integer(1, 3650)),
    null,
    'a whole number of days, 1 to 3650, or null',
    'Lifetime of a video from its creation, `expires_at` in the API. A repeated request for a deleted video generates it again. Null: unlimited.',
  ),
  defaultRequestsPerMinute: setting(
    optional(integer(1, 1_000_000)),
    60,
    'a whole number, or null for no limit',
    'Requests per minute of a tenant without its own limit.',
  ),
  defaultConcurrentJobs: setting(
    optional(integer(1, 1_000_000)),
    20,
    'a whole number, or null for no limit',
    'Concurrent videos of such a tenant.',
  ),
  defaultBudgetPerDayUsd: setting(
    optional(number(z.number().positive().max(1_000_000))),
    25,
    'dollars, or null for no limit',
    'Dollars per day (UTC) of such a tenant.',
  ),
  apiRequestsPerSecond: setting(
    integer(1, 10_000),
    50,
    'a whole number, 1 to 10000',
    'Requests per second to the API, over all callers.',
  ),
  apiBurst: setting(
    integer(1, 5000),
    100,
    'a whole number, 1 to 5000',
    'Burst capacity above that rate.',
  ),
  apiReservedConcurrency: setting(
    optional(integer(1, 10_000)),
    null,
    'a whole number, or null for none',
    'Reserved concurrency of the API function, also its maximum; a backfill cannot use it. AWS keeps 100 executions of an account unreserved, so a new account cannot reserve any. Null: none.',
  ),
  apiCorsOrigins: setting(
    optional(list(z.string().refine(isCorsOrigin))),
    null,
    'origins such as https://app.example.com separated by commas, * for all, or null',
    'Origins allowed to call the API from a browser. Null: none.',
  ),
  apiDomain: setting(
    optional(z.string().regex(/^([a-z0-9-]+\.)+[a-z]{2,}$/)),
    null,
    'a host name such as api.example.com, or null',
    'Custom domain of the API, with `apiCertificateArn`. Null: the domain that AWS assigns.',
  ),
  apiCertificateArn: setting(
    optional(z.string().regex(/^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[0-9a-f-]+$/)),
    null,
    'the ARN of an ACM certificate, or null',
    'Certificate of `apiDomain`, in the same region.',
  ),
  evictSchedule: setting(schedule, 'rate(1 hour)', SCHEDULE_EXPECTED, 'When eviction runs.'),
  sweepSchedule: setting(
    schedule,
    'cron(0 3 ? * SUN *)',
    SCHEDULE_EXPECTED,
    'When the sweep deletes orphaned objects, vectors and records.',
  ),
  reportSchedule: setting(
    schedule,
    'cron(0 2 ? * * *)',
    SCHEDULE_EXPECTED,
    'When the costs of the last three days are written to `reports/` as CSV.',
  ),
  cacheBudgetUsd: setting(
    optional(number(z.number().positive().max(1_000_000))),
    null,
    'dollars, or null for no budget',
    'Maximum rent of the cache per month: latents, vectors and records. Entries that save least per dollar of rent are evicted first. Null: entries stay while they save more than they cost.',
  ),
  moveStorageClasses: setting(
    flag,
    'false',
    'true or false',
    'True moves a latent to a cheaper storage class when that saves more than it costs.',
  ),
  evictOtherModels: setting(
    flag,
    'false',
    'true or false',
    'True evicts all entries of other model packages. False: they are evicted by the same rules as the rest.',
  ),
  alarmEmail: setting(
    optional(z.email()),
    null,
    'an email address, or null',
    'Email address for alarms and the budget. Null: none; alarms are visible in CloudWatch only.',
  ),
  monthlyBudgetUsd: setting(
    optional(number(z.number().positive().max(10_000_000))),
    100,
    'dollars, or null for no budget',
    'Monthly budget for resources tagged `project=flexcache`; `alarmEmail` is notified at 80 % and at a forecast of 100 %.',
  ),
  idleGpuHoursAlarm: setting(
    integer(1, 10_000),
    4,
    'a whole number of hours per day',
    'Idle GPU hours per day that fire an alarm.',
  ),
  dashboard: setting(
    flag,
    'false',
    'true or false',
    'True creates the dashboard of docs/deploy.md; from the fourth dashboard of an account on it costs $3 a month.',
  ),
  logRetentionDays: setting(
    number(z.number().refine((days) => LOG_RETENTION_DAYS.includes(days))),
    30,
    `one of ${LOG_RETENTION_DAYS.join(', ')} days`,
    'Days that logs are kept. They contain ids, never prompts.',
  ),
  telemetryLayerArn: setting(
    optional(
      z.string().regex(/^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:layer:[A-Za-z0-9_-]+:\d+$/),
    ),
    null,
    'the ARN of a layer version, or null',
    "AWS's OpenTelemetry layer for Node in this region, for traces of every function. Null: no traces.",
  ),
  bundle: setting(
    flag,
    'true',
    'true or false',
    'False synthesizes templates without the code of functions and workers, which is quicker.',
  ),
} as const satisfies Record<string, Knob>;

type KnobName = keyof typeof SETTING_SPECS;

/** Configuration of a deployment; docs/deploy.md lists it. */
export type Settings = { [Name in KnobName]: z.infer<(typeof SETTING_SPECS)[Name]['schema']> };

/** Defaults, as listed in `cdk.json`. */
export const DEFAULT_SETTINGS = Object.fromEntries(
  Object.entries(SETTING_SPECS).map(([name, { standard }]) => [name, standard]),
) as Record<KnobName, unknown>;

/** Renders the settings table of docs/deploy.md as Markdown. */
export function settingsTable(): string {
  const show = (value: unknown): string =>
    value === null ? 'null' : `\`${Array.isArray(value) ? value.join(',') : String(value)}\``;
  const rows = Object.entries(SETTING_SPECS).map(
    ([name, { standard, expected, meaning }]) =>
      `| \`${name}\` | ${show(standard)} | ${expected} | ${meaning} |`,
  );
  return ['| setting | default | accepts | meaning |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  );
}

const settingsByApp = new WeakMap<IConstruct, Settings>();

/**
 * Returns the settings of a construct's app from the context: `cdk.json`, overridden by
 * `-c name=value`.
 *
 * @throws InvalidInputError with the setting, its value and the accepted values.
 */
export function settingsOf(scope: IConstruct): Settings {
  const app = scope.node.root;
  const known = settingsByApp.get(app);
  if (known !== undefined) return known;
  const context = app.node.getAllContext() as Record<string, unknown>;
  refuseUnknownKnobs(Object.keys(context));
  const settings = Object.fromEntries(
    Object.entries(SETTING_SPECS).map(([name, setting]) => [
      name,
      readKnob(name, setting, context[name]),
    ]),
  ) as Settings;
  refuseHalves(settings);
  settingsByApp.set(app, settings);
  return settings;
}

function readKnob(name: string, { schema, standard, expected }: Knob, given: unknown): unknown {
  const value = given === undefined ? standard : given;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    name,
    `the setting ${name} is ${JSON.stringify(value)}, expected ${expected}`,
    `correct ${name} in cdk.json or give -c ${name}=...; docs/deploy.md lists every setting`,
  );
}

/** Context keys of the CDK itself that have no colon in their name. */
const CDK_CONTEXT = ['cli-telemetry'];

function refuseUnknownKnobs(names: readonly string[]): void {
  const unknown = names.find(
    (name) => !name.includes(':') && !(name in SETTING_SPECS) && !CDK_CONTEXT.includes(name),
  );
  if (unknown === undefined) return;
  throw new InvalidInputError(
    unknown,
    `unknown setting ${unknown}`,
    `use one of ${Object.keys(SETTING_SPECS).join(', ')}`,
  );
}

/** Requires settings that depend on each other to be set together. */
function refuseHalves(settings: Settings): void {
  requireTogether(settings, ['vpcId', 'subnetIds', 'availabilityZones']);
  requireTogether(settings, ['apiDomain', 'apiCertificateArn']);
  const { subnetIds, availabilityZones } = settings;
  if (subnetIds !== null && subnetIds.length !== availabilityZones!.length) {
    throw new InvalidInputError(
      'availabilityZones',
      `there are ${subnetIds.length} subnetIds and ${availabilityZones!.length} availabilityZones`,
      'give one zone per subnet, in the same order',
    );
  }
}

function requireTogether(settings: Settings, names: readonly KnobName[]): void {
  const missing = names.find((name) => settings[name] === null);
  const given = names.find((name) => settings[name] !== null);
  if (missing === undefined || given === undefined) return;
  throw new InvalidInputError(
    missing,
    `the setting ${given} is set but ${missing} is not`,
    `set all of ${names.join(', ')}, or none of them`,
  );
}

/** Returns the vCPUs of an instance type that `settingsOf` has validated. */
export function vcpusOf(instanceType: string): number {
  return VCPUS_BY_SIZE[instanceType.split('.')[1]!]!;
}
