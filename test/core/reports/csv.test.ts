import { parse } from 'csv-parse/sync';
import { describe, expect, test } from 'vitest';
import { collect } from '../../collect.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { CSV_COLUMNS, csvText, reportCsv } from '#core/reports/csv.ts';
import { GROUPINGS, type Grouping } from '#core/reports/grouping.ts';
import { makeReport, reportVideos } from '#core/reports/report.ts';
import { sampleJob, sampleResult } from '../../aws/samples.ts';
import { measured, questionOf, sourcesOf, worked, type SampleSources } from './sample-sources.ts';

const RANGE = { from: '2026-11-01', to: '2026-11-03' };

const SAMPLE: SampleSources = {
  jobs: [
    sampleJob({
      videoId: 'vid_1',
      tenant: 'acme',
      createdAt: '2026-11-01T10:00:00.000Z',
      status: 'completed',
      result: sampleResult({ hit: 'object+background' }),
      usage: [worked(12.345, { idleSeconds: 3, coldStartSeconds: 60 })],
    }),
    sampleJob({
      videoId: 'vid_2',
      tenant: '=HYPERLINK("http://evil.example","x")',
      modelRevision: 'a "quoted", one',
      createdAt: '2026-11-02T10:00:00.000Z',
      status: 'failed',
      backfill: { backfillId: 'bkf_1', line: 3 },
      usage: [worked(7)],
    }),
  ],
  runs: [measured('2026-11-02T00:00:00.000Z', { videoBytes: 2 ** 30 })],
  tails: [{ day: '2026-11-03', instanceType: 'g6.xlarge', purchaseOption: 'spot', seconds: 100 }],
};

async function csvOf(by: Grouping): Promise<string> {
  const videos = reportVideos(sourcesOf(SAMPLE), questionOf({ by, range: RANGE }));
  return (await collect(reportCsv(videos, by))).join('');
}

function rowsOf(csv: string): Record<string, string>[] {
  return parse(csv, { columns: true, record_delimiter: '\r\n' });
}

describe('a report as CSV', () => {
  test.each(GROUPINGS)('by %s adds up to the report, every digit of it', async (by) => {
    const report = await makeReport(sourcesOf(SAMPLE), questionOf({ by, range: RANGE }));

    const rows = rowsOf(await csvOf(by));

    const sum = (column: string): bigint =>
      rows.reduce((total, row) => {
        const text = row[column]!;
        expect(text).toMatch(/^$|^\d+\.\d{12}$/);
        return text === '' ? total : total + parseUsd(text, column);
      }, 0n);
    expect(sum('total_usd')).toBe(report.videos.total);
    expect(sum('wasted_usd')).toBe(report.videos.wasted);
    expect(sum('idle_usd')).toBe(report.videos.idle + report.tails!);
    expect(sum('storage_usd')).toBe(report.storage);
    expect(sum('all_usd')).toBe(report.all);
    expect(sum('loaded_usd') + sum('storage_usd')).toBe(report.all);
    expect(report.storage).toBeGreaterThan(0n);
    expect(report.tails).toBeGreaterThan(0n);
  });

  test('has the columns that are written down, in their order', async () => {
    const [header] = (await csvOf('day')).split('\r\n');

    expect(header).toBe(CSV_COLUMNS.join(','));
    for (const row of parse(await csvOf('video'))) expect(row).toHaveLength(CSV_COLUMNS.length);
  });

  test('says of each video what it was', async () => {
    const [first, second, ...others] = rowsOf(await csvOf('video'));

    expect(first).toMatchObject({
      kind: 'video',
      key: 'vid_1',
      created_at: '2026-11-01T10:00:00.000Z',
      tenant: 'acme',
      hit: 'object+background',
      status: 'completed',
      backfill: '',
      videos: '1',
      completed: '1',
      failed: '0',
      gpu_seconds: '12.345',
      steps_run: '4',
      steps_full: '12',
    });
    expect(second).toMatchObject({ status: 'failed', hit: '', backfill: 'bkf_1', failed: '1' });
    expect(others.map(({ kind, key }) => `${kind} ${key}`)).toEqual([
      'storage 2026-11-02',
      'idle-machines 2026-11-03',
      'storage 2026-11-03',
    ]);
  });

  test('keeps prompts to itself', async () => {
    expect(await csvOf('video')).not.toContain('a red ball');
  });

  test('gives a spreadsheet no formula to run', async () => {
    const [, second] = rowsOf(await csvOf('video'));

    expect(second!['tenant']).toBe(`'=HYPERLINK("http://evil.example","x")`);
    expect(second!['model']).toBe('a "quoted", one');
  });
});

test.each([
  ['=1+1', `"'=1+1"`],
  ['+31 6', `"'+31 6"`],
  ['-2', `"'-2"`],
  ['@SUM(A1)', `"'@SUM(A1)"`],
  ['\t=1', `"'\t=1"`],
  ['\r\n=1', `"'\r\n=1"`],
  ['＝1', `"'＝1"`],
  ['a,b', '"a,b"'],
  ['a"b', '"a""b"'],
  ['a\nb', '"a\nb"'],
  [' a', '" a"'],
  ['acme-1', 'acme-1'],
  ['(no backfill)', '(no backfill)'],
  ['', ''],
])('%j is the cell %j', (text, cell) => {
  expect(csvText(text)).toBe(cell);
});
