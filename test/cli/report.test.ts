import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { parseUsd } from '#core/pricing/money.ts';
import { openTenants } from '#local/open-tenants.ts';
import type { DynamoItemsOptions } from '#aws/dynamo-items.ts';
import { DynamoIdleTable } from '#aws/dynamo-idle-table.ts';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { tableDefinition } from '#aws/table-definition.ts';
import { measured, worked } from '../core/reports/sample-sources.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { sampleJob, sampleResult, unique } from '../aws/samples.ts';
import { findChromium, openPage } from './browser.ts';
import { inProcess, type InProcess } from './harness.ts';
import { withEmptyState } from './state-fixture.ts';

// Processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const HOSTILE =
  '</td><script>alert("x")</script>\'"><img src=http://evil.example onerror=alert(1)>';
const DAYS = ['--from', '2026-01-30', '--to', '2026-02-02'];

/** Videos of four days with everything that a report has a word for. */
async function fill(connection: DynamoItemsOptions): Promise<void> {
  const table = new DynamoTable(connection);
  const hits = ['miss', 'background', 'object', 'whole', 'exact'] as const;
  for (let index = 0; index < 20; index++) {
    const hit = hits[index % hits.length]!;
    const isFailed = index % 9 === 8;
    await table.createJob(
      sampleJob({
        tenant: ['acme', 'initech', 'a-tenant-with-a-very-long-name-that-nobody-reads'][index % 3]!,
        createdAt: new Date(
          Date.parse('2026-01-30T01:00:00Z') + index * 4 * 3_600_000,
        ).toISOString(),
        prompt: index === 4 ? HOSTILE : 'a red ball over the sea',
        status: isFailed ? 'failed' : 'completed',
        ...(!isFailed && {
          result: sampleResult({ hit, stepsRun: 10 - (index % 5), fullSteps: 10 }),
        }),
        backfill: index % 2 === 0 ? { backfillId: 'bkf_1', line: index + 1 } : null,
        usage: [
          {
            step: 'lookup',
            run: 'a',
            lambdaMilliseconds: 200,
            lambdaMegabytes: 512,
            tableReadUnits: 9,
          },
          ...(hit === 'exact'
            ? []
            : [worked(30 + 7 * index, { idleSeconds: 5, coldStartSeconds: 20 })]),
        ],
      }),
    );
  }
  const retention = new DynamoRetentionTable(connection);
  await retention.putRun(
    measured(
      '2026-01-30T06:00:00.000Z',
      {
        videoBytes: 5e9,
        vectorBytes: 1e8,
        itemBytes: 1e8,
        latents: { 'intelligent-tiering.frequent': { count: 9, bytes: 1e9, billedBytes: 1e9 } },
        monitoredLatents: 9,
      },
      {
        verdicts: {
          keep: { count: 9, bytes: 1 },
          rent: { count: 3, bytes: 1 },
          duplicate: { count: 2, bytes: 1 },
        },
      },
    ),
  );
  await new DynamoIdleTable(connection).addIdle({
    day: '2026-02-01',
    workerId: 'worker-1',
    instanceType: 'g6.xlarge',
    purchaseOption: 'spot',
    seconds: 600,
  });
}

let template: string;

beforeAll(async () => {
  template = await mkdtemp(join(tmpdir(), 'flexcache-report-'));
  await using state = await openTenants(template);
  await fill(state.connection);
});

afterAll(() => rm(template, { recursive: true, force: true }));

/** A state folder of its own that was filled once. */
async function filled(): Promise<InProcess> {
  const harness = await inProcess();
  await cp(template, join(harness.folder, '.flexcache'), { recursive: true });
  return harness;
}

interface ReportJson {
  rows: { key: string; videos?: number; usd: Record<string, string> }[];
  videos: { videos: number; usd: Record<string, string> };
  idleMachines: { usd: string } | null;
  storage: { usd: string } | null;
  all: { usd: string };
}

const usd = (text: string): bigint => parseUsd(text, 'usd');

describe('flexcache report', () => {
  test.each(['video', 'day', 'tenant', 'model', 'hit', 'backfill'])(
    'by %s adds up to the same as JSON, to the pico-dollar',
    async (by) => {
      const { flexcache } = await filled();

      const { exitCode, stdout, stderr } = await flexcache(
        'report',
        '--by',
        by,
        ...DAYS,
        '--format',
        'json',
      );

      expect([exitCode, stderr]).toEqual([0, '']);
      const report = JSON.parse(stdout) as ReportJson;
      const { videos } = report;
      expect(videos.videos).toBe(20);
      for (const item of ['gpu', 'requests', 'total', 'wasted', 'idle', 'coldStart', 'saved']) {
        const sum = report.rows.reduce((total, row) => total + usd(row.usd[item]!), 0n);
        expect(sum, item).toBe(usd(videos.usd[item]!));
      }
      expect(usd(videos.usd['gpu']!) + usd(videos.usd['requests']!)).toBe(
        usd(videos.usd['total']!),
      );
      expect(usd(report.all.usd)).toBe(
        usd(videos.usd['loaded']!) + usd(report.idleMachines!.usd) + usd(report.storage!.usd),
      );
      for (const part of [report.idleMachines!.usd, report.storage!.usd, videos.usd['wasted']!]) {
        expect(usd(part)).toBeGreaterThan(0n);
      }
    },
  );

  test('the table has a row for each group and says what it was priced by', async () => {
    const { flexcache } = await filled();

    const { exitCode, stdout } = await flexcache('report', '--by', 'tenant', ...DAYS);

    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/│ acme +│ +7 │/);
    expect(stdout).toContain('days      2026-01-30 to 2026-02-02, UTC\n');
    expect(stdout).toContain('20 requested: 18 completed, 2 failed, 0 canceled');
    expect(stdout).toMatch(/machines +\$0\.0\d+ for machines without any video/);
    expect(stdout).toMatch(/storage +\$0\.\d+, measured for 93\.8 % of the time/);
    expect(stdout).toContain('List prices of us-east-1 as of ');
  });

  test('of one tenant it leaves out what belongs to nobody', async () => {
    const { flexcache } = await filled();

    const { stdout } = await flexcache('report', ...DAYS, '--tenant', 'acme', '--format', 'json');

    const report = JSON.parse(stdout) as ReportJson;
    expect(report).toMatchObject({ storage: null, idleMachines: null, videos: { videos: 7 } });
    expect(report.all.usd).toBe(report.videos.usd['loaded']);
  });

  test('prices of another region and measured ones are taken when asked for', async () => {
    const { flexcache } = await filled();
    const usdOf = async (...args: string[]): Promise<Record<string, string>> => {
      const { stdout } = await flexcache('report', ...DAYS, '--format', 'json', ...args);
      return (JSON.parse(stdout) as ReportJson).videos.usd;
    };
    const measuredPrices = ['ec2.g6.xlarge.on-demand=0.4024', 'ec2.g6.xlarge.spot=0.2'].flatMap(
      (price) => ['--override', price],
    );

    const listed = await usdOf();
    const ours = await usdOf(...measuredPrices);
    const irish = await usdOf(...measuredPrices, '--region', 'eu-west-1');

    expect(usd(ours['gpu']!)).toBe(usd(listed['gpu']!) / 2n);
    expect(ours['requests']).toBe(listed['requests']);
    expect(irish['gpu']).toBe(ours['gpu']);
    expect(usd(irish['requests']!)).toBeGreaterThan(usd(ours['requests']!));
  });

  test('a price that the book does not have is named, never zero', async () => {
    const { flexcache } = await filled();

    const { exitCode, stderr } = await flexcache('report', ...DAYS, '--region', 'eu-west-1');

    expect(exitCode).toBe(1);
    expect(stderr).toContain('there is no price for ec2.g6.xlarge.');
  });

  test('--out writes the file whole, or not at all', async () => {
    const { flexcache, folder } = await filled();

    const asked = ['--by', 'video', ...DAYS, '--format', 'csv', '--out', 'deep/report.csv'];
    const { exitCode, stdout, stderr } = await flexcache('report', ...asked);

    expect([exitCode, stdout]).toEqual([0, '']);
    expect(stderr).toContain('deep/report.csv');
    const lines = (await readFile(join(folder, 'deep', 'report.csv'), 'utf8'))
      .trimEnd()
      .split('\r\n');
    // Header, videos, one tail, storage of four days.
    expect(lines).toHaveLength(1 + 20 + 1 + 4);
  });

  test('while another command holds the state folder its table is used', async () => {
    const { flexcache, folder } = await filled();
    await using holder = await openTenants(join(folder, '.flexcache'));

    const { exitCode, stdout } = await flexcache('report', ...DAYS, '--format', 'json');

    expect(holder).toBeDefined();
    expect(exitCode).toBe(0);
    expect((JSON.parse(stdout) as ReportJson).videos.videos).toBe(20);
  });

  test.each([
    [['--by', 'colour'], 'by'],
    [['--from', '2026-02-30'], 'from "2026-02-30" is not a day'],
    [['--from', '2026-02-02', '--to', '2026-02-01'], 'from 2026-02-02 is after to 2026-02-01'],
    [['--to', '2999-01-01'], 'to 2999-01-01 is in the future'],
    [['--format', 'xls'], 'format'],
    [['--region', 'mars-north-1'], 'mars-north-1'],
    [['--tenant', 'a/b'], 'tenant'],
    [['--override', 'ec2.g6.xlarge.spot'], '--override'],
  ])('%j is a mistake that is named', async (args, named) => {
    const { flexcache, folder } = await inProcess();
    await withEmptyState(folder);

    const { exitCode, stdout, stderr } = await flexcache('report', ...args);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^flexcache: invalid_input: /);
    expect(stderr).toContain(named);
    expect(stdout).toBe('');
  });
});

describe('the page', () => {
  async function pageOf(...args: string[]): Promise<{ html: string; path: string }> {
    const { flexcache, folder } = await filled();
    await flexcache('report', ...DAYS, '--format', 'html', '--out', 'report.html', ...args);
    const path = join(folder, 'report.html');
    return { html: await readFile(path, 'utf8'), path };
  }

  test('has every chart with words for those who do not see it, and its figures as a table', async () => {
    const { html } = await pageOf();

    const charts = [
      ...html.matchAll(/<svg class="chart wide" role="img" aria-label="([^"]+)"/g),
    ].map(([, label]) => label);
    expect(charts).toEqual([
      'Cost per day in US dollars, stacked by item',
      'Cost of videos per day in US dollars, without and with reuse',
      'Number of videos by kind of hit',
      'Number of completed videos by cost in US dollars',
      'Cost of videos by tenant in US dollars',
      'Storage rent per day in US dollars, stacked by kind',
      'Evicted entries per day, stacked by reason',
    ]);
    expect(html.match(/<table>/g)!.length).toBeGreaterThanOrEqual(charts.length);
    expect(html).toMatch(/List prices of us-east-1 as of \d{4}/);
    expect(html).toContain('ec2.g6.xlarge.on-demand');
    expect(html).toContain('measured for 93.8 % of the time');
  });

  test('holds nothing but text, whatever people call things', async () => {
    const { html } = await pageOf('--by', 'backfill');

    expect(html).not.toContain('<script');
    expect(html).not.toContain('<img');
    expect(html).toContain('&lt;/td&gt;&lt;script&gt;alert(&quot;x&quot;)');
    const tags = html.match(/<[a-z][^>]*>/gi)!;
    const reaching = tags.filter((tag) => /\s(src|href|on\w+)=/i.test(tag));
    expect(reaching).toEqual(['<link rel="icon" href="data:,">']);
    expect(html).not.toMatch(/url\(|@import/i);
  });

  test('says in words what there is nothing to draw of', async () => {
    const { flexcache, folder } = await inProcess();
    await withEmptyState(folder);

    const { exitCode, stdout } = await flexcache('report', ...DAYS, '--format', 'html');

    expect(exitCode).toBe(0);
    expect(stdout).toContain('No videos completed on these days.');
    expect(stdout).toContain('No entries were evicted on these days.');
  });

  test('many days are drawn by months', async () => {
    const { flexcache } = await filled();

    const { stdout } = await flexcache(
      'report',
      '--from',
      '2025-10-01',
      '--to',
      '2026-02-02',
      '--format',
      'html',
    );

    expect(stdout).toContain('Cost per month in US dollars, stacked by item');
    expect(stdout).toMatch(/<th scope="row" class="text">2026-01<\/th>/);
  });

  const chromium = findChromium();
  if (chromium === null) {
    console.warn('the page is not opened: no chromium in PATH, and FLEXCACHE_CHROMIUM is not set');
  }

  test.skipIf(chromium === null)(
    'asks for nothing, runs nothing, and fits small and large screens',
    async () => {
      const { path } = await pageOf();
      const page = await openPage(chromium!, pathToFileURL(path).href);
      try {
        for (const [width, shown] of [
          [360, 'narrow'],
          [1280, 'wide'],
        ] as const) {
          await page.screenshot(width, 800);
          const fits = await page.evaluate('document.documentElement.scrollWidth <= innerWidth');
          expect(fits, `${width}`).toBe(true);
          const visible = await page.evaluate<string[]>(
            `[...document.querySelectorAll('svg.chart')].filter((svg) => svg.getBoundingClientRect().width > 0).map((svg) => svg.classList[1])`,
          );
          expect(visible).toEqual(Array.from({ length: 7 }, () => shown));
        }
        // Every colour of the style sheet is one: bars are painted.
        const painted = await page.evaluate<string[]>(
          `[...new Set([...document.querySelectorAll('svg.wide path[fill^="var("]')].map((path) => getComputedStyle(path).fill))]`,
        );
        expect(painted.length).toBeGreaterThan(3);
        for (const color of painted) expect(color).toMatch(/^(rgb|color)\(/);
        expect(await page.evaluate('document.scripts.length + document.images.length')).toBe(0);
        expect(page.requests).toEqual([]);
        expect(page.exceptions).toEqual([]);
      } finally {
        await page.close();
      }
    },
  );
});

describeOnMoto('the report of a deployed table', (endpoint) => {
  test('is the same as of the state folder', async () => {
    const { region, credentials } = motoClientOptions(endpoint);
    vi.stubEnv('AWS_ENDPOINT_URL_DYNAMODB', endpoint);
    vi.stubEnv('AWS_REGION', region);
    vi.stubEnv('AWS_ACCESS_KEY_ID', credentials.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey);
    onTestFinished(() => void vi.unstubAllEnvs());
    const tableName = unique('table-');
    const client = new DynamoDBClient(motoClientOptions(endpoint));
    await client.send(new CreateTableCommand(tableDefinition(tableName)));
    await fill({ tableName, client });
    const { flexcache } = await filled();

    const deployed = await flexcache('report', ...DAYS, '--format', 'csv', '--table', tableName);
    const embedded = await flexcache('report', ...DAYS, '--format', 'csv');

    expect(deployed.exitCode).toBe(0);
    expect(deployed.stdout).toBe(embedded.stdout);
  });
});
