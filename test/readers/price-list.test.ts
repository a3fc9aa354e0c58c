import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { findListedPrice, listedNameOf, regionsIn } from '#readers/match-price-list.ts';
import { readOfferFile, readProductDocuments } from '#readers/price-list.ts';

const usd = (text: string): bigint => parseUsd(text, 'expected');

async function recorded(name: string): Promise<unknown> {
  const path = new URL(`../price-lists/${name}.json`, import.meta.url);
  return JSON.parse(await readFile(path, 'utf8')) as unknown;
}

async function documents(): Promise<string[]> {
  return ((await recorded('AmazonEC2-get-products')) as { PriceList: string[] }).PriceList;
}

describe('an offer file', () => {
  test('has products with their tiers in order, whatever order they are listed in', async () => {
    const products = readOfferFile(await recorded('AmazonS3-us-east-1'));

    expect(products).toHaveLength(7);
    expect(products[0]).toMatchObject({
      service: 'AmazonS3',
      sku: 'WP9ANXZGBYYSGJEA',
      effectiveOn: '2026-07-01',
      publishedOn: '2026-07-28',
      tiers: [
        { from: 0, unit: 'GB-Mo', amount: usd('0.023') },
        { from: 51_200, unit: 'GB-Mo', amount: usd('0.022') },
        { from: 512_000, unit: 'GB-Mo', amount: usd('0.021') },
      ],
    });
  });

  test('gives the price of the first tier, with its rate code', async () => {
    const products = readOfferFile(await recorded('AmazonS3-us-east-1'));

    expect(findListedPrice(products, 's3.storage.standard', 'us-east-1')).toEqual({
      id: 's3.storage.standard',
      amount: usd('0.023'),
      rateCode: 'WP9ANXZGBYYSGJEA.JRTCKXETXF.PGHJ3S3EYE',
      service: 'AmazonS3',
      effectiveOn: '2026-07-01',
      publishedOn: '2026-07-28',
    });
    expect(findListedPrice(products, 's3.put-request', 'us-east-1')?.amount).toBe(usd('0.000005'));
  });

  test('gives the first tier that costs anything where the first is free', async () => {
    const products = readOfferFile(await recorded('AmazonDynamoDB-eu-west-1'));

    expect(findListedPrice(products, 'dynamodb.storage', 'eu-west-1')?.amount).toBe(usd('0.283'));
  });

  test('has no price of another region', async () => {
    const products = readOfferFile(await recorded('AmazonS3-us-east-1'));

    expect(findListedPrice(products, 's3.put-request', 'us-west-2')).toBeNull();
    expect(findListedPrice(products, 's3.put-request', 'eu-west-1')).toBeNull();
    expect(regionsIn(products)).toEqual(['us-east-1']);
  });

  test('has no price that it does not name', async () => {
    const products = readOfferFile(await recorded('AmazonS3-us-east-1'));

    expect(findListedPrice(products, 's3.storage.glacier-ir', 'us-east-1')).toBeNull();
    expect(findListedPrice(products, 'sqs.request', 'us-east-1')).toBeNull();
    expect(listedNameOf('ec2.g6.xlarge.spot')).toBeNull();
  });
});

test('an answer of GetProducts gives each region its own price of a machine', async () => {
  const products = readProductDocuments(await documents());

  expect(regionsIn(products)).toEqual(['eu-west-1', 'us-east-1', 'us-west-2']);
  expect(findListedPrice(products, 'ec2.g5.2xlarge.on-demand', 'eu-west-1')).toMatchObject({
    amount: usd('1.35296'),
    rateCode: 'P2KE3JYU9KQ2RD7B.JRTCKXETXF.6YS6EN2CT7',
  });
  expect(findListedPrice(products, 'ec2.g5.2xlarge.on-demand', 'us-west-2')?.amount).toBe(
    usd('1.212'),
  );
  expect(findListedPrice(products, 'ec2.g6.xlarge.on-demand', 'eu-west-1')).toBeNull();
});

test('data processed by vector queries is listed by the GB and priced by the TB', () => {
  const products = readOfferFile(
    oneProduct({ usagetype: 'Vectors-Query-ProcessedBytes-Tier1' }, [tier({ unit: 'GB' })]),
  );

  // $0.0000039063 a GB x 1024
  expect(findListedPrice(products, 's3vectors.query-data.first-100k', 'us-east-1')?.amount).toBe(
    usd('0.0040000512'),
  );
});

test('egress is found by where it leaves, though it names no code of its region', () => {
  const file = {
    ...oneProduct(
      {
        usagetype: 'EU-DataTransfer-Out-Bytes',
        transferType: 'AWS Outbound',
        toLocation: 'External',
        fromLocation: 'EU (Ireland)',
      },
      [tier({ unit: 'GB', usd: '0.0900000000' })],
      { regionCode: undefined },
    ),
    offerCode: 'AWSDataTransfer',
  };

  const products = readOfferFile(file);

  expect(findListedPrice(products, 'transfer.egress', 'eu-west-1')?.amount).toBe(usd('0.09'));
  expect(findListedPrice(products, 'transfer.egress', 'us-east-1')).toBeNull();
});

interface TierOptions {
  unit?: string;
  usd?: unknown;
  from?: string;
  to?: string;
  code?: string;
  pricePerUnit?: Record<string, unknown>;
}

function tier({ unit, usd: dollars, from, to, code, pricePerUnit }: TierOptions = {}) {
  return {
    rateCode: `SKU1.JRTCKXETXF.${code ?? '6YS6EN2CT7'}`,
    beginRange: from ?? '0',
    endRange: to ?? 'Inf',
    unit: unit ?? 'Requests',
    pricePerUnit: pricePerUnit ?? { USD: dollars ?? '0.0000039063' },
  };
}

function oneProduct(
  attributes: Record<string, unknown>,
  tiers: ReturnType<typeof tier>[],
  common: Record<string, unknown> = { regionCode: 'us-east-1' },
) {
  const product = { sku: 'SKU1', attributes: { ...common, ...attributes } };
  if (common['regionCode'] === undefined) delete product.attributes['regionCode'];
  return {
    formatVersion: 'v1.0',
    offerCode: 'AmazonS3',
    publicationDate: '2026-10-01T00:00:00Z',
    products: { SKU1: product as unknown },
    terms: {
      OnDemand: {
        SKU1: {
          'SKU1.JRTCKXETXF': {
            sku: 'SKU1',
            effectiveDate: '2026-10-01T00:00:00Z',
            priceDimensions: Object.fromEntries(tiers.map((each) => [each.rateCode, each])),
          } as unknown,
        },
      } as Record<string, unknown>,
    },
  };
}

const PUT = { usagetype: 'Requests-Tier1' };

describe('a broken list is refused, naming the place', () => {
  test.each<[string, TierOptions[]]>([
    ['pricePerUnit', [{ pricePerUnit: { CNY: '0.2' } }]],
    ['pricePerUnit.USD', [{ usd: 0.005 }]],
    ['pricePerUnit.USD', [{ usd: '-0.005' }]],
    ['pricePerUnit.USD', [{ usd: 'NaN' }]],
    ['pricePerUnit.USD', [{ usd: '1e-6' }]],
    ['endRange', [{ to: '1000' }]],
    ['endRange', [{ to: '0' }]],
    ['beginRange', [{ from: '10' }]],
    [
      'beginRange',
      [
        { to: '10', code: 'A' },
        { from: '20', code: 'B' },
      ],
    ],
    [
      'unit',
      [
        { to: '10', code: 'A' },
        { from: '10', code: 'B', unit: 'GB' },
      ],
    ],
    ['no price', []],
  ])('%s', (place, tiers) => {
    const reading = () => readOfferFile(oneProduct(PUT, tiers.map(tier)));

    expect(reading).toThrow(InvalidInputError);
    expect(reading).toThrow(place);
    expect(reading).toThrow('SKU1');
  });

  test.each<[string, (file: Record<string, unknown>) => void]>([
    ['formatVersion', (file) => (file['formatVersion'] = 'v2.0')],
    ['offerCode', (file) => delete file['offerCode']],
    ['publicationDate', (file) => (file['publicationDate'] = 'yesterday')],
    ['products.SKU1', (file) => (file['products'] = {})],
    ['terms.OnDemand', (file) => (file['terms'] = { Reserved: {} })],
  ])('%s', (place, spoil) => {
    const file = oneProduct(PUT, [tier()]);
    spoil(file as unknown as Record<string, unknown>);

    expect(() => readOfferFile(file)).toThrow(InvalidInputError);
    expect(() => readOfferFile(file)).toThrow(place);
  });

  test('a document that was cut off', async () => {
    const [first, second] = (await documents()) as [string, string];

    expect(() => readProductDocuments([first, second.slice(0, 300)])).toThrow(
      /PriceList\[1\] is not JSON/,
    );
  });

  test('another unit than the price is in', () => {
    const products = readOfferFile(oneProduct(PUT, [tier({ unit: '1000 Requests' })]));

    expect(() => findListedPrice(products, 's3.put-request', 'us-east-1')).toThrow(
      /counts s3\.put-request .* in 1000 Requests, not in Requests/,
    );
  });

  test('a price of nothing', () => {
    const products = readOfferFile(oneProduct(PUT, [tier({ usd: '0.0000000000' })]));

    expect(() => findListedPrice(products, 's3.put-request', 'us-east-1')).toThrow(
      /asks nothing for s3\.put-request/,
    );
  });

  test('two prices of one thing', () => {
    const products = [
      ...readOfferFile(oneProduct(PUT, [tier()])),
      ...readOfferFile(oneProduct(PUT, [tier({ usd: '0.0000060000' })])),
    ];

    expect(() => findListedPrice(products, 's3.put-request', 'us-east-1')).toThrow(
      /two prices of s3\.put-request/,
    );
  });

  test('a region that nobody has looked up', () => {
    expect(() => findListedPrice([], 's3.put-request', 'ap-south-1')).toThrow(/ap-south-1/);
  });
});
