import { GetProductsCommand, PricingClient, type Filter } from '@aws-sdk/client-pricing';
import { fromAws } from './aws-errors.ts';

/** The Price List Query API is in few regions, whatever region is asked about (AWS, endpoints). */
const ENDPOINT_REGION = 'us-east-1';

/** Largest page of GetProducts. */
const PAGE_SIZE = 100;

export interface AwsPriceListOptions {
  client?: PricingClient;
}

/**
 * AWS's public price list, as GetProducts answers: each product a JSON document as text. It needs
 * credentials of any account with `pricing:GetProducts`, and costs nothing.
 *
 * @example
 * const list = new AwsPriceList();
 * for await (const page of list.products('AmazonS3', { regionCode: 'us-east-1' })) ...
 */
export class AwsPriceList {
  readonly #client: PricingClient;

  constructor({ client }: AwsPriceListOptions = {}) {
    this.#client = client ?? new PricingClient({ region: ENDPOINT_REGION });
  }

  /** Documents of a service whose attributes have these values, page by page. */
  async *products(
    service: string,
    attributes: Readonly<Record<string, string>>,
  ): AsyncGenerator<string[]> {
    const filters = Object.entries(attributes).map(([name, value]): Filter => ({
      Type: 'TERM_MATCH',
      Field: name,
      Value: value,
    }));
    let nextToken: string | undefined;
    do {
      const command: GetProductsCommand = new GetProductsCommand({
        ServiceCode: service,
        FormatVersion: 'aws_v1',
        Filters: filters,
        MaxResults: PAGE_SIZE,
        NextToken: nextToken,
      });
      const page = await this.#send(service, command);
      yield page.PriceList?.map(String) ?? [];
      nextToken = page.NextToken;
    } while (nextToken !== undefined && nextToken !== '');
  }

  async #send(service: string, command: GetProductsCommand) {
    try {
      return await this.#client.send(command);
    } catch (error) {
      throw fromAws(error, `read the price list of ${service}`);
    }
  }
}
