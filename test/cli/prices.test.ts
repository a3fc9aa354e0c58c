import { cp, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { inProcess } from './harness.ts';

const BOOKS = new URL('../../layers/core/pricing/prices', import.meta.url).pathname;
const LISTS = new URL('../price-lists', import.meta.url).pathname;
const S3_FILE = join(LISTS, 'AmazonS3-us-east-1.json');
const EC2_FILE = join(LISTS, 'AmazonEC2-get-products.json');
const LISTED = ['--region', 'us-east-1', '--from', S3_FILE, '--from', EC2_FILE];

type Book = { prices: Record<string, Record<string, unknown>> };

/** The commands, with books of their own. */
async function withBooks(spoil: (book: Book) => void = () => undefined) {
  const { flexcache, folder } = await inProcess();
  const books = join(folder, 'books');
  await cp(BOOKS, books, { recursive: true });
  const path = join(books, 'us-east-1.json');
  const read = async () => JSON.parse(await readFile(path, 'utf8')) as Book;
  const book = await read();
  spoil(book);
  await writeFile(path, JSON.stringify(book));
  return {
    folder,
    read,
    prices: (...args: string[]) => flexcache('prices', ...args, '--books', books),
  };
}

describe('prices show', () => {
  test('lists prices with their units, and what is uncertain about them', async () => {
    const { prices } = await withBooks();

    const { exitCode, stdout } = await prices('show', '--filter', 'g6.xlarge');

    expect(exitCode).toBe(0);
    expect(stdout).toContain('ec2.g6.xlarge.on-demand  $0.8048  a hour');
    expect(stdout).toMatch(/ec2\.g6\.xlarge\.spot +\$0\.4011 .*of \$0\.349 to \$0\.4011/);
    expect(stdout).toContain('2 prices of us-east-1');
  });

  test('prints an object a price, of the region, the day and with what was measured', async () => {
    const { prices } = await withBooks();

    const then = await prices(
      'show',
      '--region=eu-west-1',
      '--filter=write-unit',
      '--day=2024-10-31',
      '--override=dynamodb.read-unit=0.0000001',
      '--json',
    );

    expect(then.stdout.trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(then.stdout)).toMatchObject({
      region: 'eu-west-1',
      id: 'dynamodb.write-unit',
      usd: '0.00000141',
      unit: 'write request unit',
      history: [{ until: '2024-11-01', usd: '0.00000141' }],
    });
  });

  test.each([
    [['--region', 'eu-west-9'], 'eu-west-9'],
    [['--filter', 'absent'], 'absent'],
    [['--day', '2026-02-30'], '2026-02-30'],
    [['--override', 'g6=1'], '--override contains "g6"'],
  ])('refuses %s', async (args, named) => {
    const { prices } = await withBooks();

    const { exitCode, stderr } = await prices('show', ...args);

    expect(exitCode).toBe(2);
    expect(stderr).toContain(named);
  });
});

describe('prices check', () => {
  test('finds nothing wrong in the books that are checked in', async () => {
    const { prices } = await withBooks();

    const { exitCode, stdout } = await prices('check', '--stale-months', '999');

    expect(exitCode).toBe(0);
    expect(stdout).toMatch(
      /^3 books, \d+ prices: 0 wrong, 0 older than 999 months, \d+ remembered/,
    );
  });

  test('fails where a price cannot be, and says which', async () => {
    const { prices } = await withBooks((book) => {
      book.prices['sqs.request']!['usd'] = '0.0004';
    });

    const { exitCode, stdout } = await prices('check');

    expect(exitCode).toBe(1);
    expect(stdout).toMatch(
      /^implausible {2}us-east-1 sqs\.request is \$0\.0004, more than 2 times/m,
    );
  });

  test('names what is missing as an error of the file', async () => {
    const { prices } = await withBooks((book) => delete book.prices['sqs.request']);

    const { exitCode, stderr } = await prices('check');

    expect(exitCode).toBe(1);
    expect(stderr).toContain('there is no price for sqs.request in us-east-1');
  });

  test('names what nobody has looked up for long', async () => {
    const { prices } = await withBooks((book) => {
      book.prices['sqs.request']!['asOf'] = '2001-01';
    });

    const { exitCode, stdout } = await prices('check', '--stale-months', '200');

    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^stale {2}us-east-1 sqs\.request was last checked 2001-01/m);
    expect((await prices('check', '--stale-months', '0')).exitCode).toBe(2);
  });
});

describe('prices update', () => {
  const slip = (book: Book): void => {
    book.prices['s3.put-request']!['usd'] = '0.000004';
    book.prices['s3.put-request']!['uncertain'] = true;
    book.prices['ec2.g6.xlarge.on-demand']!['usd'] = '0.75';
    book.prices['ec2.g6.xlarge.on-demand']!['asOf'] = '2026-08-31';
  };

  test('shows what a list would change, and writes nothing', async () => {
    const { prices, read } = await withBooks(slip);
    const before = await read();

    const { exitCode, stdout, stderr } = await prices('update', ...LISTED);

    expect(exitCode).toBe(0);
    expect(stdout).toContain('corrected  s3.put-request  $0.000004 -> $0.000005  (AmazonS3');
    expect(stdout).toContain(
      'changed    ec2.g6.xlarge.on-demand  $0.75 -> $0.8048 from 2026-09-01  (AmazonEC2',
    );
    expect(stdout).toContain('confirmed  s3.get-request  $0.0000004');
    expect(stderr).toContain('7 prices of us-east-1 are in the list');
    expect(stderr).toContain('nothing is written');
    expect(await read()).toEqual(before);
  });

  test('writes it when asked to, once', async () => {
    const { prices, read } = await withBooks(slip);
    const update = () => prices('update', ...LISTED, '--write', '--json');

    await update();
    const once = await read();
    const again = await update();

    expect(once.prices['ec2.g6.xlarge.on-demand']).toMatchObject({
      usd: '0.8048',
      asOf: '2026-09-10',
      rateCode: 'TPKUC6XYSUQ3VFK2.JRTCKXETXF.6YS6EN2CT7',
      history: [{ usd: '0.75', until: '2026-09-01' }],
    });
    expect(once.prices['s3.put-request']).not.toHaveProperty('history');
    expect(await read()).toEqual(once);
    expect(
      again.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toHaveLength(7);
    expect(again.stdout).not.toContain('"changed"');
  });

  test.each<[string, string[], RegExp]>([
    ['a list of another region', ['eu-west-1', '--from', S3_FILE], /these are of us-east-1/],
    ['a region without a book', ['ap-south-1', '--from', S3_FILE], /ap-south-1/],
    ['no list', ['us-east-1'], /neither --from nor --aws/],
    ['a file and AWS', ['us-east-1', '--from', S3_FILE, '--aws'], /both --from and --aws/],
    ['a file that is not there', ['us-east-1', '--from', '/nowhere.json'], /nowhere\.json/],
    ['a file that is no list', ['us-east-1', '--from', join(LISTS, 'README.md')], /not JSON/],
  ])('refuses %s', async (_, [region, ...args], said) => {
    const { prices } = await withBooks();

    const { exitCode, stderr } = await prices('update', '--region', region!, ...args);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(said);
  });

  test('refuses a file that was cut off, by its name', async () => {
    const { prices, folder } = await withBooks();
    const torn = join(folder, 'torn.json');
    await writeFile(torn, (await readFile(S3_FILE, 'utf8')).slice(0, 5000));

    const { exitCode, stderr } = await prices('update', '--region', 'us-east-1', '--from', torn);

    expect(exitCode).toBe(2);
    expect(stderr).toContain('torn.json is not JSON');
  });
});

describe('prices update --aws', () => {
  test('asks for what the book has, page by page, and takes its own region alone', async () => {
    const asked = await recordedAws();
    const { prices } = await withBooks();

    const { exitCode, stdout, stderr } = await prices('update', '--region', 'eu-west-1', '--aws');

    expect([exitCode, stderr]).toEqual([0, expect.stringContaining('2 prices of eu-west-1')]);
    expect(stdout).toContain('confirmed  ec2.g5.2xlarge.on-demand  $1.35296');
    const machines = asked.filter(
      ({ Filters }) => valueOf(Filters, 'instanceType') === 'g5.2xlarge',
    );
    expect(machines.map(({ NextToken }) => NextToken)).toEqual([undefined, 'page 2']);
    expect(asked.every(({ Filters }) => isOfIreland(Filters))).toBe(true);
  });

  test('says what AWS says when it refuses', async () => {
    await recordedAws('AccessDeniedException');
    const { prices } = await withBooks();

    const { exitCode, stderr } = await prices('update', '--region', 'eu-west-1', '--aws');

    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/permission_denied: could not read the price list of AWSLambda/);
  });
});

interface Question {
  ServiceCode: string;
  Filters: { Field: string; Value: string }[];
  NextToken?: string;
}

function valueOf(filters: Question['Filters'], field: string): string | undefined {
  return filters.find(({ Field }) => Field === field)?.Value;
}

function isOfIreland(filters: Question['Filters']): boolean {
  return (
    valueOf(filters, 'regionCode') === 'eu-west-1' ||
    valueOf(filters, 'fromLocation') === 'EU (Ireland)'
  );
}

/** A server that answers GetProducts from the recorded documents, two pages each; the SDK is sent to it. */
async function recordedAws(refusal?: string): Promise<Question[]> {
  const asked: Question[] = [];
  const { PriceList } = JSON.parse(await readFile(EC2_FILE, 'utf8')) as { PriceList: string[] };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      const question = JSON.parse(body) as Question;
      asked.push(question);
      response.setHeader('content-type', 'application/x-amz-json-1.1');
      if (refusal !== undefined) {
        response.statusCode = 400;
        response.end(JSON.stringify({ __type: refusal, message: 'not with these credentials' }));
        return;
      }
      const instanceType = valueOf(question.Filters, 'instanceType');
      const matching = PriceList.filter(
        (document) => instanceType !== undefined && document.includes(`"${instanceType}"`),
      );
      const half = Math.ceil(matching.length / 2);
      const isFirst = question.NextToken === undefined;
      response.end(
        JSON.stringify({
          FormatVersion: 'aws_v1',
          PriceList: isFirst ? matching.slice(0, half) : matching.slice(half),
          ...(isFirst && matching.length > 1 && { NextToken: 'page 2' }),
        }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  vi.stubEnv('AWS_ENDPOINT_URL_PRICING', `http://127.0.0.1:${port}`);
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return asked;
}
