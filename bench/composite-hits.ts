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

/**
 * Adherence of `object+background` hits against full generations of the same prompts, through the
 * whole product: nine donors on nine backgrounds, then every object on every other background.
 *
 *     node bench/composite-hits.ts [--count 64] [--model DIR]
 *
 * Both sides are judged on the latents that the product stored, so compression is included.
 */

const { values: flags } = parseArgs({
  options: {
    count: { type: 'string', default: '64' },
    model: { type: 'string', default: 'containers/demo-model/package' },
    json: { type: 'boolean', default: false },
  },
});

type Words = readonly [value: string, phrase: string];

interface ObjectWords {
  shape: Words;
  color: Words;
  size: Words;
  motion: Words;
}

interface BackgroundWords {
  scene: Words;
  light: Words;
  camera: Words;
}

const OBJECTS: readonly ObjectWords[] = [
  object(['square', 'square'], ['red', 'red'], ['large', 'large'], ['right', 'moving right']),
  object(['ball', 'ball'], ['blue', 'blue'], ['small', 'small'], ['rise', 'rising']),
  object(['star', 'star'], ['yellow', 'yellow'], ['medium', 'medium'], ['spin', 'spinning']),
  object(['triangle', 'pyramid'], ['green', 'green'], ['large', 'big'], ['bounce', 'bouncing']),
  object(['ring', 'ring'], ['purple', 'purple'], ['medium', 'medium'], ['circle', 'circling']),
  object(['heart', 'heart'], ['orange', 'orange'], ['small', 'tiny'], ['grow', 'growing larger']),
  object(['diamond', 'gem'], ['cyan', 'cyan'], ['large', 'huge'], ['zigzag', 'zigzagging']),
  object(['cross', 'cross'], ['white', 'white'], ['medium', 'medium'], ['fall', 'falling']),
  object(['ring', 'donut'], ['pink', 'pink'], ['large', 'large'], ['left', 'moving left']),
];

const BACKGROUNDS: readonly BackgroundWords[] = [
  background(['meadow', 'over a green meadow'], ['noon', 'at noon']),
  background(['ocean', 'over the ocean'], ['dawn', 'at dawn']),
  background(['space', 'in outer space'], ['night', 'at night']),
  background(['desert', 'over desert dunes'], ['dusk', 'at sunset']),
  background(['snowfield', 'over a snowfield'], ['noon', 'at noon']),
  background(['brick', 'in front of a brick wall'], ['dusk', 'at dusk']),
  background(['city', 'over a city skyline'], ['night', 'at night']),
  background(['forest', 'in a forest'], ['dawn', 'at sunrise']),
  background(['beach', 'on a beach'], ['noon', 'in bright daylight']),
];

interface Target {
  prompt: string;
  truth: Readonly<Record<string, string>>;
}

const modelPackage = await loadManifest(flags.model);
const attributes = modelPackage.manifest.judge?.attributes ?? [];
const judge = OnnxJudge.open(modelPackage);
const count = Number(flags.count);

const donors = OBJECTS.map((words, index) => target(words, BACKGROUNDS[index]!));
const targets: Target[] = [];
for (let shift = 1; shift < BACKGROUNDS.length; shift++) {
  for (const [index, words] of OBJECTS.entries()) {
    targets.push(target(words, BACKGROUNDS[(index + shift) % BACKGROUNDS.length]!));
  }
}
targets.length = Math.min(targets.length, count);

interface Outcome {
  adherence: number;
  objectAdherence: number;
  backgroundAdherence: number;
  networkEvaluations: number;
  seconds: number;
}

const hits = new Map<string, number>();
const cached = await withCloud(async (cloud) => {
  for (const [index, donor] of donors.entries()) await generate(cloud, donor, 500 + index, 'auto');
  const outcomes: Outcome[] = [];
  for (const [index, wanted] of targets.entries()) {
    const job = await generate(cloud, wanted, 1000 + index, 'auto');
    const hit = job.result!.hit;
    hits.set(hit, (hits.get(hit) ?? 0) + 1);
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
  hits: Object.fromEntries(hits),
  cached: mean(cached),
  full: mean(full),
};
if (flags.json) console.log(JSON.stringify(summary));
else {
  const table = new Table({
    head: ['', 'adherence', 'object', 'background', 'evaluations', 'GPU-step s'],
  });
  for (const [name, row] of [
    ['from the cache', summary.cached],
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
    `${targets.length} prompts; hits ${JSON.stringify(summary.hits)}; adherence ratio ${(summary.cached.adherence / summary.full.adherence).toFixed(4)}`,
  );
}

function object(shape: Words, color: Words, size: Words, motion: Words): ObjectWords {
  return { shape, color, size, motion };
}

function background(scene: Words, light: Words): BackgroundWords {
  return { scene, light, camera: ['static', ''] };
}

function target(ofObject: ObjectWords, ofBackground: BackgroundWords): Target {
  const { size, color, shape, motion } = ofObject;
  const prompt = `a ${size[1]} ${color[1]} ${shape[1]} ${motion[1]} ${ofBackground.scene[1]} ${ofBackground.light[1]}`;
  const truth = Object.fromEntries(
    Object.entries({ ...ofObject, ...ofBackground }).map(([name, [value]]) => [name, value]),
  );
  return { prompt, truth };
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

async function assess(cloud: EmbeddedCloud, job: Job, { truth }: Target): Promise<Outcome> {
  const entry = await cloud.table.getEntry(job.videoId);
  if (entry === null) throw new Error(`${job.videoId} left no entry`);
  const stored = decodeLatent(await cloud.objects.get(entry.latentKey), {
    compatibilityKey: entry.compatibilityKey,
  });
  const { values } = await judge.judge(stored.whole);
  const right = (part: string | null) => {
    const judged = attributes.flatMap((attribute, index) =>
      part !== null && attribute.part !== part
        ? []
        : [attribute.values[values[index]!] === truth[attribute.name] ? 1 : 0],
    );
    return judged.reduce<number>((sum, value) => sum + value, 0) / judged.length;
  };
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
