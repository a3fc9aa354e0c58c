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

/** What functions are told of prices. Nothing of the region while that is not known: they take their own. */
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
 * Whatever a machine is bought as, its work must have a price: a video that cannot be priced cannot be
 * settled. Where the settings leave the region open, functions reckon by the book of the region that
 * they come to run in.
 *
 * @param deployingRegion of whoever deploys; null while nobody does.
 * @throws InvalidInputError naming the setting and the machine.
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
        `${setting} has ${instanceType}, and there is no price of ${priceId} in ${book.region}`,
        `leave it out where the region does not offer it, or give its price: -c priceOverrides=${priceId}=1.23`,
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
    `give the nearest that there is, -c priceRegion=${PRICE_REGIONS[0]}, or add layers/core/pricing/prices/${wanted}.json; there are ${PRICE_REGIONS.join(', ')}`,
  );
}
