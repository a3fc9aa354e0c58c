import { standardNormalNoise } from '#core/latents/noise.ts';
import { renoise } from '#core/latents/schedule.ts';
import { mean } from '#core/statistics/intervals.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import type { ModelManifest } from '#models/manifest.ts';
import { latentShape } from '#models/onnx-video-model.ts';
import { sampleBatch, type BatchDenoiser } from '#models/sample-batch.ts';
import type { Ladder } from './ladder.ts';
import { dot } from './nearest.ts';
import type { LatentNetworks } from './networks.ts';
import type { PromptEmbeddings } from './prompts.ts';
import { RecordingRun } from './recording-run.ts';
import type { BenchRequest } from './requests.ts';
import { adherenceOf } from './statistics.ts';
import { fullWork, type FullGeneration, type Work } from './system.ts';
import { resumedWork } from './systems/noisy-states.ts';
import { composeStates, partEntry, type PartEntry } from './systems/parts-of-states.ts';
import { penalised, skipAbove } from './systems/vllm-omni.ts';

/** How a rival finds a donor and what it resumes. */
export const FAMILIES = [
  'prompts',
  'penalised prompts',
  'videos',
  'both parts',
  'object',
  'background',
] as const;

export type Family = (typeof FAMILIES)[number];

/** One request resumed from one donor. */
export interface TuningCell {
  family: Family;
  similarity: number;
  skipped: number;
  /** Adherence of the full generation of the same prompt and noise, less that of the hit. */
  loss: number;
}

/** What rivals decide by, fitted on requests that the table does not have. */
export interface Tuning {
  full: FullGeneration;
  requests: number;
  /** Mean adherence of the full generations. */
  adherence: number;
  ladders: Readonly<Record<Exclude<Family, 'penalised prompts'>, Ladder>>;
  /** Threshold of the similarity of vLLM-Omni's rule; above 1 where no threshold holds the objective. */
  vllmThreshold: number;
}

export interface TuningOptions {
  manifest: ModelManifest;
  model: BatchDenoiser;
  networks: LatentNetworks;
  embeddings: PromptEmbeddings;
  full: FullGeneration;
  batch: number;
  /** Largest relative loss of adherence. */
  objective: number;
  onProgress?(done: number, all: number): void;
}

/** Fewer pairs decide nothing. */
const MIN_PAIRS = 12;
/** MoDM skips up to three fifths, the others up to half. */
const MAX_SKIPPED = 0.6;

interface Donor {
  request: BenchRequest;
  latent: Tensor;
  states: ReadonlyMap<number, Tensor>;
  video: Float32Array;
  parts: PartEntry;
  adherence: number;
}

/**
 * Fits the ladders of rivals by the rule of MoDM's paper: for every number of skipped steps the lowest similarity from
 * which on hits lose no more adherence than the objective on average. Donors are the most similar other requests of the split.
 * The means are taken as they are, without a margin of confidence, and the Frechet part of the objective is left out:
 * both let rivals go deeper.
 */
export async function tuneRivals(
  requests: readonly BenchRequest[],
  options: TuningOptions,
): Promise<Tuning> {
  const { full, objective } = options;
  const used = requests.filter(({ isExact }) => !isExact);
  const donors = await makeDonors(used, options);
  const cells = await measure(donors, options);
  const adherence = mean(donors.map((donor) => donor.adherence));
  const most = objective * adherence;
  const ladder = (family: Family): Ladder => fitLadder(cells, family, most);
  return {
    full,
    requests: used.length,
    adherence,
    ladders: {
      prompts: ladder('prompts'),
      videos: ladder('videos'),
      'both parts': ladder('both parts'),
      object: ladder('object'),
      background: ladder('background'),
    },
    vllmThreshold: fitThreshold(cells, full.steps, most),
  };
}

/** Rungs of growing depth whose hits lose no more than `most` on average. */
export function fitLadder(cells: readonly TuningCell[], family: Family, most: number): Ladder {
  const own = cells.filter((cell) => cell.family === family);
  const skips = [...new Set(own.map(({ skipped }) => skipped))].sort((one, other) => one - other);
  const rungs: { similarity: number; skipped: number }[] = [];
  for (const skipped of skips) {
    const pairs = own
      .filter((cell) => cell.skipped === skipped)
      .sort((one, other) => other.similarity - one.similarity);
    const lowest = lowestSimilarity(pairs, most);
    if (lowest === null) break;
    // Deeper hits never ask for less.
    const similarity = Math.max(lowest, rungs.at(-1)?.similarity ?? -1);
    rungs.push({ similarity, skipped });
  }
  return rungs;
}

/** @param pairs the most similar first */
function lowestSimilarity(pairs: readonly TuningCell[], most: number): number | null {
  let sum = 0;
  let lowest: number | null = null;
  for (const [index, { loss, similarity }] of pairs.entries()) {
    sum += loss;
    const count = index + 1;
    if (count >= MIN_PAIRS && sum / count <= most) lowest = similarity;
  }
  return lowest;
}

/** The lowest threshold of vLLM-Omni's rule whose hits lose no more than `most` on average; 2 where none does. */
export function fitThreshold(cells: readonly TuningCell[], steps: number, most: number): number {
  const own = cells.filter(({ family }) => family === 'penalised prompts');
  const thresholds = [...new Set(own.map(({ similarity }) => similarity))].sort(
    (one, other) => one - other,
  );
  const fitting = thresholds.find((threshold) => {
    const skip = skipAbove(threshold, steps);
    const hits = own.filter(({ similarity, skipped }) => skip(similarity) === skipped);
    return hits.length >= MIN_PAIRS && mean(hits.map(({ loss }) => loss)) <= most;
  });
  return fitting ?? 2;
}

/** Network evaluations that tuning runs at most. */
export function tuningEvaluations(requests: number, { steps }: FullGeneration): number {
  const half = Math.max(1, Math.floor(steps / 2));
  const most = Math.max(1, Math.floor(steps * MAX_SKIPPED));
  const families = FAMILIES.length - 1;
  const left = (skips: number): number => skips * steps - (skips * (skips + 1)) / 2;
  return requests * (steps + families * left(half) + left(most));
}

/**
 * What stands in for a fit where no videos are made: by prompts, 5, 10 and 25 of 50 steps from cosines of 0.2, 0.6 and 0.95
 * on, which an earlier study of 32 to 40 prompts fitted to the demo package; parts alone half of it, the threshold
 * of vLLM-Omni as it is shipped. Quality was not looked at.
 */
export function assumedTuning(full: FullGeneration): Tuning {
  const scaled = (share: number): Ladder =>
    [
      { similarity: 0.2, skipped: Math.floor(0.1 * share * full.steps) },
      { similarity: 0.6, skipped: Math.floor(0.2 * share * full.steps) },
      { similarity: 0.95, skipped: Math.floor(0.5 * share * full.steps) },
    ].filter(({ skipped }) => skipped > 0);
  const [whole, half] = [scaled(1), scaled(0.5)];
  return {
    full,
    requests: 0,
    adherence: 0,
    ladders: { prompts: whole, videos: [], 'both parts': whole, object: half, background: half },
    vllmThreshold: 0.75,
  };
}

async function makeDonors(
  requests: readonly BenchRequest[],
  options: TuningOptions,
): Promise<Donor[]> {
  const { manifest, networks, full } = options;
  const steps = Array.from({ length: full.steps - 1 }, (_, index) => index + 1);
  const kept = steps.slice(0, Math.max(1, Math.floor(full.steps * MAX_SKIPPED)));
  const runs = requests.map(
    (request) => new RecordingRun(fullWork(request, full), latentShape(manifest), null, kept, 0),
  );
  const latents = await sampleBatch(
    options.model,
    runs.map((run, index) => ({ run, prompt: requests[index]!.prompt })),
    { guidance: manifest.scheduler.guidance, batch: options.batch },
  );
  const masks = await networks.segment(latents);
  const videos = await networks.embed(latents);
  const judged = await networks.judge(latents);
  return requests.map((request, index) => ({
    request,
    latent: latents[index]!,
    states: runs[index]!.states,
    video: videos[index]!,
    parts: partEntry(latents[index]!, masks[index]!, runs[index]!.states),
    adherence: shareOf(manifest, request, judged[index]!.values),
  }));
}

async function measure(
  donors: readonly Donor[],
  { manifest, model, networks, embeddings, full, batch, onProgress }: TuningOptions,
): Promise<TuningCell[]> {
  const wanted = donors.flatMap((target) =>
    FAMILIES.flatMap((family) => attempts(family, target, donors, embeddings, full)),
  );
  const cells: TuningCell[] = [];
  const chunk = 8 * batch;
  for (let start = 0; start < wanted.length; start += chunk) {
    const part = wanted.slice(start, start + chunk);
    const latents = await sampleBatch(
      model,
      part.map(({ target, work }) => ({
        run: new RecordingRun(work(), latentShape(manifest), null, [], 0),
        prompt: target.request.prompt,
      })),
      { guidance: manifest.scheduler.guidance, batch },
    );
    const judged = await networks.judge(latents);
    for (const [index, { target, family, similarity, skipped }] of part.entries()) {
      const hit = shareOf(manifest, target.request, judged[index]!.values);
      cells.push({ family, similarity, skipped, loss: target.adherence - hit });
    }
    onProgress?.(Math.min(start + chunk, wanted.length), wanted.length);
  }
  return cells;
}

interface Attempt {
  target: Donor;
  family: Family;
  similarity: number;
  skipped: number;
  /** Made when it is run: latents are large. */
  work(): Work;
}

function attempts(
  family: Family,
  target: Donor,
  donors: readonly Donor[],
  embeddings: PromptEmbeddings,
  full: FullGeneration,
): Attempt[] {
  const { request } = target;
  const others = donors.filter((donor) => donor !== target);
  const vectorsOf = ({ request: { prompt } }: Donor) => embeddings.get(prompt)!.vectors;
  const asked = vectorsOf(target);
  const half = Math.max(1, Math.floor(full.steps / 2));
  const time = (skipped: number): number => 1 - skipped / full.steps;
  const make = (
    similarity: number | undefined,
    skips: number,
    noisy: (skipped: number) => Tensor,
  ): Attempt[] => {
    if (similarity === undefined) return [];
    return Array.from({ length: skips }, (_, index) => index + 1)
      .filter((skipped) => skipped < full.steps)
      .map((skipped) => ({
        target,
        family,
        similarity,
        skipped,
        work: () => resumedWork(request, full, skipped, noisy(skipped)),
      }));
  };
  const part = (name: 'object' | 'background'): { donor: Donor; score: number } | null =>
    best(others, (donor) => {
      const [one, other] = [asked[name], vectorsOf(donor)[name]];
      return one === null || other === null ? -1 : dot(one, other);
    });
  switch (family) {
    case 'prompts':
    case 'penalised prompts': {
      const found = best(others, (donor) => {
        const cosine = dot(asked.whole, vectorsOf(donor).whole);
        return family === 'prompts' ? cosine : penalised(cosine, dot(asked.whole, donor.video));
      });
      return make(found?.score, half, (skipped) => found!.donor.states.get(skipped)!);
    }
    case 'videos': {
      const found = best(others, ({ video }) => dot(asked.whole, video));
      const most = Math.max(1, Math.floor(full.steps * MAX_SKIPPED));
      return make(found?.score, most, (skipped) => {
        const { latent } = found!.donor;
        const noise = standardNormalNoise(latent.shape, request.seed, 'start');
        return renoise(latent, time(skipped), noise);
      });
    }
    case 'both parts': {
      const [object, background] = [part('object'), part('background')];
      if (object === null || background === null) return [];
      const parts = { object: object.donor.parts, background: background.donor.parts };
      return make(Math.min(object.score, background.score), half, (skipped) =>
        composeStates(parts, skipped, full.steps, request.seed),
      );
    }
    case 'object':
    case 'background': {
      const found = part(family);
      if (found === null) return [];
      const parts = { object: null, background: null, [family]: found.donor.parts };
      return make(found.score, half, (skipped) =>
        composeStates(parts, skipped, full.steps, request.seed),
      );
    }
  }
}

function best(
  donors: readonly Donor[],
  score: (donor: Donor) => number,
): { donor: Donor; score: number } | null {
  let found: { donor: Donor; score: number } | null = null;
  for (const donor of donors) {
    const own = score(donor);
    if (found === null || own > found.score) found = { donor, score: own };
  }
  return found;
}

function shareOf(
  manifest: ModelManifest,
  request: BenchRequest,
  values: readonly number[],
): number {
  const { right, asked } = adherenceOf(manifest.judge?.attributes ?? [], request, values);
  return asked === 0 ? 1 : right / asked;
}
