import type { Entry } from '#core/generation.ts';
import { hashFields } from '#core/hash.ts';
import { decayWeight } from '#core/retention/decay.ts';
import type { RetentionRun } from '#core/retention/retention-run.ts';
import type { EvictSettings } from '#retention/evict-settings.ts';
import {
  runEvictionPass,
  type EvictionPassResult,
  type EvictionPassOptions,
} from '#retention/run-eviction-pass.ts';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { segmentOf } from '#aws/entry-items.ts';
import { vectorRecordsOf } from '#ports/vector-records.ts';
import { MemoryDynamo } from '../memory-stores/memory-dynamo.ts';
import { MemoryObjects } from '../memory-stores/memory-objects.ts';
import { MemoryVectors } from '../memory-stores/memory-vectors.ts';
import { sampleEntry, unique } from '../aws/samples.ts';
import { SETTINGS, type Stores } from './retention-fixture.ts';

/** When the cache is evaluated in these tests. */
export const NOW = Date.UTC(2026, 6, 1);

export const DAY = 24 * 3_600_000;

export interface MemoryCache extends Stores {
  dynamo: MemoryDynamo;
}

/** A cache in memory, under the contracts of the real stores. */
export function memoryCache(dynamo = new MemoryDynamo()): MemoryCache {
  const connection = { tableName: 'memory', client: dynamo.client, now: () => NOW };
  return {
    dynamo,
    table: new DynamoTable(connection),
    retention: new DynamoRetentionTable(connection),
    objects: new MemoryObjects(),
    vectors: new MemoryVectors(),
  };
}

let count = 0;

/** An entry whose latent costs a fifth of a cent a month, and whose hit saves as much: unused it pays for weeks. */
export async function add(
  { table, objects, vectors }: Stores,
  { ageDays = 1, ...changes }: Partial<Entry> & { ageDays?: number } = {},
): Promise<Entry> {
  const angle = ++count;
  const entry = sampleEntry({
    latentBytes: 100_000_000,
    createdAt: new Date(NOW - ageDays * DAY).toISOString(),
    promptKey: hexKey(`prompt ${count}`),
    vectors: {
      whole: [Math.cos(angle), Math.sin(angle), 0, 0],
      object: null,
      background: null,
    },
    denoiseSeconds: 12,
    ...changes,
  });
  await table.putEntry(entry);
  await objects.put(entry.latentKey, new Uint8Array(10));
  await vectors.put(vectorRecordsOf(entry));
  return entry;
}

/** Ids whose entries lie in one segment: one page has them all. */
export function idsOfOneSegment(times: number): string[] {
  const ids: string[] = [];
  while (ids.length < times) {
    const id = unique('vid_');
    if (segmentOf(id) === 7) ids.push(id);
  }
  return ids;
}

/** As keys are: hexadecimal. */
export function hexKey(text: string): string {
  return hashFields([text]);
}

/** Hits that each saved so many evaluations, evenly in the last days. */
export function hits(times: number, credit: number, lastDaysAgo = 0.1): Partial<Entry> {
  const lastHitAt = NOW - lastDaysAgo * DAY;
  const weight = decayWeight(lastHitAt);
  return {
    hits: times,
    lastHitAt: new Date(lastHitAt).toISOString(),
    previousHitAt: new Date(lastHitAt - DAY).toISOString(),
    decayedHits: times * weight,
    decayedCredit: times * credit * weight,
  };
}

export interface EvaluatedEntry {
  run: RetentionRun;
  rentPerMonthUsd: number;
}

export function evictionPass(
  stores: Stores,
  settings: Partial<EvictSettings> = {},
  options: EvictionPassOptions = {},
): Promise<EvictionPassResult> {
  return runEvictionPass(
    stores,
    { ...SETTINGS, ...settings },
    { now: () => NOW, isForced: true, holder: unique('pass-'), ...options },
  );
}

/** @throws Error unless it was evaluated. */
export async function evaluate(...args: Parameters<typeof evictionPass>): Promise<EvaluatedEntry> {
  const outcome = await evictionPass(...args);
  if (outcome.outcome === 'completed') return outcome;
  throw new Error(`not evaluated: ${JSON.stringify(outcome)}`);
}

/** How an entry stands: its state, and why it left. */
export async function standing({ table }: Stores, { entryId }: Entry): Promise<string> {
  const entry = await table.getEntry(entryId);
  if (entry === null) return 'none';
  return entry.evictionReason ?? entry.state;
}

export async function standings(stores: Stores, entries: readonly Entry[]): Promise<string[]> {
  return Promise.all(entries.map((entry) => standing(stores, entry)));
}
