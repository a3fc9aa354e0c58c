import { InvalidInputError } from '#core/errors.ts';
import { parseMeasuredPrices, withMeasuredPrices } from '#core/pricing/measured-prices.ts';
import {
  machinePriceId,
  PRICE_REGIONS,
  priceBookOf,
  type PriceBook,
  type PurchaseOption,
} from '#core/pricing/prices.ts';
import { bookRegionOf } from '#functions/shared/deployed-prices.ts';
import { ENVIRONMENT } from '#functions/shared/environment.ts';
import type { Settings } from './settings.ts';

type PriceSettings = Pick<Settings, 'region' | 'priceRegion' | 'priceOverrides'>;

/** Returns the price variables of functions. Without a region setting, each function uses its own region. */
export function priceVariables(settings: PriceSettings): Record<string, string> {
  const region = priceRegionOf(settings);
  return {
    ...(region !== null && { [ENVIRONMENT.priceRegion]: region }),
    ...(settings.priceOverrides !== null && {
      [ENVIRONMENT.priceOverrides]: settings.priceOverrides,
    }),
  };
}

/**
 * Checks that every machine has a price for its purchase options: without one its videos cannot be charged.
 *
 * @param deployingRegion region of the deployment's credentials, if the settings have none; null if unknown
 * @throws InvalidInputError with the setting and the machine.
 */
export function refuseUnpricedMachines(settings: Settings, deployingRegion: string | null): void {
  const region = priceRegionOf(settings) ?? bookRegionOf(deployingRegion);
  const book = withMeasuredPrices(
    priceBookOf(region),
    parseMeasuredPrices(settings.priceOverrides ?? '', 'priceOverrides'),
  );
  const { interactivePurchase, backfillPurchase } = settings;
  const backfillOptions: PurchaseOption[] =
    backfillPurchase === 'spot-then-on-demand' ? ['spot', 'on-demand'] : [backfillPurchase];
  refuseUnpriced(book, 'interactiveInstanceTypes', settings.interactiveInstanceTypes, [
    interactivePurchase,
  ]);
  refuseUnpriced(book, 'backfillInstanceTypes', settings.backfillInstanceTypes, backfillOptions);
}

function refuseUnpriced(
  book: PriceBook,
  setting: string,
  instanceTypes: readonly string[],
  options: readonly PurchaseOption[],
): void {
  for (const instanceType of instanceTypes) {
    for (const purchaseOption of options) {
      const priceId = machinePriceId({ instanceType, purchaseOption });
      if (book.prices.has(priceId)) continue;
      throw new InvalidInputError(
        setting,
        `${setting} contains ${instanceType}, but there is no price for ${priceId} in ${book.region}`,
        `remove it if the region does not offer it, or set its price: -c priceOverrides=${priceId}=1.23`,
      );
    }
  }
}

function priceRegionOf({ region, priceRegion }: PriceSettings): string | null {
  const wanted = priceRegion ?? region;
  if (wanted === null || PRICE_REGIONS.includes(wanted)) return wanted;
  throw new InvalidInputError(
    'priceRegion',
    `there is no price book of ${wanted}`,
    `use the nearest of ${PRICE_REGIONS.join(', ')}, for example -c priceRegion=${PRICE_REGIONS[0]}, or add layers/core/pricing/prices/${wanted}.json`,
  );
}
