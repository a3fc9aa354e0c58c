import { dollarRates } from '#core/costs/charges.ts';
import { SECONDS_PER_MONTH, type PolicyContext } from '#core/retention/estimate-value.ts';
import { ReuseModel } from '#core/retention/reuse-model.ts';
import { KEY_RULES, KeyPolicy } from './key-policies.ts';
import { FastTierRentPolicy, RentPolicy } from './rent-policy.ts';
import type { ReplacementPolicy } from './replacement.ts';
import type { CacheSetup, SimulationOptions } from './types.ts';

/** Creates the policy of a cache and that of its fast tier. */
export function policiesOf(
  { policy }: CacheSetup,
  options: SimulationOptions,
  requests: () => number,
): { main: ReplacementPolicy; fast: ReplacementPolicy } {
  if (policy !== 'rent') {
    const rule = KEY_RULES[policy === 'none' ? 'lru' : policy];
    return { main: new KeyPolicy(rule()), fast: new KeyPolicy(rule()) };
  }
  const context = contextOf(options, requests);
  return { main: new RentPolicy(context), fast: new FastTierRentPolicy(context) };
}

function contextOf(
  { book, dollarsPerGpuSecond }: SimulationOptions,
  requests: () => number,
): (now: number) => PolicyContext {
  const rates = dollarRates(book);
  let model: ReuseModel | null = null;
  let from = 0;
  return (now) => {
    if (model === null) {
      model = new ReuseModel(now);
      from = now;
    }
    const months = Math.max(now - from, DAY) / (SECONDS_PER_MONTH * 1000);
    return {
      now,
      model,
      rates,
      dollarsPerGpuSecond,
      queriesPerMonth: requests() / months,
      vectorsInIndex: 0,
    };
  };
}

const DAY = 24 * 3_600_000;
