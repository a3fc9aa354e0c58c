import type { PriceId } from '#core/pricing/prices.ts';
import type { Period } from './periods.ts';
import { COLORS, type LegendEntry } from './sections.ts';

/** A kind of storage and its rent by period in pico-dollars. */
export interface StorageSeries extends LegendEntry {
  amounts: bigint[];
}

const KINDS: readonly [name: string, isOf: (priceId: PriceId) => boolean][] = [
  ['objects, frequent access', (id) => id === 's3.storage.standard' || id.endsWith('.frequent')],
  ['objects, infrequent access', (id) => id.startsWith('s3.storage.')],
  ['monitoring of objects', (id) => id === 's3.monitored-object'],
  ['vectors', (id) => id.startsWith('s3vectors.')],
  ['table and its backup', (id) => id.startsWith('dynamodb.')],
  ['other', () => true],
];

/** Returns the kinds of storage with charges. Each price belongs to the first kind that matches. */
export function storageSeries(periods: readonly Period[]): StorageSeries[] {
  const kindOf = (priceId: PriceId): number => KINDS.findIndex(([, isOf]) => isOf(priceId));
  return KINDS.map(([name], kind) => ({
    name,
    color: COLORS[kind]!,
    amounts: periods.map(({ storageItems }) =>
      [...storageItems].reduce(
        (sum, [priceId, amount]) => (kindOf(priceId) === kind ? sum + amount : sum),
        0n,
      ),
    ),
  })).filter(({ amounts }) => amounts.some((amount) => amount > 0n));
}
