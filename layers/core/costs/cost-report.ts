import type { CostBasis, JobCost } from './cost.ts';
import { formatUsd } from '../pricing/money.ts';

/** A video's cost in dollars as text: every digit, so that the parts add up exactly to their sum. */
export interface CostReport {
  /** Marginal: what was used for the video. The items add up to it. */
  total: string;
  /** The part of `total` that came to nothing. */
  wasted: string;
  /** Machines that waited for the video, and that started for it. */
  idle: string;
  coldStart: string;
  /** `total`, `idle` and `coldStart` together. */
  loaded: string;
  /** What the same video would have cost without reuse; `total` and `saved` together. */
  full: string;
  saved: string;
  currency: 'USD';
  items: CostReportItem[];
  /** The machine that finished the video. */
  pricedAs: CostBasis;
  prices: { region: string; asOf: string };
}

/** One price, and what was used of it. */
export interface CostReportItem {
  /** As in the price book, `ec2.g6.xlarge.spot`. */
  id: string;
  unit: string;
  quantity: number;
  amount: string;
  wasted: string;
}

/** @example costReport(costOfJob(job, book)).total // '0.002012' */
export function costReport(cost: JobCost): CostReport {
  const { total, wasted, idle, coldStart, loaded, full, saved } = cost;
  return {
    total: formatUsd(total),
    wasted: formatUsd(wasted),
    idle: formatUsd(idle),
    coldStart: formatUsd(coldStart),
    loaded: formatUsd(loaded),
    full: formatUsd(full),
    saved: formatUsd(saved),
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
