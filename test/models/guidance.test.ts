import { expect, it } from 'vitest';
import { guide } from '#models/guidance.ts';

it('leads each row away from its own unconditional one', () => {
  // Prepare: two rows that follow prompts, then two that do not.
  const rows = Float32Array.of(1, 2, 10, 20, 0.5, 4, 8, 20);
  const into = new Float32Array(4);

  // Act
  guide(rows, 3, into);

  // Assess
  expect([...into]).toEqual([2, -2, 14, 20]);
});
