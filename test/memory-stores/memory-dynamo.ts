import {
  BatchGetItemCommand,
  ConditionalCheckFailedException,
  DeleteItemCommand,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
  type DynamoDBClient,
} from '@aws-sdk/client-dynamodb';
import { PARTITION_KEY, SORT_KEY, TABLE_INDEXES } from '#aws/table-definition.ts';
import { fulfils, updated, type Item, type Placeholders } from './expressions.ts';

/** Items in one page of a query or scan, when the request does not say. */
const PAGE_ITEMS = 100;

type Expressions = {
  ExpressionAttributeNames?: Record<string, string> | undefined;
  ExpressionAttributeValues?: Item | undefined;
};

/**
 * The one table's server in memory: each request is answered at once and whole, in the order in
 * which they come. What `DynamoItems` asks for, and nothing else; `DynamoTable` on it passes its
 * contract.
 *
 * @example
 * const table = new DynamoTable({ tableName: 'memory', client: new MemoryDynamo().client });
 */
export class MemoryDynamo {
  readonly #items = new Map<string, Item>();
  readonly #pageItems: number;

  constructor({ pageItems = PAGE_ITEMS }: { pageItems?: number } = {}) {
    this.#pageItems = pageItems;
  }

  /** A server of its own with the same items. */
  fork(): MemoryDynamo {
    const fork = new MemoryDynamo({ pageItems: this.#pageItems });
    // An item is never changed, but replaced.
    for (const [name, item] of this.#items) fork.#items.set(name, item);
    return fork;
  }

  /** For what is not to be told from a real client. */
  get client(): DynamoDBClient {
    return clientOf(async (command) => this.answer(command));
  }

  /** In the order of their keys. */
  get items(): Item[] {
    return [...this.#items.keys()].sort().map((name) => this.#items.get(name)!);
  }

  /** @throws ConditionalCheckFailedException; @throws Error when the request is of no known kind. */
  answer(command: unknown): unknown {
    if (command instanceof GetItemCommand) {
      const item = this.#items.get(nameOf(command.input.Key!));
      return { ...(item && { Item: item }), ...consumed(command.input) };
    }
    if (command instanceof BatchGetItemCommand) return this.#getAll(command);
    if (command instanceof PutItemCommand) return this.#put(command);
    if (command instanceof UpdateItemCommand) return this.#update(command);
    if (command instanceof DeleteItemCommand) return this.#delete(command);
    if (command instanceof QueryCommand) return this.#query(command);
    if (command instanceof ScanCommand) return this.#scan(command);
    throw new Error(`the table in memory does not answer ${String(command?.constructor.name)}`);
  }

  #getAll({ input }: BatchGetItemCommand): unknown {
    const [[tableName, { Keys: keys }]] = Object.entries(input.RequestItems!) as [
      [string, { Keys: Item[] }],
    ];
    const found = keys.flatMap((key) => {
      const item = this.#items.get(nameOf(key));
      return item ? [item] : [];
    });
    return { Responses: { [tableName]: found }, ...consumedBatch(input) };
  }

  #put({ input }: PutItemCommand): unknown {
    const name = nameOf(input.Item!);
    this.#check(name, input.ConditionExpression, input);
    this.#items.set(name, input.Item!);
    return consumed(input);
  }

  #update({ input }: UpdateItemCommand): unknown {
    const name = nameOf(input.Key!);
    this.#check(name, input.ConditionExpression, input);
    const before = this.#items.get(name) ?? input.Key!;
    const item = updated(before, input.UpdateExpression!, placeholdersOf(input));
    this.#items.set(name, item);
    return { ...(input.ReturnValues === 'ALL_NEW' && { Attributes: item }), ...consumed(input) };
  }

  #delete({ input }: DeleteItemCommand): unknown {
    const name = nameOf(input.Key!);
    this.#check(name, input.ConditionExpression, input);
    this.#items.delete(name);
    return consumed(input);
  }

  #query({ input }: QueryCommand): unknown {
    const index = TABLE_INDEXES.find(({ name }) => name === input.IndexName);
    if (input.IndexName !== undefined && index === undefined) {
      throw new Error(`there is no index ${input.IndexName}`);
    }
    const partitionKey = index?.partitionKey ?? PARTITION_KEY;
    const sortKey = index?.sortKey ?? SORT_KEY;
    const inOrder = this.items
      .filter((item) => item[partitionKey] !== undefined && item[sortKey] !== undefined)
      .filter((item) => fulfils(item, input.KeyConditionExpression!, placeholdersOf(input)))
      .sort((one, other) => compare(one[sortKey]!.S!, other[sortKey]!.S!));
    if (input.ScanIndexForward === false) inOrder.reverse();
    const keys = [...new Set([...KEYS, partitionKey, sortKey])];
    const page = this.#page(inOrder, input, (item) => pick(item, keys));
    if (index === undefined) return page;
    // Of an index one gets what it projects.
    const projected = [...keys, ...(index.attributes ?? [])];
    return { ...page, Items: page.Items.map((item) => pick(item, projected)) };
  }

  #scan({ input }: ScanCommand): unknown {
    return this.#page(this.items, input, (item) => pick(item, KEYS));
  }

  #page(
    items: readonly Item[],
    input: (QueryCommand | ScanCommand)['input'],
    keyOf: (item: Item) => Item,
  ): { Items: Item[]; Count: number } {
    const from = input.ExclusiveStartKey && nameOf(input.ExclusiveStartKey);
    const start = from === undefined ? 0 : items.findIndex((item) => nameOf(item) === from) + 1;
    const page = items.slice(start, start + (input.Limit ?? this.#pageItems));
    const isLast = start + page.length >= items.length;
    const found = page.filter(
      (item) =>
        input.FilterExpression === undefined ||
        fulfils(item, input.FilterExpression, placeholdersOf(input)),
    );
    return {
      Items: found,
      Count: found.length,
      ...(!isLast && { LastEvaluatedKey: keyOf(page.at(-1)!) }),
      ...consumed(input),
    };
  }

  #check(name: string, condition: string | undefined, input: Expressions): void {
    if (condition === undefined) return;
    if (fulfils(this.#items.get(name), condition, placeholdersOf(input))) return;
    throw new ConditionalCheckFailedException({
      message: 'The conditional request failed',
      $metadata: {},
    });
  }
}

/** A client of which only `send` is used. */
export function clientOf(send: (command: unknown) => Promise<unknown>): DynamoDBClient {
  return { send, destroy() {} } as unknown as DynamoDBClient;
}

const KEYS: readonly string[] = [PARTITION_KEY, SORT_KEY];

function pick(item: Item, names: readonly string[]): Item {
  return Object.fromEntries(
    names.flatMap((name) => (item[name] === undefined ? [] : [[name, item[name]]])),
  );
}

function nameOf(item: Item): string {
  return JSON.stringify(KEYS.map((name) => item[name]!.S));
}

function placeholdersOf(input: Expressions): Placeholders {
  return { names: input.ExpressionAttributeNames, values: input.ExpressionAttributeValues };
}

/** One unit for each request: enough to tell that units are added up. */
function consumed(input: { ReturnConsumedCapacity?: string | undefined }): object {
  return (input.ReturnConsumedCapacity ?? 'NONE') === 'NONE'
    ? {}
    : { ConsumedCapacity: { CapacityUnits: 1 } };
}

function consumedBatch(input: { ReturnConsumedCapacity?: string | undefined }): object {
  return (input.ReturnConsumedCapacity ?? 'NONE') === 'NONE'
    ? {}
    : { ConsumedCapacity: [{ CapacityUnits: 1 }] };
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
