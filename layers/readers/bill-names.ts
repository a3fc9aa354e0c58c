import type { Adjustment, BillGroup, OutsideGroup } from '#core/reports/reconcile/bill-line.ts';
import { machinePriceId, type PriceId } from '#core/pricing/price-ids.ts';
import { LISTED_NAMES, type ListedName } from './price-list-names.ts';

/** What a line of a bill is for, and which price of the book it is billed by. */
export interface BilledFor {
  group: BillGroup;
  priceId: PriceId | null;
  /** How many of the bill's units are one of the price's. */
  times: number;
}

/** Of a bill, what tells what a line is for. */
export interface BilledName {
  product: string;
  usageType: string;
  /** `Usage`, `Tax`, `Credit`, ... */
  lineItemType: string;
}

/** `line_item_line_item_type` (CUR 2.0, line item columns). Usage is bought in several ways. */
const USAGE_TYPES: ReadonlySet<string> = new Set([
  'Usage',
  'DiscountedUsage',
  'SavingsPlanCoveredUsage',
]);

const ADJUSTMENT_OF: Readonly<Record<string, Adjustment>> = {
  Tax: 'tax',
  Credit: 'credit',
  Refund: 'refund',
  Fee: 'fee',
  RIFee: 'fee',
  SavingsPlanUpfrontFee: 'fee',
  SavingsPlanRecurringFee: 'fee',
  SavingsPlanNegation: 'discount',
  EdpDiscount: 'discount',
  PrivateRateDiscount: 'discount',
  BundledDiscount: 'discount',
  'Enterprise Discount Program Discount': 'discount',
  Discount: 'discount',
};

/** Machines by the hour; the rest of a usage type is the machine's. */
const MACHINE = /^(BoxUsage|SpotUsage):([a-z0-9-]+\.[a-z0-9]+)$/;

/** Bytes that cross a border between zones, regions or to the internet, whoever sends them. */
const TRANSFER = /(^|-)(DataTransfer-|AWS-(In|Out)-Bytes)|^PublicIPv4:/;

/** Prices of what lies, by the month: the report has them as storage. */
const STORAGE = /(^|\.)(storage|monitored-object|point-in-time-recovery)(\.|$)/;

/** What objects of Intelligent-Tiering are called by costs what the Standard ones cost (S3 pricing). */
const ALSO_CALLED: Readonly<Record<string, PriceId>> = {
  'AmazonS3 Requests-INT-Tier1': 's3.put-request',
  'AmazonS3 Requests-INT-Tier2': 's3.get-request',
};

const GROUP_OF_SERVICE: Readonly<Record<string, BillGroup>> = {
  lambda: 'functions',
  states: 'workflow',
  dynamodb: 'table',
  s3: 'objects',
  s3vectors: 'vectors',
  sqs: 'queues',
  transfer: 'network',
  ebs: 'disks',
  apigateway: 'api',
  cloudwatch: 'monitoring',
  ecr: 'images',
  scheduler: 'schedules',
};

/** Products without a price of ours that every deployment has. */
const OUTSIDE_PRODUCTS: Readonly<Record<string, OutsideGroup>> = {
  AmazonVPC: 'network',
  AmazonApiGateway: 'api',
  AmazonCloudWatch: 'monitoring',
  AmazonSNS: 'monitoring',
  AWSXRay: 'monitoring',
  AmazonECR: 'images',
  AWSEvents: 'schedules',
};

/** Every other price by product and usage type, as the price list calls them. */
const PRICES: ReadonlyMap<string, { priceId: PriceId; times: number }> = new Map(
  (Object.entries(LISTED_NAMES) as [PriceId, ListedName][]).flatMap(
    ([priceId, { service, usageTypes, times = 1 }]) =>
      usageTypes.map((usageType): [string, { priceId: PriceId; times: number }] => [
        `${service} ${usageType}`,
        { priceId, times },
      ]),
  ),
);

/** Usage types outside us-east-1 begin with their region, `USW2-`. */
const REGION_PREFIX = /^[A-Z]{2,4}\d?-/;

/** Tells what a line of a bill is for; `unknown` when nobody can. */
export function billedFor({ product, usageType, lineItemType }: BilledName): BilledFor {
  const none = { priceId: null, times: 1 };
  if (!USAGE_TYPES.has(lineItemType)) {
    return { ...none, group: ADJUSTMENT_OF[lineItemType] ?? 'unknown' };
  }
  const name = usageType.replace(REGION_PREFIX, '');
  const [, bought, instanceType] = product === 'AmazonEC2' ? (MACHINE.exec(name) ?? []) : [];
  if (instanceType !== undefined) {
    const purchaseOption = bought === 'SpotUsage' ? 'spot' : 'on-demand';
    return { group: 'gpu', priceId: machinePriceId({ instanceType, purchaseOption }), times: 1 };
  }
  const priced = PRICES.get(`${product} ${name}`);
  const priceId = priced?.priceId ?? ALSO_CALLED[`${product} ${name}`];
  if (priceId !== undefined) {
    const service = priceId.slice(0, priceId.indexOf('.'));
    const group = GROUP_OF_SERVICE[service] ?? 'unknown';
    const isKept = STORAGE.test(priceId) && ['table', 'objects', 'vectors'].includes(group);
    return { group: isKept ? 'storage' : group, priceId, times: priced?.times ?? 1 };
  }
  if (TRANSFER.test(name)) return { ...none, group: 'network' };
  if (product === 'AmazonEC2' && name.startsWith('EBS:')) return { ...none, group: 'disks' };
  return { ...none, group: OUTSIDE_PRODUCTS[product] ?? 'unknown' };
}
