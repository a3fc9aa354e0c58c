import type { PriceId } from '../pricing/prices.ts';

/** Price tiers of query data by the number of vectors in the index. */
export const SCAN_TIERS: readonly { priceId: PriceId; upTo: number }[] = [
  { priceId: 's3vectors.query-data.first-100k', upTo: 100_000 },
  { priceId: 's3vectors.query-data.over-100k', upTo: 10_000_000 },
  { priceId: 's3vectors.query-data.over-10m', upTo: Infinity },
];

export const BYTES_PER_TB = 2 ** 40;
