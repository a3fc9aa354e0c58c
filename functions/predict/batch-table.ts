import type { Entry } from '#core/generation.ts';
import { isSamePartition } from '#core/requests/identity.ts';
import type { ObjectHead, ObjectStore } from '#ports/objects.ts';
import type { LeaseRequest } from '#ports/table.ts';
import type { VectorIndex, VectorMatch, VectorScope } from '#ports/vector-index.ts';
import { cosine } from '#core/cosine.ts';
import type { LookupServices } from '../lookup/handler.ts';

type LookupTable = LookupServices['table'];

/**
 * The cache as it would be after some lines of a batch: what is stored, and beside it the entries
 * that those lines would leave behind. Nothing is written and nothing leased. What is stored is read
 * once: a line that is looked up again, because an entry is expected since, asks the stores for nothing.
 */
export class BatchTable
  implements LookupTable, Pick<VectorIndex, 'query'>, Pick<ObjectStore, 'head'>
{
  readonly #table: LookupTable;
  readonly #vectors: Pick<VectorIndex, 'query'>;
  readonly #objects: Pick<ObjectStore, 'head'>;
  readonly #expected = new Map<string, Entry>();
  readonly #read = new Map<string, Promise<unknown>>();

  constructor({ table, vectors, objects }: Pick<LookupServices, 'table' | 'vectors' | 'objects'>) {
    this.#table = table;
    this.#vectors = vectors;
    this.#objects = objects;
  }

  /** How many entries are found beside those that are stored. */
  get expected(): number {
    return this.#expected.size;
  }

  /** From now on this entry is found too. */
  expect(entry: Entry): void {
    this.#expected.set(entry.entryId, entry);
  }

  /** No job of a batch that is only asked about was cancelled. */
  async getJob(): Promise<null> {
    return null;
  }

  /** Nothing is made of it: what it takes belongs to no video. */
  async recordUsage(): Promise<void> {}

  async findExact(exactKey: string): Promise<Entry | null> {
    const [expected] = this.#expectedWhere((entry) => entry.exactKey === exactKey);
    return expected ?? this.#once(['exact', exactKey], () => this.#table.findExact(exactKey));
  }

  async findSamePrompt(promptKey: string, limit: number): Promise<Entry[]> {
    const expected = this.#expectedWhere((entry) => entry.promptKey === promptKey);
    const stored = await this.#once(['prompt', promptKey, limit], () =>
      this.#table.findSamePrompt(promptKey, limit),
    );
    return [...expected, ...stored].slice(0, limit);
  }

  async getEntry(entryId: string): Promise<Entry | null> {
    const expected = this.#expected.get(entryId);
    return expected ?? this.#once(['entry', entryId], () => this.#table.getEntry(entryId));
  }

  async leaseEntry({ entryId, partition }: LeaseRequest): Promise<Entry | null> {
    const entry = await this.getEntry(entryId);
    if (entry?.state !== 'READY') return null;
    return partition === undefined || isSamePartition(entry, partition) ? entry : null;
  }

  async withdrawLease(): Promise<void> {}

  /** The prompt's vectors of an expected entry stand for those that its video will have. */
  async query(scope: VectorScope, vector: readonly number[], topK: number): Promise<VectorMatch[]> {
    const expected = this.#expectedWhere((entry) => isSamePartition(entry, scope)).flatMap(
      ({ entryId, vectors }) => {
        const stored = vectors[scope.part];
        return stored === null ? [] : [{ entryId, similarity: cosine(vector, stored) }];
      },
    );
    const stored = await this.#once(['query', scope, vector, topK], () =>
      this.#vectors.query(scope, vector, topK),
    );
    return [...expected, ...stored]
      .sort((one, other) => other.similarity - one.similarity)
      .slice(0, topK);
  }

  /** The objects of an expected entry have no names yet, and will be there. */
  async head(key: string): Promise<ObjectHead | null> {
    if (key !== '') return this.#once(['head', key], () => this.#objects.head(key));
    return { key, bytes: 0, sha256: '', modifiedAt: Date.now() };
  }

  #once<Value>(asked: readonly unknown[], read: () => Promise<Value>): Promise<Value> {
    const key = JSON.stringify(asked);
    const known = this.#read.get(key) ?? read();
    this.#read.set(key, known);
    return known as Promise<Value>;
  }

  #expectedWhere(isWanted: (entry: Entry) => boolean): Entry[] {
    return [...this.#expected.values()].filter(isWanted);
  }
}
