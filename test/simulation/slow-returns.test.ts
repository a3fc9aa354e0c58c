import { describe, expect, it, vi } from 'vitest';
import { rentToLru, RETURNING_PROMPTS } from '../../bench/returning-prompts.ts';

vi.setConfig({ testTimeout: 120_000 });

const CASES = RETURNING_PROMPTS.map((prompts) => ({
  ...prompts,
  room: prompts.isEnoughForLru ? 'with room for LRU to hold them' : 'without that room',
  prompts,
}));

describe('entries that return after days, and would be dropped before if nobody waited to see', () => {
  it.each(CASES)(
    'cost at most $most of what LRU costs: $name, $room',
    async ({ prompts, most }) => {
      expect(await rentToLru(prompts)).toBeLessThanOrEqual(most);
    },
  );
});
