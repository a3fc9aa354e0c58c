import type { Amounts } from '#core/costs/amounts.ts';
import Table from 'cli-table3';
import { formatUsd } from '#core/pricing/money.ts';
import { TopVideos } from '#core/reports/top-videos.ts';
import type { Report } from '#core/reports/report.ts';
import type { VideoLine } from '#core/reports/video-line.ts';
import { measuredShare, remarksOf } from './remarks.ts';

/** Maximum rows; the CSV has all of them. */
const SHOWN_ROWS = 200;

/** Decimals of dollar amounts; the other formats are exact. */
const DIGITS = 6;

const KEY_CHARACTERS = 40;

/** Renders a report as text. */
export async function* reportTable(
  videos: AsyncGenerator<VideoLine, Report, void>,
): AsyncGenerator<string> {
  const topVideos = new TopVideos(SHOWN_ROWS);
  for (;;) {
    const { done, value } = await videos.next();
    if (done) {
      yield rows(value, topVideos);
      yield summary(value);
      return;
    }
    topVideos.add(value);
  }
}

function rows(report: Report, topVideos: TopVideos): string {
  const { by, groups, videos } = report;
  const table = new Table({
    head: [
      by,
      by === 'video' ? 'hit' : 'videos',
      'GPU $',
      'requests $',
      'total $',
      'wasted $',
      'idle $',
      'saved $',
    ],
    style: { head: [], border: [], compact: true },
    colAligns: ['left', ...Array.from({ length: 7 }, () => 'right' as const)],
  });
  const lines =
    by === 'video'
      ? topVideos.sorted().map((line) => [line.videoId, line.hit ?? line.status, ...amounts(line)])
      : groups
          .slice(0, SHOWN_ROWS)
          .map(({ key, sums }) => [shorten(key), String(sums.videos), ...amounts(sums)]);
  for (const line of lines) table.push(line);
  const count = by === 'video' ? videos.videos : groups.length;
  const rest = count - lines.length;
  const more =
    rest > 0 ? `the ${lines.length} most expensive; ${rest} more with --format csv\n` : '';
  return `${table.toString()}\n${more}`;
}

function amounts({ gpu, requests, total, wasted, idle, coldStart, saved }: Amounts): string[] {
  return [gpu, requests, total, wasted, idle + coldStart, saved].map((amount) =>
    formatUsd(amount, DIGITS),
  );
}

function summary(report: Report): string {
  const { videos, tails, storage, all, range, tenant } = report;
  const { completed, failed, cancelled, queued, running } = videos.statuses;
  const underWay = queued + running;
  const usd = (amount: bigint): string => `$${formatUsd(amount, DIGITS)}`;
  const lines: [string, string][] = [
    ['days', `${range.from} to ${range.to}, UTC${tenant === null ? '' : `, tenant ${tenant}`}`],
    [
      'videos',
      `${videos.videos} requested: ${completed} completed, ${failed} failed, ${cancelled} canceled${underWay === 0 ? '' : `, ${underWay} in progress`}`,
    ],
    ['GPU', usd(videos.gpu)],
    ['requests', usd(videos.requests)],
    ['total', `${usd(videos.total)}, of which ${usd(videos.wasted)} is waste`],
    ['saved', `${usd(videos.saved)} of ${usd(videos.full)} without reuse`],
    [
      'idle',
      `${usd(videos.idle)} for machines waiting for these videos, ${usd(videos.coldStart)} for starting ones`,
    ],
  ];
  if (tails !== null) lines.push(['machines', `${usd(tails)} for machines without any video`]);
  if (storage !== null) lines.push(['storage', `${usd(storage)}${measuredShare(report)}`]);
  lines.push(['all', usd(all)]);
  for (const remark of remarksOf(report)) lines.push(['', remark]);
  return `${lines.map(([name, text]) => `${name.padEnd(9)} ${text}`.trimEnd()).join('\n')}\n`;
}

function shorten(key: string): string {
  return key.length <= KEY_CHARACTERS ? key : `${key.slice(0, KEY_CHARACTERS - 1)}…`;
}
