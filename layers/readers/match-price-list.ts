import { InvalidInputError } from '#core/errors.ts';
import { machineOfPriceId, type PriceId } from '#core/pricing/price-ids.ts';
import type { ListedProduct, ListedTier } from './price-list.ts';
import {
  LISTED_NAMES,
  LISTED_REGIONS,
  machineName,
  type ListedName,
  type ListedRegion,
} from './price-list-names.ts';

/** A price of the book as the list has it. */
export interface ListedPrice {
  id: PriceId;
  /** Pico-dollars for one of the book's units. */
  amount: bigint;
  rateCode: string;
  service: string;
  effectiveOn: string;
  publishedOn: string;
}

/** How a price is called in the list; null where it is not in it, or nobody knows how it is called. */
export function listedNameOf(id: PriceId): ListedName | null {
  const machine = machineOfPriceId(id);
  if (machine === null) return LISTED_NAMES[id] ?? null;
  return machine.purchaseOption === 'on-demand' ? machineName(machine.instanceType) : null;
}

/**
 * What the list asks for a price in a region: the first tier that costs anything, since free volumes
 * and discounts belong to accounts and not to videos. Null when the list does not have it.
 *
 * @throws InvalidInputError when products of that name disagree, or count in another unit.
 */
export function findListedPrice(
  products: readonly ListedProduct[],
  id: PriceId,
  region: string,
): ListedPrice | null {
  const name = listedNameOf(id);
  if (name === null) return null;
  const { usagePrefixes } = listedRegion(region);
  const usageTypes = new Set(
    usagePrefixes.flatMap((prefix) => name.usageTypes.map((usageType) => `${prefix}${usageType}`)),
  );
  const [first, ...others] = products
    .filter(
      ({ service, attributes }) =>
        service === name.service &&
        usageTypes.has(attributes['usagetype'] ?? '') &&
        regionOf(attributes) === region &&
        Object.entries(name.attributes ?? {}).every(
          ([attribute, value]) => (attributes[attribute] ?? '') === value,
        ),
    )
    .map((product) => ({ product, tier: paidTier(product) }));
  if (first === undefined) return null;
  const { product, tier } = first;
  const other = others.find((each) => each.tier.amount !== tier.amount);
  if (other !== undefined) {
    throw new InvalidInputError(
      id,
      `the price list has two prices of ${id} in ${region}: SKU ${product.sku} and SKU ${other.product.sku}`,
      'say in layers/readers/price-list-names.ts what tells them apart',
    );
  }
  if (!name.units.includes(tier.unit)) {
    throw new InvalidInputError(
      id,
      `the price list counts ${id} (${tier.rateCode}) in ${tier.unit}, not in ${name.units.join(' or ')}`,
      'correct its unit in layers/readers/price-list-names.ts once it is known what it means',
    );
  }
  if (tier.amount === 0n) {
    throw new InvalidInputError(
      id,
      `the price list asks nothing for ${id} (${tier.rateCode})`,
      'see whether the product is the right one: a price is never zero',
    );
  }
  return {
    id,
    amount: tier.amount * BigInt(name.times ?? 1),
    rateCode: tier.rateCode,
    service: product.service,
    effectiveOn: product.effectiveOn,
    publishedOn: product.publishedOn,
  };
}

/** Regions that products are of. */
export function regionsIn(products: readonly ListedProduct[]): string[] {
  return [...new Set(products.map(({ attributes }) => regionOf(attributes)))]
    .filter((region) => region !== '')
    .sort();
}

/** @throws InvalidInputError when nobody has looked what the list calls it. */
export function listedRegion(region: string): ListedRegion {
  const known = LISTED_REGIONS[region];
  if (known !== undefined) return known;
  throw new InvalidInputError(
    'region',
    `the price list's name of ${region} is unknown`,
    `use one of ${Object.keys(LISTED_REGIONS).join(', ')}`,
  );
}

/** Data transfer is of the region that it leaves; its products have a location and not always a code. */
function regionOf(attributes: Readonly<Record<string, string>>): string {
  const code = attributes['regionCode'] ?? attributes['fromRegionCode'];
  if (code !== undefined) return code;
  const place = attributes['fromLocation'] ?? attributes['location'] ?? '';
  const [region = place] =
    Object.entries(LISTED_REGIONS).find(([, { location }]) => location === place) ?? [];
  return region;
}

function paidTier({ tiers }: ListedProduct): ListedTier {
  return tiers.find(({ amount }) => amount > 0n) ?? tiers[0]!;
}
