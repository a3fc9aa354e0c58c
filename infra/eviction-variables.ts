import type { Construct } from 'constructs';
import { ENVIRONMENT } from '#functions/shared/environment.ts';
import { deployedCompatibilityKey, readModelManifest } from './model-layers.ts';
import { settingsOf } from './settings.ts';

/** Returns the variables of functions that evaluate entries, except the storage class. */
export function evictionVariables(scope: Construct): Record<string, string> {
  const settings = settingsOf(scope);
  const { cacheBudgetUsd, moveStorageClasses, evictOtherModels } = settings;
  return {
    [ENVIRONMENT.cacheBudgetUsd]: cacheBudgetUsd === null ? '' : String(cacheBudgetUsd),
    [ENVIRONMENT.moveStorageClasses]: String(moveStorageClasses),
    [ENVIRONMENT.onlyCompatibilityKey]: evictOtherModels ? deployedCompatibilityKey(scope) : '',
    [ENVIRONMENT.embeddingDimensions]: String(readModelManifest(scope).embedding.dimensions),
    [ENVIRONMENT.pricedInstanceType]: settings.interactiveInstanceTypes[0]!,
    [ENVIRONMENT.pricedPurchase]: settings.interactivePurchase,
  };
}
