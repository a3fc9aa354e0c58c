import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sumLedgers } from '../../bench/summed-ledgers.ts';
import { temporaryFolder } from './harness.ts';

test('ledgers, invoice, reports and charges agree to the pico-dollar after faults, retries and kills', async () => {
  // Prepare
  const said: string[] = [];
  const prompts = ['a red ball', 'a blue star over the sea', 'a green ring at night'];

  // Act
  const faults = await sumLedgers({
    folder: await temporaryFolder(),
    command: join(import.meta.dirname, 'faulty-fake-flexcache.ts'),
    lines: Array.from({ length: 12 }, (_, index) => ({
      prompt: prompts[index % prompts.length],
      seed: index,
      steps: 3,
    })),
    kills: 1,
    mostFileChanges: 200,
    faults: { transient: 0.06, final: 0.02 },
    seed: 3,
    say: (line) => said.push(line),
  });

  // Assess
  expect(faults, said.join('\n')).toEqual([]);
}, 240_000);
