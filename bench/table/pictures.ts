import sharp from 'sharp';
import { askedValues } from '#cli/calibrate/asked-values.ts';
import { composeDonors } from '#core/latents/compose.ts';
import type { JudgedAttribute } from '#core/planning/shown-attributes.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import type { ModelManifest } from '#models/manifest.ts';
import type { VideoModel } from '#models/model.ts';
import { latentShape } from '#models/onnx-video-model.ts';
import { sample } from '#models/sampler.ts';
import type { DonorParts } from '#models/sample-run.ts';
import { fromHalf, toHalf, type HalfTensor } from './half-floats.ts';
import type { Judgement } from './networks.ts';
import type { BenchRequest } from './requests.ts';
import { fullWork, type FullGeneration, type MadeVideo } from './system.ts';

/** A video on the page of the worst and the best. */
export interface ShownVideo {
  index: number;
  prompt: string;
  hit: string;
  evaluations: number;
  /** Mean probability that the judge gives to what was asked for. */
  score: number;
  /** What was asked and what the judge saw instead, such as `color red: orange`. */
  wrong: string[];
}

/** Which videos the pictures of a row show, from left to right and row by row. */
export interface ShownVideos {
  worst: ShownVideo[];
  best: ShownVideo[];
  pairs: ShownVideo[];
}

interface Kept extends ShownVideo {
  request: BenchRequest;
  latent: HalfTensor;
  /** Of hits on two donors, while they are candidates for the picture row. */
  donors: DonorParts | null;
}

/** How many of the worst and of the best are shown. */
const SHOWN = 20;
const COLUMNS = 10;
/** Rows of donor object, donor background, composite, result and full generation. */
const PAIRS = 4;
/** Pairs of which the picture rows are chosen. */
const PAIR_CANDIDATES = 48;

/** Keeps the videos of a row and makes contact sheets of their middle frames. */
export class Pictures {
  readonly #attributes: readonly JudgedAttribute[];
  readonly #kept: Kept[] = [];
  #pairs = 0;

  constructor({ judge }: Pick<ModelManifest, 'judge'>) {
    this.#attributes = judge?.attributes ?? [];
  }

  add({ request, decision, latent, judged, evaluations }: MadeVideo): void {
    const isPair = decision.hit === 'object+background' && this.#pairs < PAIR_CANDIDATES;
    if (isPair) this.#pairs++;
    this.#kept.push({
      index: request.index,
      prompt: request.prompt,
      hit: decision.hit,
      evaluations,
      ...this.#assess(request, judged),
      request,
      latent: toHalf(latent),
      donors: isPair ? decision.work.donors : null,
    });
  }

  /** The three sheets, as WebP by their names, and what they show. */
  async sheets(
    manifest: ModelManifest,
    model: VideoModel,
    full: FullGeneration,
  ): Promise<{ images: Map<string, Uint8Array>; shown: ShownVideos }> {
    const ordered = this.#kept.toSorted((one, other) => one.score - other.score);
    const worst = ordered.slice(0, SHOWN);
    const best = ordered.slice(-SHOWN).toReversed();
    const pairs = this.#kept.filter(({ donors }) => donors !== null).slice(0, PAIRS);
    const frames = async (videos: readonly Kept[]): Promise<Frame[]> => {
      const shown: Frame[] = [];
      for (const { latent } of videos)
        shown.push(middleFrame(await model.decode(fromHalf(latent))));
      return shown;
    };
    const pairFrames: Frame[] = [];
    for (const { request, latent, donors } of pairs) {
      const work = fullWork(request, full);
      const generated = await sample(model, work.plan, null, {
        latentShape: latentShape(manifest),
        prompt: request.prompt,
        guidance: manifest.scheduler.guidance,
      });
      const { object, background } = donors!;
      const row: Tensor[] = [
        object!.object,
        background!,
        composeDonors(object, background),
        fromHalf(latent),
        generated,
      ];
      for (const each of row) pairFrames.push(middleFrame(await model.decode(each)));
    }
    const images = new Map([
      ['worst.webp', await contactSheet(await frames(worst), COLUMNS)],
      ['best.webp', await contactSheet(await frames(best), COLUMNS)],
    ]);
    if (pairFrames.length > 0) images.set('pairs.webp', await contactSheet(pairFrames, 5));
    return {
      images,
      shown: { worst: worst.map(plain), best: best.map(plain), pairs: pairs.map(plain) },
    };
  }

  #assess(request: BenchRequest, judged: Judgement): Pick<ShownVideo, 'score' | 'wrong'> {
    const asked: number[] = [];
    const wrong: string[] = [];
    const wantedValues = askedValues(this.#attributes, request.prompt);
    let offset = 0;
    for (const [index, { name, values }] of this.#attributes.entries()) {
      const wanted = wantedValues[index]!;
      if (wanted !== null) {
        asked.push(judged.probabilities[offset + wanted]!);
        const seen = judged.values[index]!;
        if (seen !== wanted) wrong.push(`${name} ${values[wanted]}: ${values[seen]}`);
      }
      offset += values.length;
    }
    const sum = asked.reduce((total, probability) => total + probability, 0);
    return { score: asked.length === 0 ? 1 : sum / asked.length, wrong };
  }
}

function plain({ index, prompt, hit, evaluations, score, wrong }: Kept): ShownVideo {
  return { index, prompt, hit, evaluations, score: Number(score.toFixed(4)), wrong };
}

/** One picture, RGB. */
interface Frame {
  data: Uint8Array;
  width: number;
  height: number;
}

/** Of a video `[F, 3, H, W]` in 0..1. */
function middleFrame({ data, shape }: Tensor): Frame {
  const [frames, , height, width] = shape as [number, number, number, number];
  const pixels = height * width;
  const start = Math.floor(frames / 2) * 3 * pixels;
  const picture = new Uint8Array(3 * pixels);
  for (let channel = 0; channel < 3; channel++) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      const value = data[start + channel * pixels + pixel]!;
      picture[3 * pixel + channel] = Math.round(255 * Math.min(1, Math.max(0, value)));
    }
  }
  return { data: picture, width, height };
}

const GAP = 4;

async function contactSheet(frames: readonly Frame[], columns: number): Promise<Uint8Array> {
  const [{ width, height }] = frames as [Frame];
  const rows = Math.ceil(frames.length / columns);
  return sharp({
    create: {
      width: columns * (width + GAP) - GAP,
      height: rows * (height + GAP) - GAP,
      channels: 3,
      background: 'white',
    },
  })
    .composite(
      frames.map((frame, index) => ({
        input: Buffer.from(frame.data),
        raw: { width: frame.width, height: frame.height, channels: 3 },
        left: (index % columns) * (width + GAP),
        top: Math.floor(index / columns) * (height + GAP),
      })),
    )
    .webp({ quality: 75 })
    .toBuffer();
}
