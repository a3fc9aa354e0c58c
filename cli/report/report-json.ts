import { mapAmounts } from '#core/costs/amounts.ts';
import { formatUsd } from '#core/pricing/money.ts';
import type { Report, ReportDay, ReportQuestion } from '#core/reports/report.ts';
import type { Sums } from '#core/reports/sums.ts';
import type { VideoLine } from '#core/reports/video-line.ts';

/**
 * Streams a report as one JSON object, with exact dollar amounts as text. Its shape is a public contract;
 * see docs/reports.md.
 */
export async function* reportJson(
  videos: AsyncGenerator<VideoLine, Report, void>,
  { by, range, tenant, book }: ReportQuestion,
): AsyncGenerator<string> {
  const head = {
    format: 'flexcache-report/1',
    by,
    ...range,
    tenant,
    region: book.region,
    pricesAsOf: book.asOf,
    currency: 'USD',
  };
  yield `${JSON.stringify(head).slice(0, -1)},"rows":[`;
  let separator = '\n';
  const row = (value: object): string => {
    const text = `${separator}${JSON.stringify(value)}`;
    separator = ',\n';
    return text;
  };
  for (;;) {
    const { done, value } = await videos.next();
    if (!done) {
      if (by === 'video') yield row(videoRow(value));
      continue;
    }
    for (const { key, sums } of value.groups) yield row({ key, ...sumsRow(sums) });
    yield `\n],${JSON.stringify(totals(value)).slice(1)}\n`;
    return;
  }
}

function videoRow(video: VideoLine): object {
  const { videoId, createdAt, tenant, modelRevision, backfillId, status, hit } = video;
  return {
    key: videoId,
    createdAt,
    tenant,
    model: modelRevision,
    backfill: backfillId,
    status,
    hit,
    ...amounts(video),
  };
}

function sumsRow({ videos, statuses, ...sums }: Sums): object {
  return { videos, statuses, ...amounts(sums) };
}

function amounts(sums: Omit<Sums, 'videos' | 'statuses'>): object {
  return {
    usd: mapAmounts(sums, formatUsd),
    usdByService: Object.fromEntries(
      [...sums.services].map(([service, amount]) => [service, formatUsd(amount)]),
    ),
    gpuSeconds: sums.gpuMilliseconds / 1000,
    stepsRun: sums.stepsRun,
    stepsFull: sums.stepsFull,
    unmeasuredRequests: sums.unmeasuredRequests,
  };
}

function totals(report: Report): object {
  const { tails, storage, all, days, prices, madeAt } = report;
  return {
    videos: sumsRow(report.videos),
    idleMachines: tails === null ? null : { usd: formatUsd(tails) },
    storage: storage === null ? null : { usd: formatUsd(storage), days: days.flatMap(storageDay) },
    evictions: days.flatMap(({ day, evictions }) =>
      evictions.size === 0 ? [] : [{ day, ...Object.fromEntries(evictions) }],
    ),
    all: { usd: formatUsd(all) },
    prices: prices.map(({ amount, ...price }) => ({ ...price, usd: formatUsd(amount) })),
    madeAt,
  };
}

function storageDay({ storage }: ReportDay): object[] {
  if (storage === null) return [];
  const { day, amount, items, milliseconds, measuredMilliseconds } = storage;
  return [
    {
      day,
      usd: formatUsd(amount),
      items: Object.fromEntries([...items].map(([id, share]) => [id, formatUsd(share)])),
      seconds: milliseconds / 1000,
      measuredSeconds: measuredMilliseconds / 1000,
    },
  ];
}
