import { QueryCommand, type AttributeValue } from '@aws-sdk/client-dynamodb';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { segmentKey } from '#aws/entry-items.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { RetentionTable } from '#ports/retention-table.ts';
import { STATE_INDEX } from '#aws/table-definition.ts';
import type { Table } from '#ports/table.ts';
import type { VectorIndex } from '#ports/vector-index.ts';
import { clientOf, MemoryDynamo } from '../memory-stores/memory-dynamo.ts';
import { MemoryObjects } from '../memory-stores/memory-objects.ts';
import { MemoryVectors } from '../memory-stores/memory-vectors.ts';
import type { Item } from '../memory-stores/expressions.ts';
import { described } from './described.ts';
import { canonical, hashOf } from './fold.ts';
import type { Life } from './life.ts';
import { MemoryPasses } from './memory-passes.ts';
import { BEGINNING } from './model-clock.ts';

export interface Stores {
  table: Table;
  vectors: VectorIndex;
  objects: ObjectStore;
  retention: RetentionTable;
}

/** What the table says of an entry, as far as retention goes. */
export interface EntryRecord {
  entryId: string;
  state: string;
  hits: number;
  holders: readonly string[];
  leaseUntil: number;
  decayedHits: number;
  isPinned: boolean;
  latentKey: string;
  latentSha256: string;
  videoKey: string;
}

/** Where the entries of the model are in the index by state. */
export const SEGMENT = 0;

/** Requests that no other actor can tell from nothing: the books of a video, its place in the queue. */
const OF_THE_BOOKS = /^(update JOB#\S+: SET usage\.|delete QUEUE#)/;

/** The stores and the time, true for everybody. */
export class World {
  readonly dynamo: MemoryDynamo;
  readonly vectors: MemoryVectors;
  readonly objects: MemoryObjects;
  readonly passes = new MemoryPasses();
  /** True time, epoch milliseconds. */
  now: number;
  /** How far the clock of whoever acts now is ahead, milliseconds. */
  skew = 0;

  /** A new world, or one of its own with the same contents. */
  constructor(like?: World) {
    const options = { now: () => this.now };
    this.dynamo = like?.dynamo.fork() ?? new MemoryDynamo();
    this.vectors = like?.vectors.fork() ?? new MemoryVectors();
    this.objects = like?.objects.fork(options) ?? new MemoryObjects(options);
    this.now = like?.now ?? BEGINNING;
  }

  /** What everybody's `Date` says. */
  readonly clock = (): number => this.now + this.skew;

  /** Stores without a schedule: each request is answered at once. */
  get stores(): Stores {
    return {
      table: tableOn(async (command) => this.dynamo.answer(command)),
      vectors: this.vectors,
      objects: this.objects,
      retention: this.passes,
    };
  }

  /** Stores whose every request waits until the schedule lets it through. */
  storesOf(life: Life, rewrite: (command: unknown) => unknown = (command) => command): Stores {
    const { vectors, objects } = this;
    return {
      retention: this.passes,
      table: tableOn((asked) => {
        if (isOfAnEmptySegment(asked)) return NOTHING;
        const command = rewrite(asked);
        const label = described(command);
        const perform = (): unknown => this.dynamo.answer(command);
        if (OF_THE_BOOKS.test(label)) return Promise.resolve().then(perform);
        return life.request(label, perform);
      }),
      vectors: {
        put: (records) =>
          life.request(`put vectors ${namesOf(records)}`, () => vectors.put(records)),
        query: (scope, vector, topK) =>
          life.request(`query vectors ${scope.part}`, () => vectors.query(scope, vector, topK)),
        delete: (ids) => life.request(`delete vectors ${ids.join()}`, () => vectors.delete(ids)),
        async *list() {
          yield* await life.request('list vectors', () => vectors.entryIds);
        },
      },
      objects: {
        put: (key, body, options) =>
          life.request(`put object ${key}`, () => objects.put(key, body, options)),
        get: (key) => life.request(`get object ${key}`, () => objects.get(key)),
        getRange: (key, start, bytes) =>
          life.request(`get part of ${key}`, () => objects.getRange(key, start, bytes)),
        head: (key) => life.request(`head object ${key}`, () => objects.head(key)),
        delete: (key) => life.request(`delete object ${key}`, () => objects.delete(key)),
        async *list(prefix) {
          yield* await life.request(`list objects ${prefix}`, () => objects.heads(prefix));
        },
        presign: (key, options) => objects.presign(key, options),
        setStorageClass: (key, storageClass) =>
          life.request(`set class of ${key}`, () => objects.setStorageClass(key, storageClass)),
      },
    };
  }

  get entries(): EntryRecord[] {
    return this.dynamo.items.filter((item) => item['sk']!.S === 'ENTRY').map(entryRecordOf);
  }

  entry(entryId: string): EntryRecord | undefined {
    return this.entries.find((entry) => entry.entryId === entryId);
  }

  /** Attributes of a job's record; undefined when there is none. */
  job(videoId: string): Item | undefined {
    return this.jobs.find((job) => job['videoId']!.S === videoId);
  }

  get jobs(): Item[] {
    return this.dynamo.items.filter((item) => item['sk']!.S === 'JOB');
  }

  hasObject(key: string): boolean {
    return this.objects.heads(key).some((head) => head.key === key);
  }

  /** Equal for equal contents of all stores at the same time. */
  get place(): string {
    const heads = this.objects
      .heads()
      .map(({ key, sha256, modifiedAt }) => [key, sha256, modifiedAt]);
    const { now, dynamo, vectors, passes } = this;
    return hashOf(canonical([now, dynamo.items, vectors.entryIds, heads, passes.place]));
  }
}

function tableOn(send: (command: unknown) => Promise<unknown>): Table {
  return new DynamoTable({ tableName: 'model', client: clientOf(send) });
}

/** The index by state has no entry of the model outside of one segment. */
function isOfAnEmptySegment(command: unknown): boolean {
  if (!(command instanceof QueryCommand) || command.input.IndexName !== STATE_INDEX.name) {
    return false;
  }
  return command.input.ExpressionAttributeValues![':key']!.S !== segmentKey(SEGMENT);
}

const NOTHING = Promise.resolve({ Items: [] });

function entryRecordOf(item: Item): EntryRecord {
  const number = (name: string): number => Number((item[name] as AttributeValue | undefined)?.N);
  return {
    entryId: item['entryId']!.S!,
    state: item['state']!.S!,
    hits: number('hits'),
    holders: item['holders']?.SS ?? [],
    leaseUntil: item['leaseUntil'] === undefined ? -Infinity : number('leaseUntil'),
    decayedHits: item['decayedHits'] === undefined ? 0 : number('decayedHits'),
    isPinned: item['pinnedAt'] !== undefined,
    latentKey: item['latentKey']!.S!,
    latentSha256: item['latentSha256']!.S!,
    videoKey: item['videoKey']!.S!,
  };
}

function namesOf(records: readonly { entryId: string }[]): string {
  return [...new Set(records.map(({ entryId }) => entryId))].join();
}
