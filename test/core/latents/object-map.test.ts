import { describe, expect, it } from 'vitest';
import { addObjectMap, maskOfAttention, otsuThreshold } from '#core/latents/object-map.ts';
import type { Tensor } from '#core/latents/tensor.ts';

function frame(...rows: string[]): Tensor {
  const data = Float32Array.from(rows.flatMap((row) => [...row].map(Number)));
  return { data, shape: [1, rows.length, rows[0]!.length] };
}

/** Digits as tenths. */
function map(...rows: string[]): Tensor {
  const { data, shape } = frame(...rows);
  return { data: data.map((value) => value / 10), shape };
}

describe('otsuThreshold', () => {
  it('lies between two groups of values, however unequal they are in number', () => {
    const values = Float32Array.from([...Array<number>(90).fill(0.1), 0.2, 0.8, 0.9]);

    const threshold = otsuThreshold(values);

    expect(values.filter((value) => value > threshold)).toEqual(Float32Array.of(0.8, 0.9));
  });
});

describe('maskOfAttention', () => {
  it('has the object where the map is above the threshold of Otsu', () => {
    const mask = maskOfAttention(map('1121', '1891', '1981', '2111'), { dilation: 0 });

    expect(mask).toEqual(frame('0000', '0110', '0110', '0000'));
  });

  it('takes a threshold as the share of the range of the map', () => {
    const values = map('2357');

    const low = maskOfAttention(values, { threshold: 0.15, dilation: 0 });
    const high = maskOfAttention(values, { threshold: 0.7, dilation: 0 });

    expect(low).toEqual(frame('0111'));
    expect(high).toEqual(frame('0001'));
  });

  it('grows by its dilation', () => {
    const values = map('11111', '11111', '11111', '11111', '91111');

    expect(maskOfAttention(values, { dilation: 2 })).toEqual(
      frame('00000', '00000', '11100', '11100', '11100'),
    );
  });

  it('finds no object in a map that tells no place', () => {
    for (const values of [map('33', '33'), map('00', '00')]) {
      expect(maskOfAttention(values, { dilation: 1 })).toEqual(frame('00', '00'));
    }
  });

  it('does not let positions that were not evaluated decide the threshold', () => {
    const values = map('000000', '000000', '004589', '000000');

    expect(maskOfAttention(values, { dilation: 0 })).toEqual(
      frame('000000', '000000', '000011', '000000'),
    );
  });
});

describe('addObjectMap', () => {
  it('lets evaluations count by the signal that they read', () => {
    const early = addObjectMap(null, frame('10'), 0.75);

    const both = addObjectMap(early, frame('01'), 0.25);

    expect(early).toEqual({ data: Float32Array.of(0.25, 0), shape: [1, 1, 2] });
    expect(both).toEqual({ data: Float32Array.of(0.25, 0.75), shape: [1, 1, 2] });
  });

  it('has a map of a run of one evaluation from noise', () => {
    const { data } = addObjectMap(null, frame('01'), 1);

    expect(data[1]).toBeGreaterThan(data[0]!);
  });
});
