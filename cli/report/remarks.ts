import type { Report } from '#core/reports/report.ts';

/** Returns the share of the time with measured storage; empty if all of it is measured. */
export function measuredShare({ days }: Report): string {
  const sum = (field: 'milliseconds' | 'measuredMilliseconds'): number =>
    days.reduce((total, { storage }) => total + (storage?.[field] ?? 0), 0);
  const share = sum('measuredMilliseconds') / sum('milliseconds');
  if (share === 1) return '';
  return Number.isNaN(share) || share === 0
    ? ', because nothing was measured'
    : `, measured for ${(100 * share).toFixed(1)} % of the time`;
}

/** Returns notes on how to interpret the figures. */
export function remarksOf(report: Report): string[] {
  const { region, asOf, tenant, storage, days, prices, videos } = report;
  const remarks = [
    `List prices of ${region} as of ${asOf}, without volume discounts, free allowances and tax; each video at the prices of the day of its request.`,
    'The embedded worker is not billed; its work is priced as the reference machine of the price book.',
  ];
  if (tenant !== null) {
    remarks.push(
      'Storage and machines without any video belong to no tenant and are not in this report.',
    );
  } else if (storage !== null && measuredShare(report) !== '') {
    remarks.push(
      'Storage is charged from the first eviction pass on; earlier storage is not included. Measure it with flexcache evict --dry-run.',
    );
  }
  const underWay = days.some(({ videos: { statuses } }) => statuses.queued + statuses.running > 0);
  if (underWay) remarks.push('Videos in progress are included with their cost so far.');
  if (videos.unmeasuredRequests > 0) {
    remarks.push(
      `${videos.unmeasuredRequests} requests are not included, because their service did not report usage.`,
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
