import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import type { GenerationResult, Job } from '#core/generation.ts';
import { startPoint } from '#core/planning/calibration.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import { newRequest } from '#core/requests/new-request.ts';
import { createWorker } from '#denoiser/worker.ts';
import { EmbeddedQueue } from '#local/embedded-queue.ts';
import { FileObjectStore } from '#local/file-object-store.ts';
import { loadCalibration } from '#models/package-calibration.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { quantileOf } from '#core/statistics/intervals.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { EXECUTION_PROVIDERS } from '#models/execution-provider.ts';
import { compatibilityOf, loadManifest } from '#models/manifest.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { gpuName } from './gpu-memory.ts';

/**
 * Whether a package's denoiser gains by evaluating several requests in one call, whether a worker gains by
 * making several videos at once, and whether a request's numbers are then the same as alone.
 *
 *     node bench/batches.ts [--model containers/demo-model/package] [--provider cpu] [--sizes 1,2,4,8]
 *         [--rounds 9] [--unguided] [--videos 16]
 *
 * Each round evaluates every size once, in turns, so that a machine that others use too is as busy for one
 * as for the other. `milliseconds` is the median of a call, `fastest` the least disturbed one, by which `speedup`
 * says what a request takes alone over its share of the call. `equal` counts the requests of a call that have the same
 * bits as alone; `difference` is the largest root mean square difference relative to the velocity's own.
 *
 * `--videos` has a worker make so many videos for each size, full generations of the package's steps, from the first
 * message to the last answer. `charged` is what their ledgers say of the machine's seconds, and `equalVideos` counts those of the
 * bytes that they have one after the other.
 */
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: 'containers/demo-model/package' },
    provider: { type: 'string', default: 'cpu' },
    sizes: { type: 'string', default: '1,2,4,8' },
    rounds: { type: 'string', default: '9' },
    unguided: { type: 'boolean', default: false },
    videos: { type: 'string', default: '0' },
  },
});
const executionProvider = EXECUTION_PROVIDERS.find((known) => known === flags.provider);
if (executionProvider === undefined) {
  throw new Error(`name one of ${EXECUTION_PROVIDERS.join(', ')} as --provider`);
}
const sizes = [...new Set([1, ...flags.sizes.split(',').map(Number)])];
const rounds = Number(flags.rounds);
const videos = Number(flags.videos);
const PROMPTS = [
  'a small red ball bouncing over a green meadow at noon',
  'a blue star over the sea at night',
  'a large yellow cube in a desert at dawn',
  'a purple ring circling in front of a brick wall at dusk',
];

const modelPackage = await loadManifest(resolve(flags.model));
const { manifest } = modelPackage;
const guidance = flags.unguided ? 1 : manifest.scheduler.guidance;
const shape = latentShape(manifest);
const model = await OnnxVideoModel.open(modelPackage, { executionProvider });
try {
  const unconditional = await model.encodeText(null);
  const conditions = await Promise.all(PROMPTS.map((prompt) => model.encodeText(prompt)));
  const requests = Array.from({ length: Math.max(...sizes) }, (_, index) => ({
    latent: standardNormalNoise(shape, index, 'latent'),
    // Requests that meet in a batch are at steps of their own.
    time: 1 - (index % 8) / 10,
    condition: conditions[index % conditions.length]!,
  }));
  const evaluate = (from: number, count: number): Promise<Tensor[]> =>
    model.velocities(requests.slice(from, from + count), unconditional, guidance);
  const alone: Tensor[] = [];
  for (const index of requests.keys()) alone.push((await evaluate(index, 1))[0]!);
  const together = new Map<number, Tensor[]>();
  for (const size of sizes) together.set(size, await evaluate(0, size));

  const milliseconds = new Map<number, number[]>(sizes.map((size) => [size, []]));
  for (let round = 0; round < rounds; round++) {
    for (const size of sizes) {
      const begun = performance.now();
      await evaluate(0, size);
      milliseconds.get(size)!.push(performance.now() - begun);
    }
  }
  const median = (size: number): number => quantileOf(milliseconds.get(size)!, 0.5);
  const fastest = (size: number): number => Math.min(...milliseconds.get(size)!);
  console.log(
    JSON.stringify(
      {
        model: manifest.name,
        latent: shape,
        guidance,
        provider: executionProvider,
        gpu: gpuName(),
        cores: availableParallelism(),
        rounds,
        batches: sizes.map((size) => {
          const differences = together
            .get(size)!
            .map((velocity, row) => relativeDifference(velocity, alone[row]!));
          return {
            size,
            milliseconds: rounded(median(size)),
            fastest: rounded(fastest(size)),
            evaluationsPerSecond: rounded((1000 * size) / fastest(size)),
            speedup: rounded((size * fastest(1)) / fastest(size)),
            equal: differences.filter((difference) => difference === 0).length,
            difference: Math.max(...differences),
          };
        }),
        ...(videos > 0 && { videos: await madeByWorkers() }),
      },
      null,
      1,
    ),
  );
} finally {
  await model.close();
}

/** What making the same videos with each size takes. */
async function madeByWorkers(): Promise<object[]> {
  const rows: object[] = [];
  let alone: readonly string[] | undefined;
  for (const size of sizes) {
    const begun = performance.now();
    const processor = process.cpuUsage();
    const results = await makeVideos(size);
    const seconds = (performance.now() - begun) / 1000;
    const { user, system } = process.cpuUsage(processor);
    const keys = results.map(({ videoKey }) => videoKey).sort();
    alone ??= keys;
    rows.push({
      size,
      seconds: rounded(seconds),
      processorSeconds: rounded((user + system) / 1e6),
      videosPerSecond: rounded(videos / seconds),
      charged: rounded(results.reduce((sum, { usage }) => sum + usage.gpuSeconds!, 0)),
      equalVideos: keys.filter((key) => alone!.includes(key)).length,
    });
  }
  return rows;
}

/** Has a worker make the videos, so many at once, into a store that is thrown away. */
async function makeVideos(batch: number): Promise<GenerationResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'flexcache-batches-'));
  const queue = new EmbeddedQueue();
  const done = new AbortController();
  const results: GenerationResult[] = [];
  const { calibration } = await loadCalibration(modelPackage);
  const { solver, steps } = manifest.scheduler;
  for (let index = 0; index < videos; index++) {
    const prompt = PROMPTS[index % PROMPTS.length]!;
    const asked = { prompt, tenant: 'bench', seed: index, idempotencyKey: `video ${index}` };
    await queue.send({
      taskToken: String(index),
      request: newRequest(asked, { steps }),
      plan: {
        ...startPoint(1, steps, solver),
        hit: 'miss',
        donors: [],
        fullSteps: steps,
        seed: index,
        exactVideoId: null,
      },
      embedding: {
        objectPhrase: null,
        backgroundPhrase: null,
        vectors: { whole: [], object: null, background: null },
      },
      sentAt: Date.now(),
    });
  }
  const failed = (cause: string): never => {
    throw new Error(`a video failed: ${cause}`);
  };
  try {
    await createWorker({
      model,
      manifest,
      calibration,
      compatibilityKey: compatibilityKey(compatibilityOf(modelPackage)),
      objects: await FileObjectStore.open(folder),
      queue,
      table: {
        getJob: async () => ({ attempt: 1, progress: 0, cancelRequested: false }) as Job,
        setJobProgress: async () => {},
        recordUsage: async () => {},
        leaveQueue: async () => {},
      },
      callbacks: {
        sendTaskHeartbeat: async () => {},
        sendTaskFailure: async (_token, _error, cause) => failed(cause),
        sendTaskSuccess: async (_token, result) => {
          results.push(result);
          if (results.length === videos) done.abort();
        },
      },
      machine: { instanceType: 'embedded', purchaseOption: 'embedded' },
      settings: { batch },
    }).run(done.signal);
  } finally {
    queue.close();
    await rm(folder, { recursive: true, force: true });
  }
  return results;
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** 0 only where every bit is the same. */
function relativeDifference(one: Tensor, other: Tensor): number {
  let difference = 0;
  let size = 0;
  for (const [index, value] of one.data.entries()) {
    difference += (value - other.data[index]!) ** 2;
    size += other.data[index]! ** 2;
  }
  return Math.sqrt(difference / size);
}
