import { readFile } from 'node:fs/promises';
import { askedValues } from '#cli/calibrate/asked-values.ts';
import { meanPairwiseDistance } from '#core/statistics/diversity.ts';
import { FrechetReference } from '#core/statistics/frechet.ts';
import { bootstrapEstimate, standardDeviation, type Estimate } from '#core/statistics/intervals.ts';
import type { JudgedAttribute } from '#core/planning/shown-attributes.ts';
import type { Outcome } from './replay.ts';
import type { BenchRequest } from './requests.ts';

/** Share of the attributes that a prompt names and the judge sees, as counts. */
export interface Adherence {
  right: number;
  asked: number;
}

export function adherenceOf(
  attributes: readonly JudgedAttribute[],
  { prompt }: BenchRequest,
  values: readonly number[],
): Adherence {
  const named = askedValues(attributes, prompt).flatMap((wanted, index) =>
    wanted === null ? [] : [wanted === values[index]],
  );
  return { right: named.filter(Boolean).length, asked: named.length };
}

/** Half floats, clip by clip: `containers/demo-model/demo_model/real_features.py` writes them. */
export async function readRealClips(path: string, dimensions: number): Promise<Float16Array[]> {
  const bytes = await readFile(path);
  const all = new Float16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return Array.from({ length: all.length / dimensions }, (_, index) =>
    all.subarray(index * dimensions, (index + 1) * dimensions),
  );
}

export interface FrechetResult {
  distance: number;
  standardError: number;
  samples: number;
  /** How each of the videos moves it, in their order. */
  influence: number[];
}

/** Frechet distance of videos to real clips that show what the same prompts ask for. */
export function frechetOf(
  reference: FrechetReference,
  features: readonly Float32Array[],
): FrechetResult {
  const { distance, influence } = reference.distanceTo(features);
  const count = influence.length;
  return {
    distance,
    standardError: standardDeviation(influence) / Math.sqrt(count),
    samples: count,
    influence: Array.from(influence, (value) => Number(value.toPrecision(3))),
  };
}

/** How much videos of one prompt differ, over the prompts that were asked for with several seeds. */
export function diversityOf(outcomes: readonly Outcome[]): Estimate | null {
  const groups = Map.groupBy(
    outcomes.flatMap((outcome) => (outcome.hit === 'exact' ? [] : [outcome])),
    ({ request }) => request.prompt,
  );
  const distances = [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => meanPairwiseDistance(group.map(({ video }) => video.judged.features)));
  return distances.length === 0 ? null : bootstrapEstimate(distances, { draws: 500 });
}
