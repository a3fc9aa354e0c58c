import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { formatUsd, parseUsd } from '#core/pricing/money.ts';
import { openTenants } from '#local/open-tenants.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { worked } from '../core/reports/sample-sources.ts';
import { sampleJob } from '../aws/samples.ts';
import { inProcess, type InProcess } from './harness.ts';

/** See samples/README.md. */
const SAMPLE = join(import.meta.dirname, 'samples', 'cur-2.csv');

interface Reconciled {
  from: string;
  to: string;
  billed: string;
  compared: Record<'group' | 'reported' | 'beyond' | 'free' | 'pricing' | 'billed', string>[];
  outside: { group: string; billed: string }[];
  adjustments: { group: string; billed: string }[];
  unknown: { product: string; usageType: string; lines: number; billed: string }[];
  leftOut: { lines: number; billed: string };
}

async function opened(): Promise<InProcess> {
  const harness = await inProcess();
  await using state = await openTenants(join(harness.folder, '.flexcache'));
  // An hour of GPU, and half an hour in which the machine waited.
  const usage = [worked(3600, { idleSeconds: 1800 })];
  await new DynamoTable(state.connection).createJob(
    sampleJob({ createdAt: '2026-11-02T10:00:00.000Z', status: 'completed', usage }),
  );
  return harness;
}

async function reconciled(harness: InProcess, ...args: string[]): Promise<Reconciled> {
  const { exitCode, stdout, stderr } = await harness.flexcache('reconcile', ...args, '--json');
  expect([exitCode, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as Reconciled;
}

const signed = (text: string): bigint =>
  text.startsWith('-') ? -parseUsd(text.slice(1), 'usd') : parseUsd(text, 'usd');

describe('flexcache reconcile', () => {
  test('explains every pico-dollar between the report and the bill', async () => {
    const bill = await reconciled(await opened(), SAMPLE);

    expect(bill).toMatchObject({ from: '2026-11-01', to: '2026-11-03' });
    for (const { reported, beyond, free, pricing, billed } of bill.compared) {
      expect(signed(reported) + signed(beyond) + signed(free) + signed(pricing)).toBe(
        signed(billed),
      );
    }
    const parts = [...bill.compared, ...bill.outside, ...bill.adjustments, ...bill.unknown];
    expect(formatUsd(parts.reduce((sum, { billed }) => sum + signed(billed), 0n))).toBe(
      bill.billed,
    );
  });

  test('a worked example: machines that idle, a rate that is not the book’s, free allowances', async () => {
    const bill = await reconciled(await opened(), SAMPLE);
    const of = (group: string) => bill.compared.find((comparison) => comparison.group === group)!;

    // Reported: 1.5 h On-Demand at 0.8048. Billed: 2 h of it, and 1.5 h of Spot at 0.31.
    expect(of('gpu')).toMatchObject({ reported: '1.2072', billed: '2.0746' });
    // 1,200 GB-seconds at 0.0000166667 were free.
    expect(of('functions')).toMatchObject({
      free: '-0.02000004',
      billed: '0.00018',
      pricing: '0.00',
    });
    // 3,000 and 400 PUT at 0.000005, 5,000 GET at 0.0000004.
    expect(of('objects')).toMatchObject({ billed: '0.019' });
    // 0.01 GB of items, 1.5 GB of Intelligent-Tiering.
    expect(of('storage')).toMatchObject({ billed: '0.037' });
    expect(bill.outside.filter(({ billed }) => billed !== '0.00')).toMatchObject([
      { group: 'network', billed: '0.0295' },
      { group: 'disks', billed: '0.032' },
      { group: 'api', billed: '0.005' },
      { group: 'monitoring', billed: '0.025' },
    ]);
    expect(bill.adjustments.filter(({ billed }) => billed !== '0.00')).toEqual([
      { group: 'tax', billed: '0.21' },
      { group: 'credit', billed: '-1.00' },
    ]);
  });

  test('what nobody could tell is listed by name, other machines among it', async () => {
    const { unknown } = await reconciled(await opened(), SAMPLE);

    expect(unknown).toEqual([
      { product: 'AmazonQuantumLedger', usageType: 'USE1-Ledger-IO', lines: 1, billed: '0.70' },
      { product: 'AmazonEC2', usageType: 'BoxUsage:m7i.large', lines: 1, billed: '0.504' },
    ]);
  });

  test('a tag and days leave out what is of others', async () => {
    const harness = await opened();

    const tagged = await reconciled(harness, SAMPLE, '--tag', 'project=flexcache');
    const day = await reconciled(harness, SAMPLE, '--from', '2026-11-03', '--to', '2026-11-03');

    expect(tagged.unknown.map(({ product }) => product)).toEqual(['AmazonQuantumLedger']);
    // Another project's machine; tax and credits carry no tag.
    expect(tagged.leftOut).toEqual({ lines: 3, billed: '-0.286' });
    expect(day.leftOut.lines).toBe(17);
    expect(day.compared.find(({ group }) => group === 'gpu')).toMatchObject({
      reported: '0.00',
      billed: '0.00',
    });
  });

  test('reads it gzipped, and with the columns of an older report', async () => {
    const harness = await opened();
    const plain = await reconciled(harness, SAMPLE);
    const text = await readFile(SAMPLE, 'utf8');
    await writeFile(join(harness.folder, 'cur.csv.gz'), gzipSync(text));
    const older: Record<string, string> = {
      line_item_usage_start_date: 'lineItem/UsageStartDate',
      line_item_usage_end_date: 'lineItem/UsageEndDate',
      line_item_line_item_type: 'lineItem/LineItemType',
      line_item_product_code: 'lineItem/ProductCode',
      line_item_usage_type: 'lineItem/UsageType',
      line_item_usage_amount: 'lineItem/UsageAmount',
      line_item_unblended_cost: 'lineItem/UnblendedCost',
    };
    const [header, ...lines] = text.split('\n');
    const renamed = Object.entries(older).reduce(
      (head, [name, old]) => head.replace(`"${name}"`, `"${old}"`),
      header!,
    );
    await writeFile(join(harness.folder, 'old.csv'), [renamed, ...lines].join('\n'));

    expect(await reconciled(harness, 'cur.csv.gz')).toEqual(plain);
    expect(await reconciled(harness, 'old.csv')).toEqual(plain);
  });

  test('for people it says why, in sentences', async () => {
    const { flexcache } = await opened();

    const { stdout } = await flexcache('reconcile', SAMPLE);

    expect(stdout).toMatch(/│ GPU machines +│ +1\.2072 │/);
    expect(stdout).toContain('GPU machines: $1.0041 beyond the report, for machines that boot');
    expect(stdout).toContain('because billed rates differ from the price book');
    expect(stdout).toContain('functions: $0.0200 covered by the free tier');
    expect(stdout).toContain('$0.7000 for AmazonQuantumLedger USE1-Ledger-IO: not mapped, 1 line');
    expect(stdout).toContain('-$1.0000 of credits');
  });

  test.each([
    ['none.csv', null, 'none.csv is not there'],
    ['empty.csv', '', 'has no lines'],
    ['other.csv', 'a,b\n1,2\n', 'no column line_item_usage_start_date'],
    ['cut.csv.gz', gzipSync('a,b\n'.repeat(1000)).subarray(0, 30), 'is damaged'],
  ])('%s is refused by name', async (name, content, said) => {
    const { flexcache, folder } = await inProcess();
    if (content !== null) await writeFile(join(folder, name), content);

    const { exitCode, stderr } = await flexcache('reconcile', name);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^flexcache: invalid_input: /);
    expect(stderr).toContain(said);
  });

  test.each([
    ['line_item_unblended_cost', '1,5', 'line 2: line_item_unblended_cost is "1,5"'],
    ['line_item_usage_amount', 'NaN', 'line 2: line_item_usage_amount is "NaN"'],
    ['line_item_usage_start_date', '2026-02-30T00:00:00Z', 'line 2: line_item_usage_start_date'],
    [
      'line_item_currency_code',
      'EUR',
      'line 2: line_item_currency_code is "EUR": only bills in USD',
    ],
  ])('a %s of %s is refused with its line', async (column, value, said) => {
    const { flexcache, folder } = await inProcess();
    const row: Record<string, string> = {
      line_item_usage_start_date: '2026-11-01T00:00:00Z',
      line_item_line_item_type: 'Usage',
      line_item_product_code: 'AmazonS3',
      line_item_usage_type: 'Requests-Tier1',
      line_item_usage_amount: '1',
      line_item_unblended_cost: '5.0E-6',
      line_item_currency_code: 'USD',
      [column]: value,
    };
    const cells = (texts: string[]): string => texts.map((text) => `"${text}"`).join(',');
    await writeFile(
      join(folder, 'bill.csv'),
      `${cells(Object.keys(row))}\n${cells(Object.values(row))}\n`,
    );

    const { exitCode, stderr } = await flexcache('reconcile', 'bill.csv');

    expect(exitCode).toBe(2);
    expect(stderr).toContain(said);
  });
});
