import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AT_ANY_TIME, AT_COMMIT, killBackfill } from './killed-backfill.ts';

const USAGE = `node bench/kill-backfill.ts [--seed 1] [--runs 1] [--kills 10] [--at-commit]
  Kills a backfill at random moments, runs it to its end and checks everything that it left.
  --at-commit: twenty lines, killed while the video after the first reported one is committed.`;

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1' },
    kills: { type: 'string', default: '10' },
    'at-commit': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (flags.help) {
  console.log(USAGE);
} else {
  let faulty = 0;
  for (let run = 0; run < Number(flags.runs); run++) {
    const seed = Number(flags.seed) + run;
    const folder = await mkdtemp(join(tmpdir(), 'flexcache-kill-'));
    console.log(`seed ${seed}`);
    const faults = await killBackfill({
      ...(flags['at-commit'] ? AT_COMMIT : AT_ANY_TIME),
      folder,
      seed,
      kills: Number(flags.kills),
      say: (line) => console.log(`  ${line}`),
    });
    for (const fault of faults) console.log(`  FAULT ${fault}`);
    if (faults.length === 0) await rm(folder, { recursive: true });
    else console.log(`  see ${folder}`);
    faulty += faults.length > 0 ? 1 : 0;
  }
  console.log(`${flags.runs} runs of ${flags.kills} kills each, ${faulty} with faults`);
  process.exitCode = faulty === 0 ? 0 : 1;
}
