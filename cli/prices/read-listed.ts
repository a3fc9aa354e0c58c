import { readFile, stat } from 'node:fs/promises';
import { InvalidInputError } from '#core/errors.ts';
import { machineOfPriceId, type PriceId } from '#core/pricing/price-ids.ts';
import { listedNameOf, listedRegion } from '#readers/match-price-list.ts';
import {
  parseJson,
  readOfferFile,
  readProductDocuments,
  type ListedProduct,
} from '#readers/price-list.ts';
import { AwsPriceList } from '#aws/aws-price-list.ts';

/** JSON text in Node ends at 512 MiB, and the file of all machines of a region is larger. */
const MAX_FILE_BYTES = 400 * 2 ** 20;

/**
 * Products of a file: an offer file of the bulk price list, or an answer of GetProducts as the AWS
 * command line writes it (`{"PriceList": [...]}`).
 *
 * @throws InvalidInputError naming the file and the place in it.
 */
export async function readListedFile(path: string): Promise<ListedProduct[]> {
  const { size } = await stat(path).catch((error: unknown) => {
    throw new InvalidInputError(
      '--from',
      `${path} cannot be read: ${(error as Error).message}`,
      'name a file that is there',
    );
  });
  if (size > MAX_FILE_BYTES) {
    throw new InvalidInputError(
      '--from',
      `${path} has ${size} bytes, more than the ${MAX_FILE_BYTES} that are read`,
      'ask for what is needed of it with --aws, or with aws pricing get-products',
    );
  }
  const json = parseJson(await readFile(path, 'utf8'), path);
  const answer = (json as { PriceList?: unknown } | null)?.PriceList;
  if (answer === undefined) return readOfferFile(json);
  if (Array.isArray(answer) && answer.every((document) => typeof document === 'string')) {
    return readProductDocuments(answer);
  }
  throw new InvalidInputError(
    '--from',
    `PriceList of ${path} is not a list of JSON documents as text`,
    'give the answer of GetProducts as it came',
  );
}

/** Products that have the prices of a book, from AWS itself. */
export async function fetchListed(
  ids: readonly PriceId[],
  region: string,
  list: Pick<AwsPriceList, 'products'> = new AwsPriceList(),
): Promise<ListedProduct[]> {
  const products: ListedProduct[] = [];
  for (const { service, attributes } of questions(ids, region)) {
    for await (const page of list.products(service, attributes)) {
      products.push(...readProductDocuments(page));
    }
  }
  return products;
}

interface Question {
  service: string;
  attributes: Record<string, string>;
}

/** One question for each service and region, but for machines: there are too many of them. */
function questions(ids: readonly PriceId[], region: string): Question[] {
  const asked = new Map<string, Question>();
  for (const id of ids) {
    const name = listedNameOf(id);
    if (name === null) continue;
    const { service } = name;
    const question = { service, attributes: attributesOf(id, service, region) };
    asked.set(JSON.stringify(question), question);
  }
  return [...asked.values()];
}

function attributesOf(id: PriceId, service: string, region: string): Record<string, string> {
  const machine = machineOfPriceId(id);
  if (machine !== null) {
    return {
      regionCode: region,
      instanceType: machine.instanceType,
      operatingSystem: 'Linux',
      tenancy: 'Shared',
      capacitystatus: 'Used',
      preInstalledSw: 'NA',
    };
  }
  if (id === 'ebs.gp3-storage') return { regionCode: region, volumeApiName: 'gp3' };
  if (service === 'AWSDataTransfer') {
    return { fromLocation: listedRegion(region).location, transferType: 'AWS Outbound' };
  }
  return { regionCode: region };
}
