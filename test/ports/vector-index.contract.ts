import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { LOOKUP_PARTS } from '#core/generation.ts';
import type { VectorIndex, VectorRecord, VectorScope } from '#ports/vector-index.ts';
import { collect } from '../collect.ts';
import { unique } from '../aws/samples.ts';

export const DIMENSIONS = 4;

/** What every vector index of `DIMENSIONS` elements does. */
export function vectorIndexContract(open: () => VectorIndex): void {
  describe('vectors', () => {
    test('the nearest come first, with their cosine', async () => {
      const scope = someScope();
      await open().put([
        { ...scope, entryId: 'same', vector: [1, 0, 0, 0] },
        { ...scope, entryId: 'near', vector: [0.8, 0.6, 0, 0] },
        { ...scope, entryId: 'across', vector: [0, 0, 1, 0] },
        { ...scope, entryId: 'opposite', vector: [-1, 0, 0, 0] },
      ]);

      const matches = await open().query(scope, [1, 0, 0, 0], 10);

      expect(matches.map(({ entryId }) => entryId)).toEqual(['same', 'near', 'across', 'opposite']);
      const expected = [1, 0.8, 0, -1];
      for (const [index, { similarity }] of matches.entries()) {
        expect(similarity).toBeCloseTo(expected[index]!, 5);
      }
    });

    test('no more than asked come back', async () => {
      const scope = someScope();
      await open().put(
        Array.from({ length: 20 }, (_, index) => ({
          ...scope,
          entryId: `e${index}`,
          vector: [Math.cos(index / 20), Math.sin(index / 20), 0, 0],
        })),
      );

      const matches = await open().query(scope, [1, 0, 0, 0], 3);

      expect(matches.map(({ entryId }) => entryId)).toEqual(['e0', 'e1', 'e2']);
    });

    test('scopes do not see each other', async () => {
      const scope = someScope();
      const others = [
        { ...scope, tenant: unique('tenant-') },
        { ...scope, compatibilityKey: unique('key-') },
        { ...scope, part: 'background' as const },
      ];
      for (const [index, other] of others.entries()) {
        await open().put([{ ...other, entryId: unique(`other${index}-`), vector: [1, 0, 0, 0] }]);
      }

      expect(await open().query(scope, [1, 0, 0, 0], 10)).toEqual([]);
      for (const other of others) {
        expect(await open().query(other, [1, 0, 0, 0], 10)).toHaveLength(1);
      }
    });

    test('shared vectors are seen by every tenant that asks for shared ones, and by no other', async () => {
      const tenantScope = someScope();
      const sharedScope: VectorScope = { ...tenantScope, scope: 'shared' };
      const other = unique('tenant-');
      const [own, shared, sharedByOther] = [unique('own-'), unique('shared-'), unique('others-')];
      const vector = [1, 0, 0, 0];
      await open().put([
        { ...tenantScope, entryId: own, vector },
        { ...sharedScope, entryId: shared, vector },
        { ...sharedScope, tenant: other, entryId: sharedByOther, vector },
      ]);

      const seen = async (scope: VectorScope) =>
        (await open().query(scope, vector, 10)).map(({ entryId }) => entryId).sort();

      expect(await seen(tenantScope)).toEqual([own]);
      expect(await seen({ ...tenantScope, tenant: other })).toEqual([]);
      expect(await seen(sharedScope)).toEqual([shared, sharedByOther].sort());
      expect(await seen({ ...sharedScope, tenant: other })).toEqual(await seen(sharedScope));
      expect(await seen({ ...sharedScope, compatibilityKey: unique('key-') })).toEqual([]);
    });

    test('the same entry and part is overwritten, also from another scope', async () => {
      const first = someScope();
      const second = someScope();
      const entryId = unique('vid_');
      await open().put([{ ...first, entryId, vector: [1, 0, 0, 0] }]);

      await open().put([{ ...first, entryId, vector: [0, 1, 0, 0] }]);
      const overwritten = await open().query(first, [0, 1, 0, 0], 10);
      await open().put([{ ...second, entryId, vector: [0, 1, 0, 0] }]);

      expect(overwritten).toHaveLength(1);
      expect(overwritten[0]!.similarity).toBeCloseTo(1, 5);
      expect(await open().query(first, [0, 1, 0, 0], 10)).toEqual([]);
      expect(await open().query(second, [0, 1, 0, 0], 10)).toHaveLength(1);
    });

    test('a call that names a key twice keeps the last', async () => {
      const scope = someScope();
      const entryId = unique('vid_');

      await open().put([
        { ...scope, entryId, vector: [1, 0, 0, 0] },
        { ...scope, entryId, vector: [0, 0, 0, 1] },
      ]);

      const [match] = await open().query(scope, [0, 0, 0, 1], 10);
      expect(match!.similarity).toBeCloseTo(1, 5);
    });

    test('a deletion removes every part and is idempotent', async () => {
      const scope = someScope();
      const entryId = unique('vid_');
      const other = unique('vid_');
      const records = LOOKUP_PARTS.map((part) => ({ ...scope, part, vector: [1, 0, 0, 0] }));
      await open().put(records.map((record) => ({ ...record, entryId })));
      await open().put(records.map((record) => ({ ...record, entryId: other })));

      await open().delete([entryId, 'vid_nobody']);
      await open().delete([entryId]);
      await open().delete([]);

      for (const part of LOOKUP_PARTS) {
        const matches = await open().query({ ...scope, part }, [1, 0, 0, 0], 10);
        expect(matches.map((match) => match.entryId)).toEqual([other]);
      }
      const listed = await collect(open().list());
      expect(listed).toContain(other);
      expect(listed).not.toContain(entryId);
    });

    test('each entry is listed once', async () => {
      const scope = someScope();
      const ids = Array.from({ length: 5 }, () => unique('vid_'));
      await open().put(
        ids.flatMap((entryId) =>
          LOOKUP_PARTS.map((part) => ({ ...scope, part, entryId, vector: [1, 0, 0, 0] })),
        ),
      );

      const listed = await collect(open().list());

      for (const entryId of ids) expect(listed.filter((id) => id === entryId)).toHaveLength(1);
    });

    test('more vectors than one call takes are stored and deleted', async () => {
      const scope = someScope();
      const ids = Array.from({ length: 1203 }, () => unique('vid_'));

      await open().put(ids.map((entryId) => ({ ...scope, entryId, vector: [1, 0, 0, 0] })));
      const before = await open().query(scope, [1, 0, 0, 0], 2000);
      await open().delete(ids);

      expect(new Set(before.map((match) => match.entryId))).toEqual(new Set(ids));
      expect(await open().query(scope, [1, 0, 0, 0], 10)).toEqual([]);
    });

    test('vectors without a direction or of another length are refused', async () => {
      const scope = someScope();
      await open().put([{ ...scope, entryId: unique('vid_'), vector: [1, 0, 0, 0] }]);
      const entryId = unique('vid_');

      for (const vector of [[0, 0, 0, 0], [Number.NaN, 0, 0, 1], []]) {
        await expect(open().put([{ ...scope, entryId, vector }])).rejects.toThrow(
          InvalidInputError,
        );
        await expect(open().query(scope, vector, 1)).rejects.toThrow(InvalidInputError);
      }
      await expect(open().put([{ ...scope, entryId, vector: [1, 0] }])).rejects.toThrow();
      expect(await open().query(scope, [1, 0, 0, 0], 10)).toHaveLength(1);
    });

    test('after any puts and deletions the answers are those of a full comparison', async () => {
      const element = fc.integer({ min: -4, max: 4 });
      const vector = fc
        .tuple(element, element, element, element)
        .filter((elements) => elements.some((value) => value !== 0));
      const step = fc.record({
        isDelete: fc.boolean(),
        entry: fc.nat(5),
        part: fc.constantFrom(...LOOKUP_PARTS),
        vector,
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), vector, async (steps, query) => {
          const scope = someScope();
          const model = new Map<string, VectorRecord>();
          for (const { isDelete, entry, part, vector: elements } of steps) {
            const entryId = `${scope.tenant}-${entry}`;
            if (isDelete) {
              await open().delete([entryId]);
              for (const each of LOOKUP_PARTS) model.delete(`${each}${entryId}`);
            } else {
              const record = { ...scope, part, entryId, vector: elements };
              await open().put([record]);
              model.set(`${part}${entryId}`, record);
            }
          }

          for (const part of LOOKUP_PARTS) {
            const matches = await open().query({ ...scope, part }, query, 10);
            const expected = [...model.values()]
              .filter((record) => record.part === part)
              .map((record) => cosine(record.vector, query))
              .sort((one, other) => other - one);
            expect(matches).toHaveLength(expected.length);
            for (const [index, match] of matches.entries()) {
              expect(match.similarity).toBeCloseTo(expected[index]!, 5);
              const own = model.get(`${part}${match.entryId}`)!;
              expect(match.similarity).toBeCloseTo(cosine(own.vector, query), 5);
            }
          }
        }),
        { numRuns: 15 },
      );
    });
  });
}

function someScope(): VectorScope {
  return {
    compatibilityKey: unique('key-'),
    scope: 'tenant',
    tenant: unique('tenant-'),
    part: 'whole',
  };
}

function cosine(one: readonly number[], other: readonly number[]): number {
  const dot = one.reduce((sum, value, index) => sum + value * other[index]!, 0);
  return dot / Math.hypot(...one) / Math.hypot(...other);
}
