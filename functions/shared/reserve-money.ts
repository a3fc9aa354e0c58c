import { dayAt } from '#core/day.ts';
import { FlexCacheError } from '#core/errors.ts';
import { formatUsd } from '#core/pricing/money.ts';
import type { Reservation, TenantTable } from '#ports/tenants.ts';

/** Of dollars, in a refusal. */
const SHOWN_DIGITS = 4;

/**
 * Sets money of a tenant's day aside before anything is spent; the end of the job replaces it by what
 * was spent. Whoever takes in videos does it here: API, backfills and this machine's commands.
 *
 * @param budget pico-dollars of the day; null is no limit
 * @param now epoch milliseconds
 * @throws FlexCacheError `budget_exceeded` when the day has not so much left.
 */
export async function reserveMoney(
  tenants: Pick<TenantTable, 'reserve' | 'getSpending'>,
  reservation: Reservation,
  budget: bigint | null,
  now: number = Date.now(),
): Promise<void> {
  if (await tenants.reserve(reservation, budget)) return;
  const { tenant, day, amount } = reservation;
  const spent = await tenants.getSpending(tenant, day);
  const usd = (sum: bigint): string => `$${formatUsd(sum, SHOWN_DIGITS)}`;
  throw new FlexCacheError(
    'budget_exceeded',
    `${usd(spent)} of the ${usd(budget!)} of ${day} (UTC) are spent or reserved, and this video may take ${usd(amount)}`,
    {
      fix:
        day === dayAt(now)
          ? 'try again tomorrow, or have the budget raised'
          : 'have the budget raised: a video that was asked for before belongs to the day on which it was',
    },
  );
}
