import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '#files/write-file-atomically.ts';
import { FrechetReference } from '#core/statistics/frechet.ts';
import type { CalibrationFile } from '#core/planning/calibration-file.ts';
import type { HitKind } from '#core/generation.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import type { ModelPackage } from '#models/manifest.ts';
import { compatibilityOf } from '#models/manifest.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { calibrationOf } from './calibrations.ts';
import { publishedNirvanaLadder, skippedSteps } from './ladder.ts';
import { LatentNetworks } from './networks.ts';
import { Pictures } from './pictures.ts';
import { PlannedVideos, replayPlans } from './planned.ts';
import type { PromptEmbeddings } from './prompts.ts';
import { replay, type Outcome } from './replay.ts';
import type { BenchRequest } from './requests.ts';
import { HIT_LETTERS, RESULT_FORMAT, type RowResult } from './result.ts';
import type { FullGenerations, Row } from './rows.ts';
import {
  adherenceOf,
  diversityOf,
  frechetOf,
  readRealClips,
  type FrechetResult,
} from './statistics.ts';
import { bootstrapEstimate } from '#core/statistics/intervals.ts';
import { describeMachine, type Settings } from './settings.ts';
import type { System } from './system.ts';
import { FinalLatentCache } from './systems/final-latents.ts';
import { NoCache } from './systems/none.ts';
import { NoisyStateCache } from './systems/noisy-states.ts';
import { PartsOfStatesCache } from './systems/parts-of-states.ts';
import { Product, type ProductOptions } from './systems/product.ts';
import { vllmOmniCache } from './systems/vllm-omni.ts';
import type { Tuning } from './tuning.ts';

/** What a row is run with. */
export interface RowInput {
  settings: Settings;
  modelPackage: ModelPackage;
  fulls: FullGenerations;
  calibration: CalibrationFile;
  requests: readonly BenchRequest[];
  /** Positions of the requests that quality is compared on. */
  measured: ReadonlySet<number>;
  embeddings: PromptEmbeddings;
  tuning: Tuning | null;
}

/** Bytes of a stored latent where none is made: the mean of 24 full generations (`bench/codec.ts`). */
const PLANNED_LATENT_BYTES = 5372;

/** Decides what one row would do, and writes its result. */
export async function planRow(row: Row, input: RowInput): Promise<void> {
  const { settings, modelPackage, fulls, embeddings } = input;
  const full = fulls[row.full];
  const videos = new PlannedVideos(modelPackage.manifest, embeddings);
  const start = performance.now();
  const planned = { videos, latentBytes: PLANNED_LATENT_BYTES };
  const system = buildSystem(row, input, videos as unknown as LatentNetworks, planned);
  const outcomes = await replayPlans(system, input.requests, {
    videos,
    embeddings,
    full,
    batch: settings.batch,
  });
  const perRequest = outcomes.map(({ request: { index }, hit, evaluations, equivalents }) => ({
    index,
    hit,
    evaluations,
    equivalents: Number(equivalents.toFixed(3)),
    right: '',
    asked: '',
  }));
  await writeResult(input, {
    ...conditionsOf(row, input),
    isPlanned: true,
    ...countsOf(perRequest),
    frechet: null,
    diversity: null,
    videos: perRequest.filter(({ hit }) => hit !== 'exact').length,
    holdings: system.holdings(),
    replaySeconds: Number(((performance.now() - start) / 1000).toFixed(1)),
  });
}

/** Replays one row and writes its result. */
export async function runRow(row: Row, input: RowInput): Promise<void> {
  const { settings, modelPackage, fulls, embeddings } = input;
  const { manifest } = modelPackage;
  const options = { executionProvider: settings.provider, ...settings.threads };
  const model = await OnnxVideoModel.open(modelPackage, options);
  const networks = new LatentNetworks(modelPackage, options);
  const full = fulls[row.full];
  const requests = row.isOnlyMeasured
    ? input.requests
        .filter(({ index }) => input.measured.has(index))
        .map((request) => ({ ...request, session: request.index }))
    : input.requests;
  const pictures = settings.pictures.includes(row.id) ? new Pictures(manifest) : null;
  const start = performance.now();
  try {
    const system = buildSystem(row, input, networks);
    const outcomes = await replay(system, requests, {
      manifest,
      model,
      networks,
      embeddings,
      full,
      batch: settings.batch,
      ...(pictures && { onVideo: (video) => pictures.add(video) }),
      onTurn: progress(row, requests.length),
    });
    const seconds = (performance.now() - start) / 1000;
    const result = await describe(row, input, outcomes, system, seconds);
    await writeResult(input, result);
    if (pictures !== null) {
      const { images, shown } = await pictures.sheets(manifest, model, full);
      for (const [name, image] of images) {
        await writeFileAtomically(join(settings.results, `${row.id}-${name}`), image);
      }
      const text = `${JSON.stringify(shown, null, 1)}\n`;
      await writeFileAtomically(join(settings.results, `${row.id}-pictures.json`), text);
    }
  } finally {
    await Promise.all([model.close(), networks.close()]);
  }
}

function buildSystem(
  row: Row,
  { modelPackage, fulls, calibration, tuning }: RowInput,
  networks: LatentNetworks,
  planned?: ProductOptions['planned'],
): System {
  const { manifest } = modelPackage;
  const full = fulls[row.full];
  const half = Array.from({ length: Math.max(1, Math.floor(full.steps / 2)) }, (_, i) => i + 1);
  const tuned = (): Tuning => {
    if (tuning === null) throw new Error(`${row.id} needs the tuning of ${row.full}`);
    return tuning;
  };
  switch (row.kind) {
    case 'none':
      return new NoCache(full);
    case 'nirvana': {
      const ladder = row.isPublished ? publishedNirvanaLadder(full.steps) : tuned().ladders.prompts;
      return new NoisyStateCache({
        full,
        skip: (similarity) => skippedSteps(ladder, similarity),
        stored: row.isPublished ? publishedStates(full.steps) : half.slice(-5),
        storesHits: row.storesHits ?? false,
      });
    }
    case 'flexcache-like': {
      const { 'both parts': both, object, background } = tuned().ladders;
      const ladders = { both, object, background };
      return new PartsOfStatesCache({ full, ladders, stored: half.slice(-5), networks });
    }
    case 'modm-like':
      return new FinalLatentCache({ full, ladder: tuned().ladders.videos, networks });
    case 'vllm-omni-like':
      return vllmOmniCache(full, tuned().vllmThreshold, (latents) => networks.embed(latents));
    case 'ours':
      return new Product({
        steps: full.steps,
        calibration: calibrationOf(row, calibration, full, modelPackage),
        compatibilityKey: compatibilityKey(compatibilityOf(modelPackage)),
        judged: manifest.judge?.attributes ?? [],
        latentShape: latentShape(manifest),
        networks,
        ...(planned && { planned }),
        usesCodec: row.without !== 'codec',
        decouples: row.without !== 'decoupling',
        verifies: row.without !== 'verification',
      });
  }
}

/** NIRVANA's five states of 50 steps, as steps of so many; those of one step are one state. */
function publishedStates(steps: number): number[] {
  const states = [5, 10, 15, 20, 25].map((of50) => Math.floor((of50 * steps) / 50));
  return [...new Set(states)].filter((step) => step > 0);
}

interface PerRequest {
  index: number;
  hit: HitKind;
  evaluations: number;
  equivalents: number;
  right: number | string;
  asked: number | string;
}

async function writeResult({ settings }: RowInput, result: RowResult): Promise<void> {
  await mkdir(settings.results, { recursive: true });
  const path = join(settings.results, `${result.row.id}.json`);
  await writeFileAtomically(path, `${JSON.stringify(result)}\n`);
}

function conditionsOf(row: Row, { settings, modelPackage, fulls, calibration, tuning }: RowInput) {
  return {
    format: RESULT_FORMAT,
    row,
    full: fulls[row.full],
    createdAt: new Date().toISOString(),
    machine: describeMachine(),
    provider: settings.provider,
    seed: settings.seed,
    modelRevision: modelPackage.revision,
    calibratedAt: row.kind === 'ours' ? calibration.createdAt : null,
    tuning,
  } satisfies Partial<RowResult>;
}

function countsOf(perRequest: readonly PerRequest[]) {
  return {
    requests: {
      index: perRequest.map(({ index }) => index),
      hits: perRequest.map(({ hit }) => HIT_LETTERS[hit]).join(''),
      evaluations: perRequest.map(({ evaluations }) => evaluations),
      equivalents: perRequest.map(({ equivalents }) => equivalents),
      right: perRequest.map(({ right }) => right).join(''),
      asked: perRequest.map(({ asked }) => asked).join(''),
    },
    evaluations: bootstrapEstimate(perRequest.map(({ evaluations }) => evaluations)),
    equivalents: bootstrapEstimate(perRequest.map(({ equivalents }) => equivalents)),
  } satisfies Partial<RowResult>;
}

async function describe(
  row: Row,
  input: RowInput,
  outcomes: readonly Outcome[],
  system: System,
  seconds: number,
): Promise<RowResult> {
  const { settings, modelPackage, measured } = input;
  const attributes = modelPackage.manifest.judge?.attributes ?? [];
  const made = outcomes.filter((outcome) => outcome !== undefined);
  const judgedOf = new Map(
    made.flatMap((outcome) =>
      outcome.hit === 'exact' ? [] : [[outcome.request.index, outcome.video] as const],
    ),
  );
  const perRequest = made.map((outcome) => {
    const { request, hit } = outcome;
    // An exact answer shows what the video shows that was made first.
    const video = judgedOf.get(hit === 'exact' ? outcome.original.index : request.index)!;
    const { right, asked } = adherenceOf(attributes, request, video.judged.values);
    return {
      index: request.index,
      hit,
      evaluations: hit === 'exact' ? 0 : video.evaluations,
      equivalents: hit === 'exact' ? 0 : Number(video.equivalents.toFixed(3)),
      right,
      asked,
    };
  });
  return {
    ...conditionsOf(row, input),
    isPlanned: false,
    ...countsOf(perRequest),
    frechet: await frechetDistance(settings, made, measured),
    diversity: diversityOf(made),
    videos: made.filter((outcome) => outcome.hit !== 'exact').length,
    holdings: system.holdings(),
    replaySeconds: Number(seconds.toFixed(1)),
  };
}

/** To real clips, of the requests that quality is compared on. */
async function frechetDistance(
  settings: Settings,
  outcomes: readonly Outcome[],
  measured: ReadonlySet<number>,
): Promise<FrechetResult | null> {
  const features = outcomes.flatMap((outcome) =>
    outcome.hit === 'exact' || !measured.has(outcome.request.index)
      ? []
      : [outcome.video.judged.features],
  );
  if (features.length < 2) return null;
  const real = await readRealClips(settings.realClips, features[0]!.length);
  return frechetOf(new FrechetReference(real), features);
}

/** Says about every tenth of the trace how far a row is. */
function progress({ id }: Row, all: number): (done: number) => void {
  let next = all / 10;
  return (done) => {
    if (done < next) return;
    next = done + all / 10;
    process.stderr.write(`${id}: ${done} of ${all} requests\n`);
  };
}
