import { FlexCacheError } from '../errors.ts';

/** Prices that every book has, besides those of instances (`ec2.{type}.{purchase option}`). */
export const PRICE_IDS = [
  'lambda.gb-second.x86_64',
  'lambda.gb-second.arm64',
  'lambda.request',
  'states.transition',
  'dynamodb.read-unit',
  'dynamodb.write-unit',
  'dynamodb.storage',
  'dynamodb.point-in-time-recovery',
  's3.put-request',
  's3.put-request.standard-ia',
  's3.put-request.glacier-ir',
  's3.get-request',
  's3.get-request.standard-ia',
  's3.get-request.glacier-ir',
  's3.transition-request.intelligent-tiering',
  's3.transition-request.standard-ia',
  's3.transition-request.glacier-ir',
  's3.retrieval.standard-ia',
  's3.retrieval.glacier-ir',
  's3.storage.standard',
  's3.storage.standard-ia',
  's3.storage.glacier-ir',
  's3.storage.intelligent-tiering.frequent',
  's3.storage.intelligent-tiering.infrequent',
  's3.storage.intelligent-tiering.archive-instant',
  's3.monitored-object',
  's3vectors.storage',
  's3vectors.put',
  's3vectors.query',
  's3vectors.query-data.first-100k',
  's3vectors.query-data.over-100k',
  's3vectors.query-data.over-10m',
  'sqs.request',
  'apigateway.http-request',
  'transfer.egress',
  'transfer.public-ipv4',
  'ecr.storage',
  'ebs.gp3-storage',
  'cloudwatch.alarm',
  'cloudwatch.dashboard',
  'cloudwatch.metric',
  'cloudwatch.logs-ingested',
  'cloudwatch.logs-stored',
  'scheduler.invocation',
] as const;

export const PURCHASE_OPTIONS = ['on-demand', 'spot'] as const;

export type PurchaseOption = (typeof PURCHASE_OPTIONS)[number];

export type PriceId = (typeof PRICE_IDS)[number] | `ec2.${string}.${PurchaseOption}`;

/** A billed GPU machine. */
export interface Machine {
  instanceType: string;
  purchaseOption: PurchaseOption;
}

/** Returns the price id of a machine's hour. */
export function machinePriceId({ instanceType, purchaseOption }: Machine): PriceId {
  return `ec2.${instanceType}.${purchaseOption}`;
}

const MACHINE_PRICE_ID = /^ec2\.([a-z][a-z0-9-]*\.[a-z0-9-]+)\.([a-z-]+)$/;

/** Returns the machine of a price id; null for other prices and invalid ids. */
export function machineOfPriceId(id: string): Machine | null {
  const [, instanceType, option] = MACHINE_PRICE_ID.exec(id) ?? [];
  const purchaseOption = PURCHASE_OPTIONS.find((candidate) => candidate === option);
  if (instanceType === undefined || purchaseOption === undefined) return null;
  return { instanceType, purchaseOption };
}

/** Returns the id if it is a valid price id; otherwise null. */
export function knownPriceId(id: string): PriceId | null {
  const known = PRICE_IDS.find((candidate) => candidate === id);
  if (known !== undefined) return known;
  const machine = machineOfPriceId(id);
  return machine === null ? null : machinePriceId(machine);
}

/** A price is missing from the book. It is never assumed to be zero. */
export class UnknownPriceError extends FlexCacheError {
  readonly priceId: string;

  constructor(priceId: string, region: string) {
    super('internal', `there is no price for ${priceId} in ${region}`, {
      field: priceId,
      fix: `add it, with its source, to layers/core/pricing/prices/${region}.json, or set it as a measured price`,
    });
    this.name = 'UnknownPriceError';
    this.priceId = priceId;
  }
}
