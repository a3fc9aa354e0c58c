import type { UsageRecord } from '../generation.ts';
import { priceOf, quantityOf, type Quantity } from '../pricing/money.ts';
import {
  machinePriceId,
  priceIn,
  PURCHASE_OPTIONS,
  type Machine,
  type PriceBook,
  type PriceId,
} from '../pricing/prices.ts';
import { InvalidInputError } from '../errors.ts';
import { BYTES_PER_TB, SCAN_TIERS } from './scan-tiers.ts';

/** Usage at one price, and its cost. */
export interface CostItem {
  priceId: PriceId;
  /** First part of the price id: `lambda`, `ec2`, ... */
  service: string;
  unit: string;
  /** In the price's unit; rounded, for display. */
  quantity: number;
  /** Pico-dollars. */
  amount: bigint;
}

export interface UsageCost {
  /** Pico-dollars; the sum of the items. */
  total: bigint;
  /** One per price, in the order of first use. */
  items: CostItem[];
}

/** Maximum plausible amounts of one record. */
const LIMITS = {
  lambdaMilliseconds: 24 * 3_600_000,
  lambdaMegabytes: 10_240,
  gpuSeconds: 7 * 24 * 3600,
  count: 1_000_000_000,
  bytes: Number.MAX_SAFE_INTEGER,
};

/** Maximum vectors per PutVectors. */
const VECTORS_PER_PUT = 500;

/**
 * Minimum charge of S3 Vectors per PUT request, as a share of a GB (2^30 bytes): 128 KB. The three vectors of a
 * video are far below it.
 */
const MIN_PUT: Quantity = { value: 1n, scale: 8192n };

const BYTES_PER_GB = 1n << 30n;

const SECONDS_PER_HOUR = 3600n;

/**
 * Computes the itemized cost of usage records at the prices of a book.
 *
 * Work of the local machine (`embedded`, or a Lambda without its memory) is priced as the book's reference.
 * Data transfer within a region is free. Excludes idle time and cold starts of machines.
 *
 * @throws InvalidInputError with the record's field if an amount is impossible.
 * @throws UnknownPriceError
 */
export function costOfUsage(records: readonly UsageRecord[], book: PriceBook): UsageCost {
  const used = new Map<PriceId, Quantity>();
  for (const record of records) {
    for (const [priceId, quantity] of quantitiesOf(record, book)) {
      if (quantity.value === 0n) continue;
      const sum = used.get(priceId);
      used.set(priceId, sum === undefined ? quantity : add(sum, quantity));
    }
  }
  const items = [...used].map(([priceId, quantity]) => itemOf(priceId, quantity, book));
  return { total: items.reduce((sum, { amount }) => sum + amount, 0n), items };
}

/** Prices a quantity. @throws UnknownPriceError */
export function itemOf(priceId: PriceId, quantity: Quantity, book: PriceBook): CostItem {
  const price = priceIn(book, priceId);
  return {
    priceId,
    service: priceId.slice(0, priceId.indexOf('.')),
    unit: price.unit,
    quantity: Number(quantity.value) / Number(quantity.scale),
    amount: priceOf(price.amount, quantity),
  };
}

/**
 * Returns the machine at whose price a record's GPU seconds are billed; null if it has none.
 *
 * @throws InvalidInputError if GPU seconds lack their machine.
 */
export function billedMachine(record: UsageRecord, book: PriceBook): Machine | null {
  if (record.gpuSeconds === undefined) return null;
  if (record.purchaseOption === 'embedded') {
    const { instanceType, purchaseOption } = book.reference;
    return { instanceType, purchaseOption };
  }
  const { instanceType } = record;
  const purchaseOption = PURCHASE_OPTIONS.find((option) => option === record.purchaseOption);
  if (instanceType === undefined || purchaseOption === undefined) {
    const field = instanceType === undefined ? 'instanceType' : 'purchaseOption';
    throw new InvalidInputError(
      field,
      `GPU seconds of step ${record.step} are recorded without a valid ${field}`,
      'record the instance type and purchase option with the GPU seconds',
    );
  }
  return { instanceType, purchaseOption };
}

/** Converts GPU seconds to hours. */
export function gpuHours(seconds: unknown, field: string): Quantity {
  const { value, scale } = quantityOf(seconds, field, LIMITS.gpuSeconds);
  return { value, scale: scale * SECONDS_PER_HOUR };
}

function quantitiesOf(record: UsageRecord, book: PriceBook): [PriceId, Quantity][] {
  const count = (field: keyof UsageRecord): Quantity =>
    quantityOf(record[field] ?? 0, `${record.step}.${field}`, LIMITS.count);
  const machine = billedMachine(record, book);
  const architecture = record.lambdaArchitecture ?? 'x86_64';
  return [
    ...(machine === null
      ? []
      : ([
          [machinePriceId(machine), gpuHours(record.gpuSeconds, `${record.step}.gpuSeconds`)],
        ] satisfies [PriceId, Quantity][])),
    [`lambda.gb-second.${architecture}`, lambdaGigabyteSeconds(record, book)],
    ['lambda.request', { value: record.lambdaMilliseconds === undefined ? 0n : 1n, scale: 1n }],
    ['states.transition', count('stateTransitions')],
    ['dynamodb.read-unit', count('tableReadUnits')],
    ['dynamodb.write-unit', count('tableWriteUnits')],
    ['s3.put-request', count('objectPuts')],
    ...objectReads(record),
    ['s3vectors.query', count('vectorQueries')],
    ['s3vectors.put', vectorPutGigabytes(record, count('vectorPuts'))],
    ...scannedTerabytes(record),
    ['sqs.request', count('queueRequests')],
  ];
}

/** Milliseconds x megabytes / (1000 x 1024). */
function lambdaGigabyteSeconds(record: UsageRecord, book: PriceBook): Quantity {
  const milliseconds = quantityOf(
    record.lambdaMilliseconds ?? 0,
    `${record.step}.lambdaMilliseconds`,
    LIMITS.lambdaMilliseconds,
  );
  const megabytes = quantityOf(
    record.lambdaMegabytes ?? book.reference.lambdaMegabytes,
    `${record.step}.lambdaMegabytes`,
    LIMITS.lambdaMegabytes,
  );
  return {
    value: milliseconds.value * megabytes.value,
    scale: milliseconds.scale * megabytes.scale * 1000n * 1024n,
  };
}

/** Colder classes charge more per GET, and per GB read. */
function objectReads(record: UsageRecord): [PriceId, Quantity][] {
  const { objectGets = 0, infrequentAccessGets = 0, instantRetrievalGets = 0 } = record;
  const count = (gets: number, field: string): Quantity =>
    quantityOf(gets, `${record.step}.${field}`, LIMITS.count);
  const gigabytes = (field: 'infrequentAccessBytes' | 'instantRetrievalBytes'): Quantity => {
    const { value, scale } = bytesOf(record, field);
    return { value, scale: scale * BYTES_PER_GB };
  };
  // These two first, so that an error names the invalid field.
  const infrequent = count(infrequentAccessGets, 'infrequentAccessGets');
  const instant = count(instantRetrievalGets, 'instantRetrievalGets');
  const gets = objectGets - infrequentAccessGets - instantRetrievalGets;
  return [
    ['s3.get-request', count(gets, 'objectGets')],
    ['s3.get-request.standard-ia', infrequent],
    ['s3.get-request.glacier-ir', instant],
    ['s3.retrieval.standard-ia', gigabytes('infrequentAccessBytes')],
    ['s3.retrieval.glacier-ir', gigabytes('instantRetrievalBytes')],
  ];
}

/** Returns the charged GB; if not recorded, the minimum number of requests at the minimum charge. */
function vectorPutGigabytes(record: UsageRecord, { value, scale }: Quantity): Quantity {
  if (record.vectorBytesPut !== undefined) {
    const bytes = bytesOf(record, 'vectorBytesPut');
    return { value: bytes.value, scale: bytes.scale * BYTES_PER_GB };
  }
  const perRequest = BigInt(VECTORS_PER_PUT) * scale;
  const requests = (value + perRequest - 1n) / perRequest;
  return { value: requests * MIN_PUT.value, scale: MIN_PUT.scale };
}

/** Splits the data that queries of one index read into price tiers; the first, most expensive tier if the size is unknown. */
function scannedTerabytes(record: UsageRecord): [PriceId, Quantity][] {
  const { vectorQueries = 0, vectorsScanned } = record;
  const scanned = bytesOf(record, 'vectorBytesScanned');
  const vectors =
    vectorsScanned === undefined || vectorQueries === 0
      ? 0
      : Math.round(vectorsScanned / vectorQueries);
  quantityOf(vectors, `${record.step}.vectorsScanned`, LIMITS.bytes);
  let below = 0;
  return SCAN_TIERS.map(({ priceId, upTo }): [PriceId, Quantity] => {
    const inTier =
      vectors === 0 ? (below === 0 ? 1 : 0) : Math.max(0, Math.min(vectors, upTo) - below);
    below = upTo;
    return [
      priceId,
      {
        value: scanned.value * BigInt(inTier),
        scale: scanned.scale * BigInt(Math.max(vectors, 1)) * BigInt(BYTES_PER_TB),
      },
    ];
  });
}

function bytesOf(
  record: UsageRecord,
  field:
    'vectorBytesPut' | 'vectorBytesScanned' | 'infrequentAccessBytes' | 'instantRetrievalBytes',
): Quantity {
  return quantityOf(record[field] ?? 0, `${record.step}.${field}`, LIMITS.bytes);
}

function add(left: Quantity, right: Quantity): Quantity {
  if (left.scale === right.scale) {
    return { value: left.value + right.value, scale: left.scale };
  }
  return {
    value: left.value * right.scale + right.value * left.scale,
    scale: left.scale * right.scale,
  };
}
