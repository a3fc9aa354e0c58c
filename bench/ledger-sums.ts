import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sumLedgers } from './summed-ledgers.ts';
import { crossedTargets, donorTargets } from './world-prompts.ts';

const USAGE = `node bench/ledger-sums.ts [--videos 200] [--kills 10] [--seed 1] [--steps 4]
  Backfills on the shipped model, with networks that fail and a process that is killed, and adds up:
  ledgers, invoice, reports in every grouping, and what the tenant was charged.`;

const { values: flags } = parseArgs({
  options: {
    videos: { type: 'string', default: '200' },
    kills: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '4' },
    help: { type: 'boolean', default: false },
  },
});

if (flags.help) {
  console.log(USAGE);
} else {
  const prompts = [...donorTargets(), ...crossedTargets(Infinity)];
  const folder = await mkdtemp(join(tmpdir(), 'flexcache-sums-'));
  const start = performance.now();
  const faults = await sumLedgers({
    folder,
    command: join(import.meta.dirname, 'faulty-flexcache.ts'),
    lines: Array.from({ length: Number(flags.videos) }, (_, index) => ({
      prompt: prompts[index % prompts.length]!.prompt,
      seed: Math.floor(index / prompts.length),
      steps: Number(flags.steps),
    })),
    kills: Number(flags.kills),
    mostFileChanges: 400,
    faults: { transient: 0.01, final: 0.002 },
    seed: Number(flags.seed),
    say: (line) => console.log(line),
  });
  console.log(`${((performance.now() - start) / 1000).toFixed(0)} s`);
  for (const fault of faults) console.log(`FAULT ${fault}`);
  if (faults.length === 0) await rm(folder, { recursive: true });
  else console.log(`see ${folder}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
