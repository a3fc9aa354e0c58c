import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { encodeLatent } from '#codec/encode-latent.ts';
import { startPoint } from '#core/planning/calibration.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import { newRequest } from '#core/requests/new-request.ts';
import { scaledToSide, shownSize } from '#core/requests/shown-size.ts';
import { quantileOf } from '#core/statistics/intervals.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { encodeMp4 } from '#denoiser/encode-mp4.ts';
import { resizeFrames, toFrames } from '#denoiser/frames.ts';
import {
  encodeMedia,
  encodePng,
  encodeSpritesheet,
  encodeWebp,
  PREVIEW_SIDE_PIXELS,
} from '#denoiser/media.ts';
import { FileObjectStore } from '#local/file-object-store.ts';
import { compatibilityOf, loadManifest } from '#models/manifest.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { sample } from '#models/sampler.ts';
import { decodedQuality, type WebCodecs } from './decoded-quality.ts';
import { syntheticVideo } from './synthetic-videos.ts';

/**
 * What a video costs beside its evaluations, part by part: the networks of a package, and the media files
 * of its video and of a made-up one. With another checkout of this repository, what follows the last step
 * (with its own package under the same path) and the media files are measured by both in turn: a machine that is busy is busy for both.
 *
 *     node bench/fixed-costs.ts [--model DIR] [--rounds 5] [--frames 81] [--grain 0.004]
 *         [--against CHECKOUT] [--web-codecs FOLDER] [--only model|media]
 *
 * `--web-codecs` names an installed package with a WebCodecs decoder, for the quality of the MP4.
 */
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: 'containers/demo-model/package' },
    rounds: { type: 'string', default: '5' },
    frames: { type: 'string', default: '81' },
    grain: { type: 'string', default: '0.004' },
    against: { type: 'string' },
    'web-codecs': { type: 'string' },
    only: { type: 'string' },
  },
});
const ROUNDS = Number(flags.rounds);
const LARGE = [Number(flags.frames), 480, 832] as const;
const LARGE_RATE = 16;
const PROMPT = 'a large red ball bouncing on a beach at sunset';

/** Milliseconds. */
interface Cost {
  wall: number;
  /** Of all threads: what a machine that others use measures too. */
  cpu: number;
}
type Work = () => unknown;

if (flags.only !== 'media') await measureModel();
if (flags.only !== 'model') {
  await measureMedia('made-up', syntheticVideo(LARGE, Number(flags.grain)), LARGE_RATE);
}
// Threads of a model of another checkout may be left.
process.exit();

async function measureModel(): Promise<void> {
  const modelPackage = await loadManifest(resolve(flags.model));
  const { manifest } = modelPackage;
  const model = await OnnxVideoModel.open(modelPackage);
  await model.warmUp();
  const { guidance, solver } = manifest.scheduler;
  const latent = await sample(model, { ...startPoint(1, 4, solver), seed: 7 }, null, {
    latentShape: latentShape(manifest),
    prompt: PROMPT,
    guidance,
  });
  const mask = (await model.segment(latent))!;
  const [condition, unconditional] = [await model.encodeText(PROMPT), await model.encodeText(null)];
  const video = await model.decode(latent);
  const folder = await mkdtemp(join(tmpdir(), 'flexcache-fixed-costs-'));
  const objects = await FileObjectStore.open(folder);
  const files = Object.values(await encodeMedia(video, manifest.video.framesPerSecond));
  let prompts = 0;
  let puts = 0;
  await report(`${manifest.name}: networks and stores`, {
    'text states of a new prompt': () => model.encodeText(`${PROMPT}, take ${prompts++}`),
    'one guided evaluation': () => model.velocity(latent, 0.5, condition, unconditional, guidance),
    'VAE decode': () => model.decode(latent),
    segmenter: () => model.segment(latent),
    'video tower, whole and parts': () =>
      model.embedParts(latent, mask, ['whole', 'object', 'background']),
    judge: () => model.recognise(latent),
    encodeLatent: () => encodeLatent({ latent, mask, compatibilityKey: 'bench' }),
    'object puts, four files': () =>
      Promise.all(files.map((file, at) => objects.put(`videos/${puts++}/${at}`, file))),
  });
  await measureMedia(manifest.name, video, manifest.video.framesPerSecond);

  const last: Record<string, () => Promise<Cost>> = { here: await lastStepOf('.') };
  if (flags.against !== undefined) last['there'] = await lastStepOf(flags.against);
  const costs = await inTurns(last);
  print(`${manifest.name}: from the last step to the last object`, costs);
  await model.close();
  await rm(folder, { recursive: true });
}

/** The cost from the last step of a video to its result, by the code of a checkout. */
async function lastStepOf(checkout: string): Promise<() => Promise<Cost>> {
  const from = <Module>(file: string): Promise<Module> =>
    import(pathToFileURL(resolve(checkout, file)).href) as Promise<Module>;
  const { generateVideo } = await from<typeof import('#denoiser/generate-video.ts')>(
    'containers/denoiser/generate-video.ts',
  );
  const models = await from<typeof import('#models/onnx-video-model.ts')>(
    'layers/models/onnx-video-model.ts',
  );
  const { DefaultCalibration } = await from<typeof import('#core/planning/calibration.ts')>(
    'layers/core/planning/calibration.ts',
  );
  const stores = await from<typeof import('#local/file-object-store.ts')>(
    'local/file-object-store.ts',
  );
  const manifests = await from<typeof import('#models/manifest.ts')>('layers/models/manifest.ts');
  const modelPackage = await manifests.loadManifest(resolve(checkout, flags.model));
  const { manifest } = modelPackage;
  const model = await models.OnnxVideoModel.open(modelPackage);
  await model.warmUp();
  const folder = await mkdtemp(join(tmpdir(), 'flexcache-fixed-costs-'));
  const dependencies = {
    model,
    manifest,
    calibration: new DefaultCalibration(manifest.lookup!.thresholds),
    compatibilityKey: compatibilityKey(compatibilityOf(modelPackage)),
    objects: await stores.FileObjectStore.open(folder),
  };
  return async () => {
    const request = newRequest({ prompt: PROMPT, seed: 7, tenant: 'bench' }, { steps: 1 });
    let costSince = startClock();
    await generateVideo(
      dependencies,
      request,
      {
        ...startPoint(1, 1),
        hit: 'miss',
        donors: [],
        fullSteps: 1,
        seed: 7,
        exactVideoId: null,
      },
      {
        run: 'bench',
        stopReason: null,
        shouldStop: () => false,
        onProgress: () => {
          costSince = startClock();
        },
        onDonorDropped: () => {},
        onCheckpoint: () => {},
      },
    );
    return costSince();
  };
}

async function measureMedia(name: string, video: Tensor, framesPerSecond: number): Promise<void> {
  const size = `${name}, ${video.shape[3]}x${video.shape[2]}x${video.shape[0]}`;
  const original = toFrames(video);
  const shown = await resizeFrames(original, shownSize(original));
  const previewSize = scaledToSide(original, PREVIEW_SIDE_PIXELS);
  const preview = await resizeFrames(original, previewSize);
  await report(`${size}: media, part by part`, {
    'float planes to RGB': () => toFrames(video),
    'resize to what is shown': () => resizeFrames(original, shownSize(original)),
    'resize to previews': () => resizeFrames(original, previewSize),
    mp4: () => encodeMp4(shown, framesPerSecond),
    webp: () => encodeWebp(preview, framesPerSecond),
    png: () => encodePng(shown),
    spritesheet: () => encodeSpritesheet(preview),
  });
  const encoders = { here: encodeMedia };
  if (flags.against !== undefined) {
    const file = pathToFileURL(resolve(flags.against, 'containers/denoiser/media.ts')).href;
    const there = (await import(file)) as typeof import('#denoiser/media.ts');
    Object.assign(encoders, { there: there.encodeMedia });
  }
  const timed = Object.fromEntries(
    Object.entries(encoders).map(([which, encode]) => [
      which,
      () => costOf(() => encode(video, framesPerSecond)),
    ]),
  );
  print(`${size}: encodeMedia`, await inTurns(timed));
  for (const [which, encode] of Object.entries(encoders)) {
    const media = await encode(video, framesPerSecond);
    const bytes = Object.entries(media).map(([file, { length }]) => `${file} ${length}`);
    console.log(`${which}: bytes of ${bytes.join(', ')}`);
    const isShownAsMade = shown.width === original.width && shown.height === original.height;
    if (flags['web-codecs'] === undefined || !isShownAsMade) continue;
    const webCodecs = createRequire(import.meta.url)(resolve(flags['web-codecs'])) as WebCodecs;
    const { luma, rgb, worstLuma } = await decodedQuality(media.mp4, video, webCodecs);
    console.log(
      `${which}: PSNR of luma ${luma.toFixed(2)} dB (worst frame ${worstLuma.toFixed(2)}), ` +
        `of RGB ${rgb.toFixed(2)} dB`,
    );
  }
}

async function report(title: string, parts: Record<string, Work>): Promise<void> {
  const timed = Object.entries(parts).map(([name, work]) => [name, () => costOf(work)] as const);
  print(title, await inTurns(Object.fromEntries(timed)));
}

async function costOf(work: Work): Promise<Cost> {
  const costSince = startClock();
  await work();
  return costSince();
}

/** Returns what tells the cost since now. */
function startClock(): () => Cost {
  const start = performance.now();
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return { wall: performance.now() - start, cpu: (user + system) / 1000 };
  };
}

/** Every part once in every round, after one round that does not count. */
async function inTurns(
  parts: Record<string, () => Promise<Cost>>,
): Promise<Record<string, Cost[]>> {
  const costs: Record<string, Cost[]> = {};
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, measure] of Object.entries(parts)) {
      const cost = await measure();
      if (round >= 0) (costs[name] ??= []).push(cost);
    }
  }
  return costs;
}

function print(title: string, costs: Record<string, Cost[]>): void {
  const table = new Table({
    head: [title, 'min ms', 'median ms', 'min CPU ms', 'median CPU ms'],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const [name, runs] of Object.entries(costs)) {
    table.push([name, ...quantiles(runs).map((value) => value.toFixed(1))]);
  }
  console.log(table.toString());
  const { here, there } = costs;
  if (here === undefined || there === undefined) return;
  const mine = quantiles(here);
  const ratios = quantiles(there).map((value, at) => (value / mine[at]!).toFixed(2));
  console.log(`there / here: ${ratios.join(', ')}`);
}

/** The least and the median of wall time, then of CPU time. */
function quantiles(runs: readonly Cost[]): number[] {
  return (['wall', 'cpu'] as const).flatMap((clock) => {
    const ascending = runs.map((cost) => cost[clock]).sort((one, other) => one - other);
    return [quantileOf(ascending, 0), quantileOf(ascending, 0.5)];
  });
}
