import { describe, expect, it } from 'vitest';
import { SentConstants, type ConstantChanges } from '#models/sent-constants.ts';
import type { NetworkTensor } from '#models/onnx-networks.ts';

function tensor(values: number): NetworkTensor {
  return { data: new Float32Array(values), shape: [values] };
}

function changes(): ConstantChanges {
  return { added: {}, forgotten: [] };
}

describe('SentConstants', () => {
  it('adds a tensor once, however often calls name it', () => {
    // Prepare
    const constants = new SentConstants();
    const [one, other] = [tensor(2), tensor(2)];
    const [first, second] = [changes(), changes()];

    // Act
    const names = constants.namesOf([one, other, one], first);
    const again = constants.namesOf([other], second);

    // Assess
    expect(first.added).toEqual({ [names[0]!]: one, [names[1]!]: other });
    expect(names[2]).toBe(names[0]);
    expect(again).toEqual([names[1]]);
    expect(second.added).toEqual({});
  });

  it('forgets what was not used for the longest, and nothing that a call uses', () => {
    // Prepare: room for two of three.
    const constants = new SentConstants(2 * 8);
    const tensors = [tensor(2), tensor(2), tensor(2)];
    const names = constants.namesOf(tensors, changes());
    constants.namesOf([tensors[0]!], changes());
    const [small, large] = [changes(), changes()];

    // Act
    constants.forgetOldest(new Set(names), large);
    constants.forgetOldest(new Set([names[2]!]), small);

    // Assess
    expect(large.forgotten).toEqual([]);
    expect(small.forgotten).toEqual([names[1]]);
    const later = changes();
    constants.namesOf(tensors, later);
    expect(Object.values(later.added)).toEqual([tensors[1]]);
  });
});
