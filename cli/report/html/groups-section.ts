import type { Grouping } from '#core/reports/grouping.ts';
import type { Report } from '#core/reports/report.ts';
import { tableSection } from './sections.ts';

/** Groupings that other sections cover. */
const SHOWN_ELSEWHERE: readonly Grouping[] = ['video', 'day', 'hit', 'tenant'];

const SHOWN_GROUPS = 100;

/** Renders the rows of the report's grouping. */
export function groupsSection({ by, groups }: Report): string {
  if (SHOWN_ELSEWHERE.includes(by) || groups.length === 0) return '';
  const shown = groups.slice(0, SHOWN_GROUPS);
  const title = `By ${by}`;
  const says =
    groups.length > shown.length
      ? `The ${shown.length} of ${groups.length} most expensive; the CSV has all of them.`
      : 'By cost, highest first.';
  return tableSection(title, says, {
    caption: title,
    head: [by, 'videos', 'GPU', 'requests', 'total', 'wasted', 'waiting or starting', 'saved'],
    rows: shown.map(({ key, sums }) => [
      key,
      String(sums.videos),
      sums.gpu,
      sums.requests,
      sums.total,
      sums.wasted,
      sums.idle + sums.coldStart,
      sums.saved,
    ]),
  });
}
