import type { IConstruct } from 'constructs';
import { z } from 'zod';
import { isCorsOrigin } from '#core/requests/cors-origin.ts';
import { InvalidInputError } from '#core/errors.ts';
import { parseMeasuredPrices } from '#core/pricing/measured-prices.ts';
import { PRICE_REGIONS } from '#core/pricing/prices.ts';
import { MAX_BATCH } from '#models/step-batches.ts';

/** Days for which CloudWatch can keep a log, those of them that make sense here. */
const LOG_RETENTION_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 731, 1827];

/** Families with NVIDIA processors beside x86 ones: what the worker's image runs on. */
const GPU_FAMILIES = ['g4dn', 'g5', 'g6', 'g6e', 'g7e', 'gr6'];

/** Virtual processors by size, the same in every family of the list above. */
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
  /** As `cdk.json` has it. */
  standard: unknown;
  /** What it decides, for docs/deploy.md. */
  meaning: string;
  /** What is taken, for docs/deploy.md and for whoever gave something else. */
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

/** The command line's `-c name=value` gives text where `cdk.json` gives numbers and null. */
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

/** Whether they parse; what is wrong with them is said when they are used. */
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
const INSTANCE_TYPES_EXPECTED = `types of ${GPU_FAMILIES.join(', ')}, separated by commas, first choice first`;

const schedule = z.string().regex(/^(rate|cron)\(.+\)$/);
const SCHEDULE_EXPECTED = 'a schedule of EventBridge Scheduler, rate(...) or cron(...), UTC';

const SETTING_SPECS = {
  account: setting(
    optional(z.string().regex(/^\d{12}$/)),
    null,
    'an account number of 12 digits, or null',
    'The account. Null: the one whose credentials deploy.',
  ),
  region: setting(
    optional(z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/)),
    null,
    'a region such as us-east-1, or null',
    'The region. Null: the one whose credentials deploy. It needs S3 Vectors.',
  ),
  priceRegion: setting(
    optional(z.enum(PRICE_REGIONS)),
    null,
    `${PRICE_REGIONS.join(', ')}, or null`,
    'Region of the price book for cost estimates. Null: `region`; where that is null too, the region in which a function runs, or us-east-1 where that has no price book.',
  ),
  priceOverrides: setting(
    optional(z.string().refine(areMeasuredPrices)),
    null,
    'measured prices such as ec2.g6.xlarge.spot=0.31, separated by commas, or null',
    'Prices that were read off a bill or the Spot market; they come before those of the price book.',
  ),
  stage: setting(
    z.enum(['production', 'trial']),
    'production',
    'production or trial',
    '`production` keeps table, buckets and vectors when stacks are deleted and refuses to delete the storage stack; `trial` deletes everything with its stack.',
  ),
  model: setting(
    z.string().min(1),
    'containers/demo-model/package',
    'a folder with a model.json, relative to the repository',
    'The model package. Its tokenizer and text tower go into a layer; all of it goes into the worker image unless `modelSource` is given.',
  ),
  modelSource: setting(
    optional(z.string().regex(/^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[A-Za-z0-9_.=-]+)+\/?$/)),
    null,
    's3://bucket/prefix, or null',
    'Where workers fetch the model package when they start. Null: it is in their image. It must be the one of `model`: workers refuse another revision.',
  ),
  vpcId: setting(
    optional(z.string().regex(/^vpc-([0-9a-f]{8}|[0-9a-f]{17})$/)),
    null,
    'a VPC such as vpc-0a1b2c3d, or null',
    'An existing VPC for the workers, with `subnetIds` and `availabilityZones`. Null: one of their own, with public subnets, no inbound rule and no NAT.',
  ),
  subnetIds: setting(
    optional(list(z.string().regex(/^subnet-([0-9a-f]{8}|[0-9a-f]{17})$/))),
    null,
    'subnets such as subnet-0a1b2c3d, separated by commas, or null',
    'Subnets of `vpcId` from which the internet can be reached.',
  ),
  availabilityZones: setting(
    optional(list(z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d[a-z]$/))),
    null,
    'one zone such as us-east-1a for each subnet, in their order, or null',
    'Zones of `subnetIds`.',
  ),
  zones: setting(
    integer(1, 6),
    3,
    'a whole number, 1 to 6',
    'Availability zones of our own VPC. GPU machines are short: more zones find more. us-west-1 has 2.',
  ),
  interactiveInstanceTypes: setting(
    instanceTypes,
    ['g6.xlarge', 'g5.xlarge'],
    INSTANCE_TYPES_EXPECTED,
    'Instance types of the interactive pool, first choice first.',
  ),
  interactivePurchase: setting(
    z.enum(['on-demand', 'spot']),
    'on-demand',
    'on-demand or spot',
    'How those machines are bought.',
  ),
  interactiveMax: setting(
    integer(1, 100),
    2,
    'a whole number, 1 to 100',
    'Maximum workers of the interactive pool; each takes a machine.',
  ),
  idleMinutes: setting(
    integer(1, 720),
    5,
    'a whole number of minutes, 1 to 720',
    'How long these workers stay after the last video. Longer: fewer cold starts, more idle GPU hours.',
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
    'How those machines are bought.',
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
    'Memory of one worker; the smallest of the machines must have it to spare.',
  ),
  workerDiskGibibytes: setting(
    integer(40, 2000),
    100,
    'a whole number of GiB, 40 to 2000',
    'Disk of a worker machine: its system, the image, and the model package when it is fetched.',
  ),
  workerBatch: setting(
    integer(1, MAX_BATCH),
    1,
    `a whole number, 1 to ${MAX_BATCH}`,
    'Videos that a worker makes at once, as far as they fit its GPU, their steps in one call. Above 1 it pays for small models alone (docs/architecture.md), needs memory for as many decoded videos, and numbers then differ in the last bits by which videos met.',
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
    'When videos are deleted, counted from when each was made; the API says it as expires_at. A request whose exact answer is gone is made again. Null: never.',
  ),
  defaultRequestsPerMinute: setting(
    optional(integer(1, 1_000_000)),
    60,
    'a whole number, or null for no limit',
    'Requests a minute of a tenant that was given no limit of its own.',
  ),
  defaultConcurrentJobs: setting(
    optional(integer(1, 1_000_000)),
    20,
    'a whole number, or null for no limit',
    'Videos under way at once of such a tenant.',
  ),
  defaultBudgetPerDayUsd: setting(
    optional(number(z.number().positive().max(1_000_000))),
    25,
    'dollars, or null for no limit',
    'Dollars a day (UTC) of such a tenant.',
  ),
  apiRequestsPerSecond: setting(
    integer(1, 10_000),
    50,
    'a whole number, 1 to 10000',
    'Requests a second that the API takes from everybody together.',
  ),
  apiBurst: setting(
    integer(1, 5000),
    100,
    'a whole number, 1 to 5000',
    'Requests at once above that rate.',
  ),
  apiReservedConcurrency: setting(
    optional(integer(1, 10_000)),
    null,
    'a whole number, or null for none',
    "Calls of the API's function that may always run at once, and at most: a backfill cannot take them. AWS leaves 100 of an account's calls unreserved, so a new account cannot reserve any. Null: none are reserved.",
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
    'Name of the API, with `apiCertificateArn`. Null: the name that AWS gives it.',
  ),
  apiCertificateArn: setting(
    optional(z.string().regex(/^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[0-9a-f-]+$/)),
    null,
    'the ARN of an ACM certificate, or null',
    'Certificate of `apiDomain`, in the same region.',
  ),
  evictSchedule: setting(
    schedule,
    'rate(1 hour)',
    SCHEDULE_EXPECTED,
    'When entries that no longer pay their rent are let go.',
  ),
  sweepSchedule: setting(
    schedule,
    'cron(0 3 ? * SUN *)',
    SCHEDULE_EXPECTED,
    'When orphaned objects, vectors and records are deleted.',
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
    'Dollars a month that the cache may cost in rent: latents, vectors and records. What pays least for its rent leaves first. Null: whatever pays its rent stays.',
  ),
  moveStorageClasses: setting(
    flag,
    'false',
    'true or false',
    'True lets a latent move to a cheaper storage class where what that costs and saves pays.',
  ),
  evictOtherModels: setting(
    flag,
    'false',
    'true or false',
    'True evicts entries of other model packages. False: they are kept or evicted like the rest.',
  ),
  alarmEmail: setting(
    optional(z.email()),
    null,
    'an e-mail address, or null',
    'Email address for alarms and the budget. Null: none; alarms are visible in CloudWatch only.',
  ),
  monthlyBudgetUsd: setting(
    optional(number(z.number().positive().max(10_000_000))),
    100,
    'dollars, or null for no budget',
    'Monthly budget of what is tagged `project=flexcache`; `alarmEmail` is notified at 80 % and at a forecast of 100 %.',
  ),
  idleGpuHoursAlarm: setting(
    integer(1, 10_000),
    4,
    'a whole number of hours a day',
    'GPU hours a day without a video to make that raise an alarm.',
  ),
  dashboard: setting(
    flag,
    'false',
    'true or false',
    'True makes the dashboard of docs/deploy.md, $3 a month from the fourth dashboard of an account on.',
  ),
  logRetentionDays: setting(
    number(z.number().refine((days) => LOG_RETENTION_DAYS.includes(days))),
    30,
    `one of ${LOG_RETENTION_DAYS.join(', ')} days`,
    'How long logs are kept. They hold ids, never prompts.',
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
    'False leaves the code of functions and workers out: templates alone, quickly.',
  ),
} as const satisfies Record<string, Knob>;

type KnobName = keyof typeof SETTING_SPECS;

/** Everything about a deployment that is not decided in code; docs/deploy.md has the table. */
export type Settings = { [Name in KnobName]: z.infer<(typeof SETTING_SPECS)[Name]['schema']> };

/** The defaults as `cdk.json` lists them. */
export const DEFAULT_SETTINGS = Object.fromEntries(
  Object.entries(SETTING_SPECS).map(([name, { standard }]) => [name, standard]),
) as Record<KnobName, unknown>;

/** The table of docs/deploy.md, Markdown. */
export function settingsTable(): string {
  const show = (value: unknown): string =>
    value === null ? 'null' : `\`${Array.isArray(value) ? value.join(',') : String(value)}\``;
  const rows = Object.entries(SETTING_SPECS).map(
    ([name, { standard, expected, meaning }]) =>
      `| \`${name}\` | ${show(standard)} | ${expected} | ${meaning} |`,
  );
  return ['| knob | default | takes | decides |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

const settingsByApp = new WeakMap<IConstruct, Settings>();

/**
 * The settings of the app that a construct is in, from the context: `cdk.json`, and `-c name=value`
 * before it.
 *
 * @throws InvalidInputError naming the setting, what it was given, and what it takes.
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

/** Context of the CDK itself has a colon in its name, but for these. */
const CDK_CONTEXT = ['cli-telemetry'];

function refuseUnknownKnobs(names: readonly string[]): void {
  const unknown = names.find(
    (name) => !name.includes(':') && !(name in SETTING_SPECS) && !CDK_CONTEXT.includes(name),
  );
  if (unknown === undefined) return;
  throw new InvalidInputError(
    unknown,
    `there is no setting ${unknown}`,
    `use one of ${Object.keys(SETTING_SPECS).join(', ')}`,
  );
}

/** Settings that mean nothing without each other. */
function refuseHalves(settings: Settings): void {
  requireTogether(settings, ['vpcId', 'subnetIds', 'availabilityZones']);
  requireTogether(settings, ['apiDomain', 'apiCertificateArn']);
  const { subnetIds, availabilityZones } = settings;
  if (subnetIds !== null && subnetIds.length !== availabilityZones!.length) {
    throw new InvalidInputError(
      'availabilityZones',
      `there are ${subnetIds.length} subnetIds and ${availabilityZones!.length} availabilityZones`,
      'give the zone of each subnet, in the order of the subnets',
    );
  }
}

function requireTogether(settings: Settings, names: readonly KnobName[]): void {
  const missing = names.find((name) => settings[name] === null);
  const given = names.find((name) => settings[name] !== null);
  if (missing === undefined || given === undefined) return;
  throw new InvalidInputError(
    missing,
    `the setting ${given} is given and ${missing} is not`,
    `give all of ${names.join(', ')}, or none of them`,
  );
}

/** Virtual processors of an instance type that `readSettings` has let through. */
export function vcpusOf(instanceType: string): number {
  return VCPUS_BY_SIZE[instanceType.split('.')[1]!]!;
}
