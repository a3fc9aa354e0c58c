import { expect, test } from 'vitest';
import type { LookupPart } from '#core/generation.ts';
import { PartIndex } from '#simulation/part-index.ts';
import type { SimulatedEntry } from '#simulation/simulated-entry.ts';
import { VectorSpace } from '#simulation/vector-space.ts';

function entry(entryId: string, shown: number): SimulatedEntry {
  return {
    entryId,
    shown: { whole: shown, object: shown, background: shown },
  } as Partial<SimulatedEntry> as SimulatedEntry;
}

function found(part: LookupPart, ...shown: number[]): [string, number][] {
  const space = new VectorSpace(0.8);
  const index = new PartIndex(part, space);
  const vector = space.hold(Float32Array.of(1, 0));
  for (const [number, share] of shown.entries()) index.add(vector, entry(`e${number}`, share));
  return index
    .nearest(vector, 2)
    .map(({ entry: { entryId }, similarity }) => [entryId, similarity]);
}

test('a video is as near as its prompt, times what it shows of it', () => {
  expect(found('object', 0.7, 0.9, 0.85, 0.95)).toEqual([
    ['e3', 0.95],
    ['e1', 0.9],
  ]);
});

test('a video that shows too little of its prompt is no donor, though the words are the same', () => {
  expect(found('background', 0.79)).toEqual([]);
});

test('the very same prompt is found whatever its video shows, the newest first', () => {
  expect(found('whole', 0.2, 0.9, 0.1)).toEqual([
    ['e2', 1],
    ['e1', 1],
  ]);
});
