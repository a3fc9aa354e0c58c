import { join } from 'node:path';
import { InvalidInputError } from '#core/errors.ts';
import type { Entry, LookupPart } from '#core/generation.ts';
import { LOOKUP_PARTS } from '#core/generation.ts';
import type { VectorIndex, VectorMatch, VectorRecord, VectorScope } from '#ports/vector-index.ts';
import { meterUse } from '#ports/usage-meter.ts';
import {
  lastOfEachKey,
  meterVectorPut,
  validateVector,
  vectorKey,
  vectorRecordsOf,
} from '#ports/vector-records.ts';
import { fromFileSystem } from './file-errors.ts';
import { frameBytes, LOG_FILE, VectorLog, type VectorChange } from './vector-log.ts';
import { VectorSet } from './vector-set.ts';

/** Comparing this many 128-element vectors takes some ten milliseconds (bench/vectors.ts). */
const PREFILTER_ABOVE = 20_000;
/** A file smaller than this is not worth rewriting. */
const MIN_BYTES_TO_COMPACT = 4 << 20;

export interface ExactVectorIndexOptions {
  /** Number of vectors in a scope above which signs preselect what is compared exactly. */
  prefilterAbove?: number;
  leastBytesToCompact?: number;
}

/**
 * The vector index in memory, kept in an append-only file. It proposes, so losing it loses no video:
 * when `needsRebuild` is set, what the table holds is put back by `rebuild`.
 *
 * @example
 * const vectors = await ExactVectorIndex.open('.flexcache/vectors');
 * if (vectors.needsRebuild) await vectors.rebuild(table.scanEntries());
 * const matches = await vectors.query({ ...partition, part: 'whole' }, vector, 10);
 */
export class ExactVectorIndex implements VectorIndex {
  readonly #folder: string;
  readonly #prefilterAbove: number;
  readonly #leastBytesToCompact: number;
  #sets = new Map<string, { scope: VectorScope; vectors: VectorSet }>();
  /** Which set holds a vector key. */
  #homes = new Map<string, string>();
  #liveBytes = 0;
  #log!: VectorLog;
  #needsRebuild = false;
  #lastChange: Promise<void> = Promise.resolve();

  private constructor(folder: string, options: ExactVectorIndexOptions) {
    this.#folder = folder;
    this.#prefilterAbove = options.prefilterAbove ?? PREFILTER_ABOVE;
    this.#leastBytesToCompact = options.leastBytesToCompact ?? MIN_BYTES_TO_COMPACT;
  }

  /** Opens the folder and creates it when missing. A torn or damaged file is read as far as it is sound. */
  static async open(
    folder: string,
    options: ExactVectorIndexOptions = {},
  ): Promise<ExactVectorIndex> {
    const index = new ExactVectorIndex(folder, options);
    try {
      const path = join(folder, LOG_FILE);
      const { log, state } = await VectorLog.open(path, (change) => index.#apply(change));
      index.#log = log;
      index.#needsRebuild = state !== 'complete';
    } catch (error) {
      throw fromFileSystem(error, 'open the vector index', folder);
    }
    return index;
  }

  /** Whether the file was missing or damaged: vectors of stored entries may be absent until `rebuild`. */
  get needsRebuild(): boolean {
    return this.#needsRebuild;
  }

  async put(records: readonly VectorRecord[]): Promise<void> {
    const last = [...lastOfEachKey(records).values()];
    for (const record of last) validateVector(record.vector, 'vector');
    await this.#inOrder(async () => {
      this.#validateDimensions(last);
      await this.#append(last.map((record) => ({ kind: 'put', record })));
    });
    if (last.length > 0) meterVectorPut(last);
  }

  async query(scope: VectorScope, vector: readonly number[], topK: number): Promise<VectorMatch[]> {
    validateVector(vector, 'vector');
    meterUse({
      vectorQueries: 1,
      vectorBytesScanned: this.#liveBytes,
      vectorsScanned: this.#homes.size,
    });
    const set = this.#sets.get(scopeKey(scope))?.vectors;
    if (!set) return [];
    if (vector.length !== set.dimensions) throw wrongDimensions(vector.length, set.dimensions);
    return set.query(vector, topK, this.#prefilterAbove);
  }

  async delete(entryIds: readonly string[]): Promise<void> {
    await this.#inOrder(async () => {
      const present = [...new Set(entryIds)].filter((entryId) =>
        LOOKUP_PARTS.some((part) => this.#homes.has(vectorKey(part, entryId))),
      );
      await this.#append(present.map((entryId) => ({ kind: 'delete', entryId })));
    });
  }

  async *list(): AsyncIterable<string> {
    const ids = [...this.#sets.values()].flatMap(({ vectors }) =>
      [...vectors.entries()].map(([entryId]) => entryId),
    );
    yield* new Set(ids);
  }

  /** Replaces everything by the vectors of the READY ones among these entries. */
  async rebuild(entries: AsyncIterable<Entry> | Iterable<Entry>): Promise<void> {
    await this.#inOrder(async () => {
      const fresh = new ExactVectorIndex(this.#folder, {});
      for await (const entry of entries) {
        if (entry.state !== 'READY') continue;
        for (const record of vectorRecordsOf(entry)) fresh.#apply({ kind: 'put', record });
      }
      await this.#log.rewrite(fresh.#records(), 'complete');
      this.#sets = fresh.#sets;
      this.#homes = fresh.#homes;
      this.#liveBytes = fresh.#liveBytes;
      this.#needsRebuild = false;
    });
  }

  async close(): Promise<void> {
    await this.#inOrder(() => this.#log.close());
  }

  async #append(changes: readonly VectorChange[]): Promise<void> {
    if (changes.length === 0) return;
    await this.#log.append(changes);
    for (const change of changes) this.#apply(change);
    if (this.#log.bytes > Math.max(this.#leastBytesToCompact, 2 * this.#liveBytes)) {
      await this.#compact();
    }
  }

  /** The change before it is already safe, so a disk without room only puts this off to the next one. */
  async #compact(): Promise<void> {
    try {
      await this.#log.rewrite(this.#records(), this.#needsRebuild ? 'partial' : 'complete');
    } catch (error) {
      const reason = fromFileSystem(error, 'compact the vector index', this.#folder);
      if (reason.code !== 'disk_full') throw reason;
    }
  }

  #apply(change: VectorChange): void {
    if (change.kind === 'delete') {
      for (const part of LOOKUP_PARTS) this.#remove(part, change.entryId);
      return;
    }
    const { entryId, vector } = change.record;
    const scope = placeOf(change.record);
    this.#remove(scope.part, entryId);
    const home = scopeKey(scope);
    const set = this.#sets.get(home) ?? { scope, vectors: new VectorSet(vector.length) };
    this.#sets.set(home, set);
    set.vectors.set(entryId, vector);
    this.#homes.set(vectorKey(scope.part, entryId), home);
    this.#liveBytes += frameBytes(scope, entryId, vector.length);
  }

  #remove(part: LookupPart, entryId: string): void {
    const key = vectorKey(part, entryId);
    const home = this.#homes.get(key);
    if (home === undefined) return;
    const { scope, vectors } = this.#sets.get(home)!;
    vectors.delete(entryId);
    this.#homes.delete(key);
    if (vectors.size === 0) this.#sets.delete(home);
    this.#liveBytes -= frameBytes(scope, entryId, vectors.dimensions);
  }

  *#records(): Iterable<VectorRecord> {
    for (const { scope, vectors } of this.#sets.values()) {
      for (const [entryId, vector] of vectors.entries()) {
        yield { ...scope, entryId, vector: Array.from(vector) };
      }
    }
  }

  #validateDimensions(records: readonly VectorRecord[]): void {
    const expected = new Map<string, number>();
    for (const record of records) {
      const home = scopeKey(record);
      const dimensions =
        this.#sets.get(home)?.vectors.dimensions ?? expected.get(home) ?? record.vector.length;
      if (record.vector.length !== dimensions) {
        throw wrongDimensions(record.vector.length, dimensions);
      }
      expected.set(home, dimensions);
    }
  }

  /** Changes follow one another, so that the file and the memory see the same order. */
  async #inOrder(change: () => Promise<void>): Promise<void> {
    const mine = this.#lastChange.then(change);
    this.#lastChange = mine.catch(() => undefined);
    try {
      await mine;
    } catch (error) {
      throw fromFileSystem(error, 'change the vector index', join(this.#folder, LOG_FILE));
    }
  }
}

/** The scope without the tenant where it does not count. */
function placeOf({ compatibilityKey, scope, tenant, part }: VectorScope): VectorScope {
  return { compatibilityKey, scope, tenant: scope === 'tenant' ? tenant : '', part };
}

function scopeKey(scope: VectorScope): string {
  const { compatibilityKey, tenant, part } = placeOf(scope);
  return JSON.stringify([compatibilityKey, scope.scope, tenant, part]);
}

function wrongDimensions(found: number, expected: number): InvalidInputError {
  return new InvalidInputError(
    'vector',
    `vector has ${found} elements where the others of its scope have ${expected}`,
    'use one embedding model inside one compatibility key',
  );
}
