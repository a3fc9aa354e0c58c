import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { decodeLatent } from '#codec/decode-latent.ts';
import type { CacheMode, Job } from '#core/generation.ts';
import { openEmbeddedCloud, type EmbeddedCloud } from '#local/embedded-cloud.ts';
import { loadManifest } from '#models/manifest.ts';
import { OnnxJudge } from '#models/onnx-judge.ts';
import { adherence, crossedTargets, donorTargets, type Target } from './world-prompts.ts';

/**
 * Adherence of `object+background` hits against full generations of the same prompts, through the
 * whole product: nine objects on nine backgrounds, two seeds each, then every object on every other
 * background. Prompts that got another hit are counted and left out of the comparison.
 *
 *     node bench/composite-hits.ts [--count 72] [--model DIR]
 *
 * Both sides are judged on the latents that the product stored, so compression is included.
 */

const { values: flags } = parseArgs({
  options: {
    count: { type: 'string', default: '72' },
    model: { type: 'string', default: 'containers/demo-model/package' },
    json: { type: 'boolean', default: false },
  },
});

const modelPackage = await loadManifest(flags.model);
const attributes = modelPackage.manifest.judge?.attributes ?? [];
const judge = OnnxJudge.open(modelPackage);
const count = Number(flags.count);

const donors = donorTargets();
const targets = crossedTargets(count);

interface Outcome {
  adherence: number;
  objectAdherence: number;
  backgroundAdherence: number;
  networkEvaluations: number;
  seconds: number;
}

const hits = new Map<string, number>();
const compared: number[] = [];
const cached = await withCloud(async (cloud) => {
  for (const seed of [500, 600]) {
    for (const [index, donor] of donors.entries()) {
      await generate(cloud, donor, seed + index, 'refresh');
    }
  }
  const outcomes: Outcome[] = [];
  for (const [index, wanted] of targets.entries()) {
    const job = await generate(cloud, wanted, 1000 + index, 'auto');
    const hit = job.result!.hit;
    hits.set(hit, (hits.get(hit) ?? 0) + 1);
    if (hit === 'object+background') compared.push(index);
    outcomes.push(await assess(cloud, job, wanted));
  }
  return outcomes;
});
const full = await withCloud(async (cloud) => {
  const outcomes: Outcome[] = [];
  for (const [index, wanted] of targets.entries()) {
    outcomes.push(
      await assess(cloud, await generate(cloud, wanted, 1000 + index, 'refresh'), wanted),
    );
  }
  return outcomes;
});
await judge.close();

const summary = {
  targets: targets.length,
  compared: compared.length,
  hits: Object.fromEntries(hits),
  cached: mean(compared.map((index) => cached[index]!)),
  full: mean(compared.map((index) => full[index]!)),
};
if (flags.json) console.log(JSON.stringify(summary));
else {
  const table = new Table({
    head: ['', 'adherence', 'object', 'background', 'evaluations', 'GPU-step s'],
  });
  for (const [name, row] of [
    ['object+background hit', summary.cached],
    ['full generation', summary.full],
  ] as const) {
    table.push([
      name,
      row.adherence.toFixed(4),
      row.objectAdherence.toFixed(4),
      row.backgroundAdherence.toFixed(4),
      row.networkEvaluations.toFixed(1),
      row.seconds.toFixed(2),
    ]);
  }
  console.log(table.toString());
  console.log(
    `${compared.length} of ${targets.length} prompts compared; hits ${JSON.stringify(summary.hits)}; adherence ratio ${(summary.cached.adherence / summary.full.adherence).toFixed(4)}`,
  );
}

async function withCloud<T>(run: (cloud: EmbeddedCloud) => Promise<T>): Promise<T> {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'flexcache-bench-'));
  const cloud = await openEmbeddedCloud({ stateDirectory, modelDirectory: flags.model });
  try {
    return await run(cloud);
  } finally {
    await cloud.close();
    await rm(stateDirectory, { recursive: true, force: true });
  }
}

async function generate(
  cloud: EmbeddedCloud,
  { prompt }: Target,
  seed: number,
  cache: CacheMode,
): Promise<Job> {
  const job = await cloud.generate({ prompt, seed, cache });
  if (job.status !== 'completed') throw new Error(`${prompt}: ${job.error?.message}`);
  process.stderr.write(`${job.result!.hit.padEnd(18)} ${prompt}\n`);
  return job;
}

async function assess(cloud: EmbeddedCloud, job: Job, wanted: Target): Promise<Outcome> {
  const entry = await cloud.table.getEntry(job.videoId);
  if (entry === null) throw new Error(`${job.videoId} left no entry`);
  const stored = decodeLatent(await cloud.objects.get(entry.latentKey), {
    compatibilityKey: entry.compatibilityKey,
  });
  const { values } = await judge.judge(stored.whole);
  const right = (part: 'object' | 'background' | null) =>
    adherence(attributes, values, wanted, part);
  return {
    adherence: right(null),
    objectAdherence: right('object'),
    backgroundAdherence: right('background'),
    networkEvaluations: job.result!.stepsRun,
    seconds: job.result!.seconds.generate,
  };
}

function mean(outcomes: readonly Outcome[]): Outcome {
  const average = (key: keyof Outcome) =>
    outcomes.reduce((sum, outcome) => sum + outcome[key], 0) / outcomes.length;
  return {
    adherence: average('adherence'),
    objectAdherence: average('objectAdherence'),
    backgroundAdherence: average('backgroundAdherence'),
    networkEvaluations: average('networkEvaluations'),
    seconds: average('seconds'),
  };
}
