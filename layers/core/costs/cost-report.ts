import type { CostBasis, JobCost } from './cost.ts';
import { mapAmounts, type Amounts } from './amounts.ts';
import { formatUsd } from '../pricing/money.ts';

/**
 * A video's `Amounts` as exact dollars in text, so that parts add up to their sum. Items add up to `total`.
 */
export interface CostReport extends Record<Exclude<keyof Amounts, 'gpu' | 'requests'>, string> {
  currency: 'USD';
  items: CostReportItem[];
  /** The machine that finished the video. */
  pricedAs: CostBasis;
  prices: { region: string; asOf: string };
}

/** Usage at one price. */
export interface CostReportItem {
  /** Price id, `ec2.g6.xlarge.spot`. */
  id: string;
  unit: string;
  quantity: number;
  amount: string;
  wasted: string;
}

/** Formats a cost for the API. @example costReport(costOfJob(job, book)).total // '0.002012' */
export function costReport(cost: JobCost): CostReport {
  const { gpu: _gpu, requests: _requests, ...amounts } = mapAmounts(cost, formatUsd);
  return {
    ...amounts,
    currency: 'USD',
    items: cost.items.map((item) => ({
      id: item.priceId,
      unit: item.unit,
      quantity: item.quantity,
      amount: formatUsd(item.amount),
      wasted: formatUsd(item.wasted),
    })),
    pricedAs: cost.basis,
    prices: { region: cost.region, asOf: cost.asOf },
  };
}
