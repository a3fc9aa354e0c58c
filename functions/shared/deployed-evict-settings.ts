import { InvalidInputError } from '#core/errors.ts';
import { PURCHASE_OPTIONS } from '#core/pricing/prices.ts';
import { isStorageClass, STORAGE_CLASSES } from '#core/costs/storage-class.ts';
import { deployedPrices } from './deployed-prices.ts';
import { ENVIRONMENT } from './environment.ts';
import type { EvictSettings } from '#retention/evict-settings.ts';

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Eviction settings of the deployment, as infra/retention-stack.ts passes them.
 *
 * @throws InvalidInputError naming the variable that is wrong.
 */
export function deployedEvictSettings(variables: Variables = process.env): EvictSettings {
  const { embeddingDimensions, cacheBudgetUsd, pricedInstanceType, pricedPurchase } = ENVIRONMENT;
  const text = (name: string): string => variables[name] ?? '';
  const storageClass = text(ENVIRONMENT.storageClass);
  if (!isStorageClass(storageClass)) {
    throw wrong(ENVIRONMENT.storageClass, storageClass, STORAGE_CLASSES.join(', '));
  }
  const dimensions = Number(text(embeddingDimensions));
  if (!(Number.isInteger(dimensions) && dimensions > 0)) {
    throw wrong(embeddingDimensions, text(embeddingDimensions), 'a whole number above 0');
  }
  const budget = text(cacheBudgetUsd);
  if (budget !== '' && !(Number(budget) >= 0 && Number.isFinite(Number(budget)))) {
    throw wrong(cacheBudgetUsd, budget, 'dollars, or nothing for no budget');
  }
  const purchaseOption = PURCHASE_OPTIONS.find((option) => option === text(pricedPurchase));
  if (purchaseOption === undefined) {
    throw wrong(pricedPurchase, text(pricedPurchase), PURCHASE_OPTIONS.join(' or '));
  }
  const instanceType = text(pricedInstanceType);
  if (instanceType === '') throw wrong(pricedInstanceType, '', 'an instance type');
  return {
    book: deployedPrices(variables),
    dimensions,
    storageClass,
    machine: { instanceType, purchaseOption },
    budgetUsd: budget === '' ? null : Number(budget),
    movesStorageClasses: text(ENVIRONMENT.moveStorageClasses) === 'true',
    onlyCompatibilityKey: text(ENVIRONMENT.onlyCompatibilityKey) || null,
  };
}

function wrong(name: string, value: string, expected: string): InvalidInputError {
  return new InvalidInputError(
    name,
    `environment variable ${name} is ${JSON.stringify(value)}, not ${expected}`,
    'deploy the function with the stack of infra/retention-stack.ts',
  );
}
