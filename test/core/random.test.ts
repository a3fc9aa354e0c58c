import { describe, expect, it } from 'vitest';
import { createRandomSource } from '#core/random.ts';

describe('createRandomSource', () => {
  it('draws every number below the bound about equally often', () => {
    const random = createRandomSource(3, 'test');
    const counts = [0, 0, 0, 0, 0];

    for (let draw = 0; draw < 10_000; draw++) counts[random.nextBelow(5)]!++;

    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200);
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
