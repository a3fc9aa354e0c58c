import { afterAll, beforeAll } from 'vitest';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Entry } from '#core/generation.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import type { EvictSettings } from '#retention/evict-settings.ts';
import { ExactVectorIndex } from '#local/exact-vector-index.ts';
import { FileObjectStore } from '#local/file-object-store.ts';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import type { ObjectStore } from '#ports/objects.ts';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import type { RetentionTable } from '#ports/retention-table.ts';
import type { Table } from '#ports/table.ts';
import type { VectorIndex } from '#ports/vector-index.ts';
import { vectorRecordsOf } from '#ports/vector-records.ts';
import { sampleEntry } from '../aws/samples.ts';

export const HOUR = 3_600_000;

export interface Stores {
  table: Table;
  vectors: VectorIndex;
  objects: ObjectStore;
  retention: RetentionTable;
}

/** The real stores of the embedded cloud, once for a test file. */
export function useStores(): () => Stores {
  let server: TableServer;
  let folder: string;
  let vectors: ExactVectorIndex;
  let objects: FileObjectStore;
  beforeAll(async () => {
    server = await startTableServer();
    folder = await mkdtemp(join(tmpdir(), 'flexcache-test-'));
    vectors = await ExactVectorIndex.open(join(folder, 'vectors'));
    objects = await FileObjectStore.open(join(folder, 'objects'));
  });
  afterAll(async () => {
    await vectors.close();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });
  return () => ({
    table: server.table,
    vectors,
    objects,
    retention: new DynamoRetentionTable(server.connection),
  });
}

export const SETTINGS: EvictSettings = {
  book: priceBookOf('us-east-1'),
  dimensions: 128,
  storageClass: 'STANDARD',
  budgetUsd: null,
  movesStorageClasses: false,
  onlyCompatibilityKey: null,
};

/** What is lacking of an entry that is otherwise whole. */
export interface Lacking {
  record?: true;
  vectors?: true;
  latent?: true;
}

export const LATENT_BYTES = 100;

/** An entry with its latent and vectors, less what is lacking. */
export async function storeEntry(
  { table, vectors, objects }: Stores,
  lacking: Lacking = {},
  changes: Partial<Entry> = {},
): Promise<Entry> {
  const entry = sampleEntry({ latentBytes: LATENT_BYTES, ...changes });
  if (!lacking.record) await table.putEntry(entry);
  if (!lacking.latent) await objects.put(entry.latentKey, new Uint8Array(LATENT_BYTES));
  if (!lacking.vectors) await vectors.put(vectorRecordsOf(entry));
  return entry;
}

export async function isIndexed({ vectors }: Stores, entryId: string): Promise<boolean> {
  for await (const listed of vectors.list()) if (listed === entryId) return true;
  return false;
}

/** The stores of a process that is killed at its n-th call: before the call, or when it has had its effect. */
export function killedAt(stores: Stores, call: number, when: 'before' | 'after'): Stores {
  let calls = 0;
  const killing = <Store extends object>(store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...given: unknown[]): unknown => {
          const isLast = ++calls === call;
          if (calls > call || (isLast && when === 'before')) throw new Killed();
          const outcome: unknown = Reflect.apply(value, target, given);
          if (!isLast || !(outcome instanceof Promise)) return outcome;
          return outcome.then(() => {
            throw new Killed();
          });
        };
      },
    });
  return {
    table: killing(stores.table),
    vectors: killing(stores.vectors),
    objects: killing(stores.objects),
    retention: killing(stores.retention),
  };
}

export class Killed extends Error {}

/** True when the work was done before its killer came. */
export async function survives(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (error instanceof Killed) return false;
    throw error;
  }
}
