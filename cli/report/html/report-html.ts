import { TopVideos } from '#core/reports/top-videos.ts';
import type { Report } from '#core/reports/report.ts';
import type { VideoLine } from '#core/reports/video-line.ts';
import { measuredShare, remarksOf } from '../remarks.ts';
import { costSection, evictionsSection, savedSection, storageSection } from './daily-sections.ts';
import { percent, usd } from './dollars.ts';
import { escapeHtml } from './escape-html.ts';
import { periodsOf } from './periods.ts';
import { groupsSection } from './groups-section.ts';
import { tableSection } from './sections.ts';
import { STYLE } from './style.ts';
import {
  topVideosSection,
  hitsSection,
  histogramSection,
  tenantsSection,
} from './video-sections.ts';

const SHOWN_VIDEOS = 20;

/**
 * Renders a report as one self-contained HTML page without scripts: charts are inline SVG, and the content
 * security policy forbids loading anything.
 */
export async function* reportHtml(
  videos: AsyncGenerator<VideoLine, Report, void>,
): AsyncGenerator<string> {
  const topVideos = new TopVideos(SHOWN_VIDEOS);
  for (;;) {
    const { done, value } = await videos.next();
    if (done) {
      yield page(value, topVideos.sorted());
      return;
    }
    topVideos.add(value);
  }
}

function page(report: Report, topVideos: readonly VideoLine[]): string {
  const { range, tenant, madeAt, region, asOf } = report;
  const periods = periodsOf(report.days);
  const days = range.from === range.to ? range.from : `${range.from} to ${range.to}`;
  const title = tenant === null ? 'Video costs' : `Video costs of ${tenant}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}, ${days}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${days}, UTC. US dollars at list prices of ${escapeHtml(region)} as of ${escapeHtml(asOf)}. Created ${madeAt.slice(0, 'YYYY-MM-DDTHH:MM'.length).replace('T', ' ')} UTC.</p>
${tiles(report)}
</header>
<main>
${[
  costSection(report, periods),
  savedSection(report, periods),
  hitsSection(report),
  histogramSection(report),
  tenantsSection(report),
  groupsSection(report),
  storageSection(report, periods, measuredShare(report)),
  evictionsSection(report, periods),
  topVideosSection(topVideos),
  remarksSection(report),
  pricesSection(report),
]
  .filter((section) => section !== '')
  .join('\n')}
</main>
</body>
</html>
`;
}

function tiles({ videos, tails, storage, all, range, days }: Report): string {
  const { completed, failed, cancelled } = videos.statuses;
  const tile = (name: string, figure: string, says: string): string =>
    `<div class="tile"><h2>${name}</h2><p class="figure">${figure}</p><p>${escapeHtml(says)}</p></div>`;
  const machines = videos.idle + videos.coldStart + (tails ?? 0n);
  const perVideo =
    videos.videos === 0
      ? 'no videos'
      : `${usd(videos.total / BigInt(videos.videos))} per video on average`;
  return `<div class="tiles">
${tile('All', usd(all), `${range.from === range.to ? 'one day' : `${days.length} days`}, sum of the costs below`)}
${tile('GPU, generating videos', usd(videos.gpu), perVideo)}
${tile('GPU, idle', usd(machines), 'machines waiting, starting, or without a video')}
${tile('Requests', usd(videos.requests), 'functions, workflow, table, objects, vectors, queues')}
${storage === null ? '' : tile('Storage rent', usd(storage), 'storage of the cache and its videos')}
${tile('Saved by reuse', usd(videos.saved), `${percent(videos.saved, videos.full)} of the cost without reuse`)}
${tile('Wasted', usd(videos.wasted), `${percent(videos.wasted, videos.total)} of the cost of videos: retries and failures`)}
${tile('Videos', String(videos.videos), `${completed} completed, ${failed} failed, ${cancelled} canceled`)}
</div>`;
}

function remarksSection(report: Report): string {
  return `<section>
<h2>How to read this</h2>
<ul>
${remarksOf(report)
  .map((remark) => `<li>${escapeHtml(remark)}</li>`)
  .join('\n')}
<li>Amounts on this page are rounded; the CSV and JSON of the same report are exact to the pico-dollar.</li>
</ul>
</section>`;
}

function pricesSection({ prices, region, asOf }: Report): string {
  if (prices.length === 0) return '';
  return tableSection('Prices', `List prices of ${region} used in this report, as of ${asOf}.`, {
    caption: 'Prices',
    head: ['price', 'US dollars', 'unit', 'used from', 'checked', 'source'],
    texts: [2, 3, 4, 5],
    rows: prices.map(({ id, amount, unit, from, asOf: checked, source, isUncertain }) => [
      id,
      usd(amount, 12).replace(/(\.\d{2}\d*?)0+$/, '$1'),
      unit,
      from,
      checked,
      isUncertain ? `uncertain: ${source}` : source,
    ]),
  });
}
