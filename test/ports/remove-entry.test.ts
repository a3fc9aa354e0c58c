import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConditionFailedError } from '#core/errors.ts';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import { removeEntry } from '#ports/remove-entry.ts';
import { sampleEntry } from '../aws/samples.ts';

describe('removing an entry', () => {
  let server: TableServer;
  beforeAll(async () => {
    server = await startTableServer();
  });
  afterAll(() => server.close());

  /** Deletions in their order. */
  function storesOf() {
    const deleted: string[] = [];
    const vectors = { delete: async (ids: readonly string[]) => void deleted.push(...ids) };
    const objects = { delete: async (key: string) => void deleted.push(key) };
    return { deleted, table: server.table, vectors, objects };
  }

  test('takes the vectors first, then the latent, then the record', async () => {
    const entry = sampleEntry();
    await server.table.putEntry(entry);
    const { deleted, ...stores } = storesOf();

    const removed = await removeEntry(stores, entry.entryId);

    expect(removed).toEqual(entry);
    expect(deleted).toEqual([entry.entryId, entry.latentKey]);
    expect(await server.table.getEntry(entry.entryId)).toBeNull();
    expect(await removeEntry(stores, entry.entryId)).toBeNull();
  });

  test('leaves latent and record to the sweep where others work on the cache', async () => {
    const entry = sampleEntry();
    await server.table.putEntry(entry);
    const { deleted, objects: _, ...stores } = storesOf();

    await removeEntry(stores, entry.entryId);
    await removeEntry(stores, entry.entryId);

    expect(deleted).toEqual([entry.entryId, entry.entryId]);
    expect(await server.table.getEntry(entry.entryId)).toMatchObject({ state: 'EVICTING' });
    expect(await server.table.findExact(entry.exactKey)).toBeNull();
  });

  test('waits for the lease of a request', async () => {
    const entry = sampleEntry();
    await server.table.putEntry(entry);
    const { entryId } = entry;
    const leaseUntil = Date.now() + 60_000;
    await server.table.leaseEntry({ entryId, holder: 'vid_1', now: Date.now(), leaseUntil });
    const { deleted, ...stores } = storesOf();

    const removal = removeEntry(stores, entryId);

    await expect(removal).rejects.toThrow(ConditionFailedError);
    await expect(removal).rejects.toThrow(new Date(leaseUntil).toISOString());
    expect(deleted).toEqual([]);
    expect(await server.table.getEntry(entryId)).toMatchObject({ state: 'READY' });
  });
});
