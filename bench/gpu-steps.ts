import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-node';
import { encodeLatent } from '#codec/encode-latent.ts';
import { DefaultCalibration, startPoint, type StartPoint } from '#core/planning/calibration.ts';
import { PARTS, type Donor, type HitKind, type Plan } from '#core/generation.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import { newRequest } from '#core/requests/new-request.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { quantileOf } from '#core/statistics/intervals.ts';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import { generateVideo } from '#denoiser/generate-video.ts';
import { encodeMedia } from '#denoiser/media.ts';
import { FileObjectStore } from '#local/file-object-store.ts';
import { EXECUTION_PROVIDERS } from '#models/execution-provider.ts';
import {
  compatibilityOf,
  MANIFEST_FILE,
  modelRevision,
  networkPaths,
  parseManifest,
  type ModelPackage,
} from '#models/manifest.ts';
import { lookupTraits } from '#models/lookup-traits.ts';
import type { VideoModel } from '#models/model.ts';
import { OnnxDenoiser } from '#models/onnx-denoiser.ts';
import { OnnxNetworks } from '#models/onnx-networks.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { sample } from '#models/sampler.ts';
import { GpuMemory, gpuName } from './gpu-memory.ts';

/**
 * What a package's denoiser costs in the product and by itself, and what else a video costs, on one machine.
 *
 *     node bench/gpu-steps.ts PACKAGE [--provider cuda] [--rounds 5] [--whole 30]
 *         [--hits near:6:0.85,background:10:0.9] [--skip-decode] [--out FILE]
 *
 * Prints JSON: seconds from the start of the process to the end of the first step; milliseconds of a step
 * guided and unguided, in the product (`sample` over a thread) and by `session.run` alone, in turns; what of it
 * is the product's; decoding, encoding of the latent and of the media files; most memory of the GPU in each part.
 * `--whole` also makes a whole video of so many steps as the worker does, stores it, and then hits on it: those
 * that the default calibration plans, and those of `--hits` (kind, steps and start time of each). A mask of the
 * middle of the frame, and made-up vectors, stand for the networks that tell objects from backgrounds: exported pipelines have none, and random weights show no object.
 *
 * `containers/exporter/bench/pipelines.py` measures diffusers on the same weights.
 */
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    provider: { type: 'string', default: 'cuda' },
    rounds: { type: 'string', default: '5' },
    whole: { type: 'string' },
    hits: { type: 'string', default: '' },
    'skip-decode': { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
const [directory] = positionals;
const executionProvider = EXECUTION_PROVIDERS.find((known) => known === flags.provider);
if (directory === undefined || executionProvider === undefined) {
  throw new Error(`name a package, and one of ${EXECUTION_PROVIDERS.join(', ')} as --provider`);
}
const ROUNDS = Number(flags.rounds);
const TIMED_HITS: readonly HitKind[] = ['whole', 'near', 'object+background', 'background'];
const hits = flags.hits.split(',').filter(Boolean).map(parseHit);
const PROMPT = 'a red ball on the beach';
const SEED = 7;
/** Threads of a network that has run may still wait for more in a loop. */
const SETTLE_MS = 50;

const report: Record<string, unknown> = { provider: executionProvider, gpu: gpuName() };
const memory = GpuMemory.watch();
const modelPackage = await openPackage(directory);
const { manifest } = modelPackage;
const shape = latentShape(manifest);
const { guidance } = manifest.scheduler;
report['model'] = {
  name: manifest.name,
  video: manifest.video,
  latent: shape,
  text: manifest.text,
};

const model = await OnnxVideoModel.open(modelPackage, { executionProvider });
const openSeconds = performance.now() / 1000;
await Promise.all([model.encodeText(PROMPT), model.encodeText(null)]);
const textSeconds = performance.now() / 1000;
await steps(1, guidance);
report['start'] = {
  opened: openSeconds,
  textEncoded: textSeconds,
  firstStepDone: performance.now() / 1000,
  peakMiB: memory.takePeak(),
};

const product = {
  guided: await steps(ROUNDS, guidance),
  unguided: await steps(ROUNDS, 1),
  peakMiB: memory.takePeak(),
};
// With both in memory: a machine that others use too is then as busy for one as for the other.
const raw = await rawDenoiser();
const compared: Record<string, unknown> = {};
for (const [name, rows, used] of [
  ['guided', 2, guidance],
  ['unguided', 1, 1],
] as const) {
  const feeds = raw.feedsOf(rows);
  const alone: number[] = [];
  await raw.run(feeds);
  const inProduct = await steps(ROUNDS, used, async () => {
    await sleep(SETTLE_MS);
    alone.push(await milliseconds(() => raw.run(feeds)));
    await sleep(SETTLE_MS);
  });
  compared[name] = {
    product: spread(inProduct),
    sessionRun: spread(alone),
    overheadPercent: 100 * (median(inProduct) / median(alone) - 1),
  };
}
await raw.close();
report['step'] = {
  ...compared,
  productAlone: { ...product, guided: spread(product.guided), unguided: spread(product.unguided) },
};
show('step');

const latent = standardNormalNoise(shape, SEED, 'latent');
const mask = middle(shape);
memory.takePeak();
const parts: Record<string, unknown> = {
  encodeLatent: await milliseconds(() =>
    encodeLatent({
      latent,
      mask,
      compatibilityKey: compatibilityKey(compatibilityOf(modelPackage)),
    }),
  ),
};
if (!flags['skip-decode']) {
  let video: Tensor | undefined;
  const decodes: number[] = [];
  for (let round = 0; round < 3; round++) {
    decodes.push(await milliseconds(async () => (video = await model.decode(latent))));
  }
  parts['decode'] = { first: decodes[0], later: decodes.slice(1), peakMiB: memory.takePeak() };
  const { framesPerSecond } = manifest.video;
  parts['encodeMedia'] = await milliseconds(() => encodeMedia(video!, framesPerSecond));
}
report['parts'] = parts;
show('parts');
if (flags.whole !== undefined) report['videos'] = await videos(Number(flags.whole));
await model.close();
memory.stop();
const text = JSON.stringify(report, null, 2);
console.log(text);
if (flags.out !== undefined) await writeFile(flags.out, `${text}\n`);

/** Parses a hit of `--hits`, such as `near:6:0.85`; throws an Error that says what is expected. */
function parseHit(text: string): { hit: HitKind; point: StartPoint } {
  const [kind, steps, startTime] = text.split(':');
  const hit = TIMED_HITS.find((known) => known === kind);
  if (hit === undefined || !(Number(steps) > 0) || !(Number(startTime) > 0)) {
    throw new Error(`--hits ${text}: give KIND:STEPS:START_TIME, of ${TIMED_HITS.join(', ')}`);
  }
  return { hit, point: startPoint(Number(startTime), Number(steps)) };
}

/**
 * A package of the exporter. What it has not, and a manifest must: this looks nothing up and splits no prompt.
 */
async function openPackage(folder: string): Promise<ModelPackage> {
  const json = JSON.parse(await readFile(join(folder, MANIFEST_FILE), 'utf8')) as {
    files: Record<string, unknown>;
    scheduler: { steps: number };
  };
  const { vaeDecoder } = json.files;
  const filled = {
    embedding: { dimensions: 1 },
    lookup: { thresholds: { whole: 0, object: 0, background: 0 } },
    ...json,
    scheduler: { referenceSteps: json.scheduler.steps, ...json.scheduler },
    files: { segmenter: vaeDecoder, textTower: vaeDecoder, videoTower: vaeDecoder, ...json.files },
  };
  const parsed = parseManifest(folder, JSON.stringify(filled));
  return { directory: folder, manifest: parsed, revision: modelRevision(parsed) };
}

/** Milliseconds of each of so many steps from noise, by the product. */
async function steps(
  count: number,
  used: number,
  between: () => Promise<void> = async () => {},
): Promise<number[]> {
  const found: number[] = [];
  let started = 0;
  await sample(model, { ...startPoint(1, count), seed: SEED }, null, {
    latentShape: shape,
    schedule: manifest.scheduler,
    prompt: PROMPT,
    guidance: used,
    shouldStop: () => {
      started = performance.now();
      return false;
    },
    onStep: async () => {
      found.push(performance.now() - started);
      await between();
    },
  });
  return found;
}

/** The denoiser's graph in this thread, with inputs that are there already. */
async function rawDenoiser(): Promise<{
  feedsOf(rows: number): Record<string, ort.Tensor>;
  run(feeds: Record<string, ort.Tensor>): Promise<unknown>;
  close(): Promise<void>;
}> {
  const session = await ort.InferenceSession.create(networkPaths(modelPackage).denoiser!, {
    executionProviders: [executionProvider!],
    intraOpNumThreads: availableParallelism(),
    logSeverityLevel: 3,
  });
  const { maxTokens, hidden } = manifest.text;
  const { regions } = new OnnxDenoiser(new OnnxNetworks({}), manifest);
  const noise = (of: readonly number[]): ort.Tensor =>
    new ort.Tensor('float32', standardNormalNoise(of, SEED, 'feeds').data, of);
  return {
    feedsOf: (rows) => {
      const feeds: Record<string, ort.Tensor> = {
        latent: noise([rows, ...shape]),
        time: new ort.Tensor('float32', new Float32Array(rows).fill(0.5), [rows]),
        text_states: noise([rows, maxTokens, hidden]),
        text_mask: new ort.Tensor('int64', new BigInt64Array(rows * maxTokens).fill(1n), [
          rows,
          maxTokens,
        ]),
      };
      for (const [name, input] of Object.entries(regions?.allTokens(rows) ?? {})) {
        if (!('data' in input)) continue;
        const type = input.data instanceof Float32Array ? 'float32' : 'int64';
        feeds[name] = new ort.Tensor(type, input.data as Float32Array, input.shape);
      }
      return feeds;
    },
    run: (feeds) => session.run(feeds, ['velocity']),
    close: () => session.release(),
  };
}

/** A whole video and hits on it, as the worker makes and stores them: seconds of each. */
async function videos(fullSteps: number): Promise<Record<string, unknown>> {
  const folder = await mkdtemp(join(tmpdir(), 'flexcache-gpu-steps-'));
  const objects = await FileObjectStore.open(folder);
  const withMask: VideoModel = {
    encodeText: (prompt) => model.encodeText(prompt),
    velocity: (...given) => model.velocity(...given),
    velocities: (...given) => model.velocities(...given),
    regions: null,
    decode: (clean) => model.decode(clean),
    encode: (video) => model.encode(video),
    encodeImage: (image) => model.encodeImage(image),
    segment: () => Promise.resolve(mask),
    embedParts: (_, __, parts) => Promise.resolve(parts.map(() => Float32Array.of(1))),
    recognise: () => Promise.resolve({}),
    close: () => Promise.resolve(),
  };
  const dependencies = {
    model: withMask,
    manifest,
    calibration: new DefaultCalibration(
      lookupTraits(manifest).thresholds,
      manifest.scheduler.solver,
    ),
    compatibilityKey: compatibilityKey(compatibilityOf(modelPackage)),
    objects,
  };
  let prompts = 0;
  const make = async (hit: HitKind, point: StartPoint, donors: Donor[]) => {
    // A new prompt each time: its text is encoded as well.
    const prompt = `${PROMPT}, take ${prompts++}`;
    const request = newRequest({ prompt, seed: SEED, tenant: 'bench' }, { steps: fullSteps });
    const plan: Plan = { ...point, hit, donors, fullSteps, seed: SEED, exactVideoId: null };
    const begun = performance.now();
    const video = await generateVideo(dependencies, request, plan, {
      run: 'bench',
      stopReason: null,
      shouldStop: () => false,
      onProgress: () => {},
      onDonorDropped: ({ error }) => {
        throw error;
      },
      onCheckpoint: () => {},
    });
    const seconds = (performance.now() - begun) / 1000;
    const row = {
      hit,
      steps: point.steps,
      startTime: point.startTime,
      anchor: point.anchor,
      seconds,
      denoiseSeconds: video.work.denoiseSeconds,
      videoBytes: video.videoBytes,
      latentBytes: video.latentBytes,
    };
    rows.push(row);
    console.error(JSON.stringify(row));
    return video;
  };
  const rows: Record<string, unknown>[] = [];
  memory.takePeak();
  // Once before it counts: the first video of a process loads the VAE.
  if (flags['skip-decode']) await make('miss', startPoint(1, 1), []);
  const full = await make('miss', startPoint(1, fullSteps), []);
  const donor = (part: Donor['part']): Donor => ({
    entryId: 'bench',
    part,
    similarity: 1,
    latentKey: full.latentKey!,
  });
  const usedBy = (hit: HitKind): Donor[] =>
    hit === 'object+background' ? PARTS.map(donor) : [donor(hit === 'background' ? hit : 'whole')];
  for (const hit of ['whole', 'object+background', 'background'] as const) {
    const decided = dependencies.calibration.decide(hit, 1, fullSteps);
    if (decided !== null) await make(hit, decided, usedBy(hit));
  }
  for (const { hit, point } of hits) await make(hit, point, usedBy(hit));
  await rm(folder, { recursive: true });
  return { rows, peakMiB: memory.takePeak() };
}

/** A mask `[T, H, W]` of the middle of every frame. */
function middle([, frames, height, width]: readonly number[]): Tensor {
  const data = new Float32Array(elementCount([frames!, height!, width!]));
  for (let t = 0; t < frames!; t++) {
    for (let y = height! >> 2; y < height! >> 1; y++) {
      const row = (t * height! + y) * width!;
      data.fill(1, row + (width! >> 2), row + (width! >> 1));
    }
  }
  return { data, shape: [frames!, height!, width!] };
}

async function milliseconds(work: () => unknown): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

function spread(values: readonly number[]): { median: number; least: number; most: number } {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

function median(values: readonly number[]): number {
  return quantileOf(
    [...values].sort((one, other) => one - other),
    0.5,
  );
}

/** What was found so far: a run may be cut short. */
function show(part: string): void {
  console.error(JSON.stringify({ [part]: report[part] }));
}
