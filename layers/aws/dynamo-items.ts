import {
  BatchGetItemCommand,
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
  type AttributeValue,
} from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall as unmarshallItem } from '@aws-sdk/util-dynamodb';
import { ifConditionHolds, MEASURED, read, write } from './dynamo-requests.ts';
import type { TableIndex } from './table-definition.ts';
import type { Attributes, ItemKey } from './table-items.ts';

/**
 * Sums that grow for years pass 2^53, above which the SDK will not have numbers unless asked. A caller
 * may call a label "constructor": an object is a map whatever it says it was constructed by.
 */
const ANY_VALUE = {
  removeUndefinedValues: true,
  allowImpreciseNumbers: true,
  convertClassInstanceToMap: true,
};

/** BatchGetItem takes no more (DynamoDB quotas). */
const BATCH_GET_ITEMS = 100;
const BATCH_GET_PAUSE_MILLISECONDS = 50;

export interface DynamoItemsOptions {
  tableName: string;
  client?: DynamoDBClient;
  /** Epoch milliseconds now; stamps what is written. */
  now?: () => number;
}

export interface ItemUpdate {
  /** `#name` stands for the attribute `name`, `:name` for a value. */
  update: string;
  condition?: string;
  /** Those that neither expression mentions are left out. */
  values: Attributes;
}

export interface ItemQuery {
  /** The table itself when absent. An index holds keys only: its items are read from the table. */
  index?: TableIndex;
  /** Value of the partition key. */
  key: string;
  /** Items of one page at most; all that fit when absent. */
  limit?: number;
  /** Oldest first, by the sort key; newest first unless said. */
  isAscending?: boolean;
  /** Begin behind the item with this sort key. */
  after?: string;
}

/** A range of one partition of an index, both ends included. */
export interface IndexRange {
  index: TableIndex;
  /** Value of the partition key. */
  key: string;
  from: string;
  to: string;
  /** Items of a page at most; all that fit into 1 MB when absent. */
  limit?: number | undefined;
}

/**
 * Items of the one table, as plain attributes. What the tables of jobs, entries, tenants and
 * backfills share: expressions, paging, errors, metering. No transactions and no item in a failed condition's
 * answer are needed, so that any DynamoDB-compatible server serves.
 */
export class DynamoItems {
  readonly #tableName: string;
  readonly #client: DynamoDBClient;
  readonly #now: () => number;

  constructor({ tableName, client, now }: DynamoItemsOptions) {
    this.#tableName = tableName;
    this.#client = client ?? new DynamoDBClient({});
    this.#now = now ?? Date.now;
  }

  /** ISO 8601, UTC. */
  timestamp(): string {
    return new Date(this.#now()).toISOString();
  }

  async get(key: ItemKey, doing: string): Promise<Attributes | null> {
    const { Item: item } = await read(doing, () =>
      this.#client.send(
        new GetItemCommand({
          TableName: this.#tableName,
          ...MEASURED,
          Key: marshall(key),
          ConsistentRead: true,
        }),
      ),
    );
    return item ? unmarshall(item) : null;
  }

  /** Items in the order of their keys; those that are gone are left out. */
  async getAll(keys: readonly ItemKey[], doing: string): Promise<Attributes[]> {
    const found = new Map<string, Attributes>();
    for (let start = 0; start < keys.length; start += BATCH_GET_ITEMS) {
      let pending: Record<string, AttributeValue>[] = keys
        .slice(start, start + BATCH_GET_ITEMS)
        .map(({ pk, sk }) => marshall({ pk, sk }));
      for (let attempt = 0; pending.length > 0; attempt++) {
        if (attempt > 0) await pause(BATCH_GET_PAUSE_MILLISECONDS * 2 ** Math.min(attempt, 6));
        const batch = pending;
        const answer = await read(doing, () =>
          this.#client.send(
            new BatchGetItemCommand({
              ...MEASURED,
              RequestItems: { [this.#tableName]: { Keys: batch, ConsistentRead: true } },
            }),
          ),
        );
        for (const item of answer.Responses?.[this.#tableName] ?? []) {
          const attributes = unmarshall(item) as ItemKey;
          found.set(nameOf(attributes), attributes);
        }
        pending = answer.UnprocessedKeys?.[this.#tableName]?.Keys ?? [];
      }
    }
    return keys.flatMap((key) => {
      const item = found.get(nameOf(key));
      return item ? [item] : [];
    });
  }

  /** Writes an item whatever was there. */
  async put(item: Attributes & ItemKey, doing: string): Promise<void> {
    await write(doing, () =>
      this.#client.send(
        new PutItemCommand({
          TableName: this.#tableName,
          ...MEASURED,
          Item: marshall(item, ANY_VALUE),
        }),
      ),
    );
  }

  /** Writes an item unless its key is taken; whether this call wrote it. */
  async putIfAbsent(item: Attributes & ItemKey, doing: string): Promise<boolean> {
    const condition = 'attribute_not_exists(#pk)';
    return ifConditionHolds(doing, () =>
      this.#client.send(
        new PutItemCommand({
          TableName: this.#tableName,
          ...MEASURED,
          Item: marshall(item, ANY_VALUE),
          ConditionExpression: condition,
          ExpressionAttributeNames: attributeNames(condition),
        }),
      ),
    );
  }

  /** The item after the update, or null when the condition did not hold. */
  async update(
    key: ItemKey,
    doing: string,
    { update, condition, values }: ItemUpdate,
  ): Promise<Attributes | null> {
    const used = mentionedValues([update, condition ?? ''], values);
    let item: Record<string, AttributeValue> | undefined;
    const isUpdated = await ifConditionHolds(doing, async () => {
      const answer = await this.#client.send(
        new UpdateItemCommand({
          TableName: this.#tableName,
          ...MEASURED,
          Key: marshall({ pk: key.pk, sk: key.sk }),
          UpdateExpression: update,
          ...(condition !== undefined && { ConditionExpression: condition }),
          ExpressionAttributeNames: attributeNames(update, condition ?? ''),
          ...(Object.keys(used).length > 0 && {
            ExpressionAttributeValues: marshall(used, ANY_VALUE),
          }),
          ReturnValues: 'ALL_NEW',
        }),
      );
      item = answer.Attributes;
      return answer;
    });
    return isUpdated ? unmarshall(item!) : null;
  }

  /** Idempotent; false when the condition did not hold. */
  async delete(
    key: ItemKey,
    doing: string,
    { condition, values = {} }: { condition?: string; values?: Attributes } = {},
  ): Promise<boolean> {
    return ifConditionHolds(doing, () =>
      this.#client.send(
        new DeleteItemCommand({
          TableName: this.#tableName,
          ...MEASURED,
          Key: marshall({ pk: key.pk, sk: key.sk }),
          ...(condition !== undefined && {
            ConditionExpression: condition,
            ExpressionAttributeNames: attributeNames(condition),
            ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: marshall(values) }),
          }),
        }),
      ),
    );
  }

  /** Items of one partition, page by page, as the table has them now. */
  async *query(query: ItemQuery, doing: string): AsyncIterable<Attributes[]> {
    const { index, key, limit, isAscending = false, after } = query;
    if (limit !== undefined && limit < 1) return;
    const partitionKey = index?.partitionKey ?? 'pk';
    const sortKey = index?.sortKey ?? 'sk';
    const isBehind = isAscending ? `#${sortKey} > :after` : `#${sortKey} < :after`;
    const condition = `#${partitionKey} = :key${after === undefined ? '' : ` AND ${isBehind}`}`;
    let from: Record<string, AttributeValue> | undefined;
    do {
      const page = await read(doing, () =>
        this.#client.send(
          new QueryCommand({
            TableName: this.#tableName,
            ...MEASURED,
            ...(index ? { IndexName: index.name } : { ConsistentRead: true }),
            KeyConditionExpression: condition,
            ExpressionAttributeNames: attributeNames(condition),
            ExpressionAttributeValues: marshall({
              ':key': key,
              ...(after !== undefined && { ':after': after }),
            }),
            ScanIndexForward: isAscending,
            Limit: limit,
            ExclusiveStartKey: from,
          }),
        ),
      );
      const items = (page.Items ?? []).map((item) => unmarshall(item));
      yield index ? await this.#current(index, items as ItemKey[], doing) : items;
      from = page.LastEvaluatedKey;
    } while (from);
  }

  /**
   * The items that rows of an index stand for. A row whose item has other index keys by now, or none,
   * stands for nothing: the index is behind, or, embedded, a process was killed between the two.
   */
  async #current(
    { partitionKey, sortKey }: TableIndex,
    rows: readonly ItemKey[],
    doing: string,
  ): Promise<Attributes[]> {
    const unique = new Map(rows.map((row) => [nameOf(row), row]));
    const items = new Map(
      (await this.getAll([...unique.values()], doing)).map((item) => [
        nameOf(item as ItemKey),
        item,
      ]),
    );
    return rows.flatMap((row) => {
      const item = items.get(nameOf(row));
      const isCurrent =
        item?.[partitionKey] === row[partitionKey] && item?.[sortKey] === row[sortKey];
      return item !== undefined && isCurrent ? [item] : [];
    });
  }

  /** One page of what an index itself holds, oldest first by its sort key, as it was a moment ago. */
  async indexPage(
    { index, key, from, to, limit }: IndexRange,
    doing: string,
  ): Promise<{ items: Record<string, AttributeValue>[]; hasMore: boolean }> {
    const condition = `#${index.partitionKey} = :key AND #${index.sortKey} BETWEEN :from AND :to`;
    const page = await read(doing, () =>
      this.#client.send(
        new QueryCommand({
          TableName: this.#tableName,
          ...MEASURED,
          IndexName: index.name,
          KeyConditionExpression: condition,
          ExpressionAttributeNames: attributeNames(condition),
          ExpressionAttributeValues: marshall({ ':key': key, ':from': from, ':to': to }),
          Limit: limit,
        }),
      ),
    );
    return { items: page.Items ?? [], hasMore: page.LastEvaluatedKey !== undefined };
  }

  /** Every item with this sort key, in no order. */
  async *scan(sortKey: string, doing: string): AsyncIterable<Attributes> {
    const filter = '#sk = :sk';
    let from: Record<string, AttributeValue> | undefined;
    do {
      const page = await read(doing, () =>
        this.#client.send(
          new ScanCommand({
            TableName: this.#tableName,
            ...MEASURED,
            FilterExpression: filter,
            ExpressionAttributeNames: attributeNames(filter),
            ExpressionAttributeValues: marshall({ ':sk': sortKey }),
            ExclusiveStartKey: from,
          }),
        ),
      );
      for (const item of page.Items ?? []) yield unmarshall(item);
      from = page.LastEvaluatedKey;
    } while (from);
  }
}

function unmarshall(item: Record<string, AttributeValue>): Attributes {
  return unmarshallItem(item, { wrapNumbers: exactNumber });
}

/** Money keeps every digit: a whole number beyond what a float holds is a bigint, a broken one is as near as a float is. */
function exactNumber(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) || !/^-?\d+$/.test(text) ? number : BigInt(text);
}

function nameOf({ pk, sk }: ItemKey): string {
  return JSON.stringify([pk, sk]);
}

/** Every `#name` of the expressions stands for the attribute of that name: no reserved word bites. */
function attributeNames(...expressions: string[]): Record<string, string> {
  const names = expressions.flatMap((expression) => expression.match(/#\w+/g) ?? []);
  return Object.fromEntries(names.map((name) => [name, name.slice(1)]));
}

function mentionedValues(expressions: readonly string[], values: Attributes): Attributes {
  const mentioned = new Set(expressions.flatMap((expression) => expression.match(/:\w+/g) ?? []));
  return Object.fromEntries(Object.entries(values).filter(([name]) => mentioned.has(name)));
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
