import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, beforeAll, afterAll } from 'vitest';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { VectorRecord, VectorScope } from '#ports/vector-index.ts';
import { ExactVectorIndex, type ExactVectorIndexOptions } from '#local/exact-vector-index.ts';
import { collect } from '../collect.ts';
import { sampleEntry } from '../aws/samples.ts';
import { vectorIndexContract } from '../ports/vector-index.contract.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { onSmallDisk } from './small-disk.ts';

const SCOPE: VectorScope = { compatibilityKey: 'c', tenant: 't', scope: 'tenant', part: 'whole' };

describe('ExactVectorIndex', () => {
  let folder: string;
  let index: ExactVectorIndex;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flexcache-vectors-'));
    index = await ExactVectorIndex.open(folder, { leastBytesToCompact: 2000 });
  });
  afterAll(async () => {
    await index.close();
    await rm(folder, { recursive: true, force: true });
  });

  vectorIndexContract(() => index);
});

describe('ExactVectorIndex on disk', () => {
  test('vectors outlive the index that wrote them', async () => {
    const folder = await temporaryFolder();
    const first = await openIndex(folder);
    await first.rebuild([]);
    await first.put([record('a', [1, 0]), record('b', [0, 1]), record('gone', [1, 1])]);
    await first.delete(['gone']);
    await first.close();

    const reopened = await openIndex(folder);

    expect(reopened.needsRebuild).toBe(false);
    expect(await reopened.query(SCOPE, [1, 0], 5)).toEqual([
      { entryId: 'a', similarity: 1 },
      { entryId: 'b', similarity: 0 },
    ]);
  });

  test('a new or lost file calls for a rebuild, which holds the READY entries', async () => {
    const folder = await temporaryFolder();
    const entries = [
      sampleEntry({ entryId: 'ready', tenant: 't', compatibilityKey: 'c' }),
      sampleEntry({ entryId: 'leaving', tenant: 't', compatibilityKey: 'c', state: 'EVICTING' }),
    ];
    const index = await openIndex(folder);
    await index.put([record('stale', [1, 0, 0, 0])]);
    const wasNeeded = index.needsRebuild;

    await index.rebuild(entries);
    await index.close();

    const reopened = await openIndex(folder);
    expect([wasNeeded, reopened.needsRebuild]).toEqual([true, false]);
    expect(await collect(reopened.list())).toEqual(['ready']);
    expect(await reopened.query({ ...SCOPE, part: 'object' }, [1, 0, 0, 0], 5)).toHaveLength(1);
    expect(await reopened.query({ ...SCOPE, part: 'background' }, [1, 0, 0, 0], 5)).toEqual([]);
  });

  test('a file cut anywhere keeps what comes before the cut and asks for a rebuild', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'vectors.log');
    const index = await openIndex(folder);
    await index.rebuild([]);
    const ends = [(await stat(path)).size];
    for (let count = 0; count < 4; count++) {
      await index.put([record(`e${count}`, [1, count])]);
      ends.push((await stat(path)).size);
    }
    await index.close();
    const whole = await readFile(path);

    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
        await writeFile(path, whole.subarray(0, length));

        const cut = await ExactVectorIndex.open(folder);
        const needed = cut.needsRebuild;
        const ids = await collect(cut.list());
        await cut.put([record('later', [1, 1])]);
        await cut.close();
        const again = await ExactVectorIndex.open(folder);

        const kept = Math.max(0, ends.filter((end) => end <= length).length - 1);
        expect(ids).toEqual(['e0', 'e1', 'e2', 'e3'].slice(0, kept));
        expect(needed).toBe(!ends.includes(length));
        expect(again.needsRebuild).toBe(needed);
        expect(await collect(again.list())).toEqual([...ids, 'later']);
        await again.close();
      }),
      { numRuns: 40 },
    );
  });

  test('a flipped bit never makes a wrong answer, and asks for a rebuild', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'vectors.log');
    const index = await openIndex(folder);
    await index.rebuild([]);
    await index.put([record('a', [1, 0]), record('b', [0, 1]), record('c', [1, 1])]);
    await index.close();
    const whole = await readFile(path);

    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length * 8 - 1), async (bit) => {
        const altered = Buffer.from(whole);
        altered[bit >> 3]! ^= 1 << (bit & 7);
        await writeFile(path, altered);

        const damaged = await ExactVectorIndex.open(folder);

        expect(damaged.needsRebuild).toBe(true);
        const similarities = new Map([
          ['a', 1],
          ['b', 0],
          ['c', Math.SQRT1_2],
        ]);
        for (const { entryId, similarity } of await damaged.query(SCOPE, [1, 0], 5)) {
          expect(similarity).toBeCloseTo(similarities.get(entryId)!, 5);
        }
        await damaged.close();
      }),
      { numRuns: 60 },
    );
  });

  test('overwriting for ever does not let the file grow for ever', async () => {
    const folder = await temporaryFolder();
    const index = await openIndex(folder, { leastBytesToCompact: 1000 });
    await index.rebuild([]);

    for (let count = 0; count < 200; count++) await index.put([record('a', [1, count])]);
    await index.close();

    expect((await stat(join(folder, 'vectors.log'))).size).toBeLessThan(2000);
    const reopened = await openIndex(folder);
    expect(reopened.needsRebuild).toBe(false);
    expect((await reopened.query(SCOPE, [1, 199], 5))[0]!.similarity).toBeCloseTo(1, 5);
  });

  test('a writer killed at any moment leaves what it had finished', async () => {
    const folder = await temporaryFolder();
    const writer = spawn(process.execPath, [join(import.meta.dirname, 'write-vectors.ts'), folder]);
    let said = '';
    writer.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await once(writer.stdout, 'data');
    await new Promise((resolve) => setTimeout(resolve, 150));
    writer.kill('SIGKILL');
    await once(writer, 'close');

    const index = await openIndex(folder);

    const finished = said
      .trim()
      .split('\n')
      .filter((line) => /^e\d+\.$/.test(line));
    const listed = new Set(await collect(index.list()));
    expect(finished.length).toBeGreaterThan(0);
    for (const line of finished) expect(listed).toContain(line.slice(0, -1));
  });

  test('a full disk is said so and what was there stays usable', async () => {
    await onSmallDisk(async (disk) => {
      const index = await openIndex(disk);
      await index.rebuild([]);
      await index.put([record('a', [1, 0])]);

      const large = Array.from({ length: 300 }, (_, count) => ({
        ...record(`large${count}`, Array(1000).fill(1)),
        tenant: 'large',
      }));
      await expect(index.put(large)).rejects.toMatchObject({ code: 'disk_full' });
      await index.put([record('b', [0, 1])]);
      await index.close();

      const reopened = await openIndex(disk);
      expect(reopened.needsRebuild).toBe(false);
      expect(new Set(await collect(reopened.list()))).toEqual(new Set(['a', 'b']));
      await reopened.close();
    });
  });

  test('the sign filter finds the near ones that a full comparison finds', async () => {
    const random = seeded(5);
    const records = Array.from({ length: 6000 }, (_, count) =>
      record(
        `e${count}`,
        Array.from({ length: 64 }, () => random() - 0.5),
      ),
    );
    const filtered = await openIndex(await temporaryFolder(), { prefilterAbove: 100 });
    const full = await openIndex(await temporaryFolder(), { prefilterAbove: 1e9 });
    await filtered.put(records);
    await full.put(records);

    for (let count = 0; count < 50; count++) {
      const near = records[count * 100]!.vector.map((value) => value + 0.3 * (random() - 0.5));

      const [expected] = await full.query(SCOPE, near, 1);
      expect((await filtered.query(SCOPE, near, 10))[0]).toEqual(expected);
    }
  });
});

async function openIndex(
  folder: string,
  options?: ExactVectorIndexOptions,
): Promise<ExactVectorIndex> {
  const index = await ExactVectorIndex.open(folder, options);
  onTestFinished(() => index.close().catch(() => undefined));
  return index;
}

function record(entryId: string, vector: number[]): VectorRecord {
  return { ...SCOPE, entryId, vector };
}

/** mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
