import type { Report } from '#core/reports/report.ts';

/** How much of the time lies behind a measure of what was kept; empty when all of it does. */
export function measuredShare({ days }: Report): string {
  const sum = (field: 'milliseconds' | 'measuredMilliseconds'): number =>
    days.reduce((total, { storage }) => total + (storage?.[field] ?? 0), 0);
  const share = sum('measuredMilliseconds') / sum('milliseconds');
  if (share === 1) return '';
  return Number.isNaN(share) || share === 0
    ? ', because nothing was measured'
    : `, measured for ${(100 * share).toFixed(1)} % of the time`;
}

/** What a reader must know to take the figures for what they are. */
export function remarksOf(report: Report): string[] {
  const { region, asOf, tenant, storage, days, prices, videos } = report;
  const remarks = [
    `List prices of ${region} as of ${asOf}, without volume discounts, free allowances and tax; each video by the prices of the day on which it was asked for.`,
    'Work of the embedded worker is not billed: it is priced as the reference machine of the price book.',
  ];
  if (tenant !== null) {
    remarks.push(
      'Storage and machines without any video belong to no tenant: they are not in this report.',
    );
  } else if (storage !== null && measuredShare(report) !== '') {
    remarks.push(
      'Storage is charged from the first pass over the cache on: what no pass has measured is in no amount. flexcache evict --dry-run measures it.',
    );
  }
  const underWay = days.some(({ videos: { statuses } }) => statuses.queued + statuses.running > 0);
  if (underWay) remarks.push('Videos under way are in it with what they have cost so far.');
  if (videos.unmeasuredRequests > 0) {
    remarks.push(
      `${videos.unmeasuredRequests} requests were not measured, because their service did not say what it charges: they are in no amount.`,
    );
  }
  const uncertain = prices.filter(({ isUncertain }) => isUncertain);
  if (uncertain.length > 0) {
    remarks.push(
      `Prices not verified against a price list: ${[...new Set(uncertain.map(({ id }) => id))].join(', ')}.`,
    );
  }
  return remarks;
}
