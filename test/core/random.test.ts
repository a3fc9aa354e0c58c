import { describe, expect, it } from 'vitest';
import { createRandomSource } from '#core/random.ts';

describe('createRandomSource', () => {
  it('draws every number below the bound about equally often', () => {
    const random = createRandomSource(3, 'test');
    const counts = [0, 0, 0, 0, 0];

    for (let draw = 0; draw < 10_000; draw++) counts[random.nextBelow(5)]!++;

    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200);
  });

  it('fills arrays with the numbers that come one by one, and goes on after them', () => {
    const random = createRandomSource(3, 'test');
    const oneByOne = Array.from({ length: 300 }, () => random.nextUint32());
    const filling = createRandomSource(3, 'test');
    const filled: number[] = [];
    for (const length of [1, 0, 5, 64, 200]) {
      const numbers = new Uint32Array(length);
      filling.fill(numbers);
      filled.push(...numbers);
      if (length === 5) for (let draw = 0; draw < 30; draw++) filled.push(filling.nextUint32());
    }

    expect(filled).toEqual(oneByOne);
    expect(new Set(oneByOne).size).toBe(300);
  });

  it('repeats itself for the same seed and stream and for no other', () => {
    const draw = (seed: number, stream: string): number[] => {
      const random = createRandomSource(seed, stream);
      return [random.nextUint32(), random.nextUint32()];
    };
    expect(draw(1, 'a')).toEqual(draw(1, 'a'));
    expect(draw(1, 'a')).not.toEqual(draw(2, 'a'));
    expect(draw(1, 'a')).not.toEqual(draw(1, 'b'));
  });
});
