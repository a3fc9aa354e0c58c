import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { createRandomSource } from '#core/random.ts';
import { IndexedHeap } from '#simulation/indexed-heap.ts';
import { VectorSpace } from '#simulation/vector-space.ts';
import { unitVector } from './trace-fixture.ts';

describe('the heap', () => {
  it('gives the smallest key, of equals the one that was set first, whatever was taken out', () => {
    const steps = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 15 }), fc.option(fc.integer({ min: 0, max: 5 }))),
      { maxLength: 80 },
    );
    fc.assert(
      fc.property(steps, (changes) => {
        const heap = new IndexedHeap<number>();
        const keys = new Map<number, { key: number; turn: number }>();
        for (const [turn, [item, key]] of changes.entries()) {
          if (key === null) {
            heap.delete(item);
            keys.delete(item);
          } else {
            heap.set(item, key);
            keys.set(item, { key, turn });
          }
          const [first] = [...keys].toSorted(
            ([, one], [, other]) => one.key - other.key || one.turn - other.turn,
          );
          expect(heap.first()).toBe(first?.[0]);
          expect(heap.size).toBe(keys.size);
        }
      }),
    );
  });
});

describe('a space of vectors', () => {
  it.each([
    [128, 0.9],
    [128, 0.5],
    [384, 0.74],
    [3, 0.8],
    [20, -1],
  ])(
    'of %d dimensions finds every vector within %d of another, and no other',
    (dimensions, least) => {
      const random = createRandomSource(1, 'vectors');
      const space = new VectorSpace(least);
      const seeds = Array.from({ length: 12 }, () => unitVector(random, dimensions));
      const held = new Map<number, Float32Array>();
      for (let turn = 0; turn < 400; turn++) {
        const vector = unitVector(random, dimensions, seeds[random.nextBelow(seeds.length)], 0.4);
        held.set(space.hold(vector), vector);
        if (random.nextBelow(3) === 0) {
          const [id] = [...held.keys()].slice(random.nextBelow(held.size));
          space.release(id!);
          held.delete(id!);
        }
      }
      expect(space.size).toBe(held.size);
      for (const [id, vector] of held) {
        const { count, ids, similarities } = space.neighboursOf(id);
        const found = new Map(
          Array.from({ length: count }, (_, index) => [ids[index]!, similarities[index]!]),
        );
        for (const [other, otherVector] of held) {
          const cosine = id === other ? 1 : dot(vector, otherVector);
          if (Math.abs(cosine - least) < 1e-5) continue;
          expect(found.has(other)).toBe(cosine >= least);
          if (cosine >= least) expect(found.get(other)).toBeCloseTo(Math.min(1, cosine), 5);
        }
        for (const other of found.keys()) expect(held.has(other)).toBe(true);
      }
    },
  );

  it('knows a vector by its elements, as long as somebody holds it', () => {
    const space = new VectorSpace(0.5);
    const vector = unitVector(createRandomSource(2, 'vectors'), 16);

    const id = space.hold(vector);
    expect(space.hold(vector.slice())).toBe(id);
    space.release(id);
    expect(space.size).toBe(1);
    space.release(id);
    expect(space.size).toBe(0);
    space.hold(vector);
    expect(space.size).toBe(1);
  });

  it.each([
    ['of another length', Float32Array.from([0.6, 0.8, 0])],
    ['that is no unit vector', Float32Array.from([3, 4])],
    ['of no numbers', Float32Array.from([Number.NaN, 1])],
    ['without elements', new Float32Array(0)],
  ])('refuses a vector %s', (_, vector) => {
    const space = new VectorSpace(0.5);
    space.hold(Float32Array.from([0.6, 0.8]));

    expect(() => space.hold(vector)).toThrow(InvalidInputError);
    expect(space.size).toBe(1);
  });
});

function dot(one: Float32Array, other: Float32Array): number {
  return one.reduce((sum, element, index) => sum + element * other[index]!, 0);
}
