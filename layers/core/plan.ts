import { startPoint, type Calibration, type StartPoint } from './calibration.ts';
import type { Donor, GenerationRequest, HitKind, LookupPart, Plan } from './generation.ts';
import { limitReuse, moveStart } from './limit-reuse.ts';
import type { Lineage } from './lineage.ts';
import { createRandomSource, type RandomSource } from './random.ts';

/**
 * Largest generation of an entry. Each reuse adds a little blur and a little of its donor's look, so
 * an entry this far from a full generation is no longer a donor.
 */
export const MAX_GENERATION = 3;

/** Donors this close to the best one, as a cosine, are equally good. */
export const EQUALLY_GOOD_MARGIN = 0.005;

/**
 * Where a remix starts whose video is too unlike the new prompt for any measured start: late enough
 * that the prompt decides what is seen, early enough that the layout of the video stays.
 */
export const REMIX_START_TIME = 0.8;

/** An entry that the index proposed for one part. */
export interface Candidate extends Lineage {
  entryId: string;
  /** Cosine of the request's vector and that of the entry's video, -1..1. */
  similarity: number;
  /** Object key of the entry's latent container. */
  latentKey: string;
}

/** Everything a plan is made from. */
export interface PlanInput {
  request: Pick<GenerationRequest, 'seed' | 'steps' | 'cache' | 'minSimilarity' | 'maxReuse'>;
  /** The video that answers exactly this request, when there is one. */
  exactVideoId: string | null;
  /** In any order. */
  candidates: { readonly [Part in LookupPart]: readonly Candidate[] };
  /** The video that the request named as its donor, also when no threshold admits it. */
  remix?: Candidate | null;
  calibration: Calibration;
}

interface Option extends StartPoint {
  hit: HitKind;
  donors: Donor[];
}

/** Preferred first when two hits cost the same. */
const HIT_PREFERENCE: readonly HitKind[] = ['whole', 'object+background', 'object', 'background'];

/**
 * Decides what one request starts from: the exact video, else the hit that leaves the least to
 * denoise, else noise. The same input gives the same plan. Among equally good donors it prefers the
 * one that is fewest reuses away from a full generation, then draws by the request's seed, so no
 * single entry becomes the ancestor of everything. The request's own bounds, `minSimilarity` and
 * `maxReuse`, hold beside the calibration's.
 */
export function makePlan(input: PlanInput): Plan {
  const { request, exactVideoId, candidates } = input;
  const full = fullGeneration(request, input.calibration);
  if (request.cache === 'off' || request.cache === 'refresh') return full;
  const calibration = limitReuse(input.calibration, request);
  if (exactVideoId !== null) {
    const returned = calibration.decide('exact', 1, request.steps);
    if (returned !== null) return { ...full, ...returned, hit: 'exact', exactVideoId };
  }

  const random = createRandomSource(request.seed, 'plan');
  const pick = (part: LookupPart): Donor | null =>
    pickDonor(
      part,
      candidates[part].filter((candidate) => isDonor(candidate, part, input)),
      random,
    );
  const [whole, object, background] = [pick('whole'), pick('object'), pick('background')];
  const donorsByHit: Partial<Record<HitKind, Donor[]>> = {};
  if (whole !== null) donorsByHit.whole = [whole];
  if (object !== null) donorsByHit.object = [object];
  if (background !== null) donorsByHit.background = [background];
  if (object !== null && background !== null) {
    donorsByHit['object+background'] = [object, background];
  }

  let best: Option | null = null;
  for (const hit of HIT_PREFERENCE) {
    const donors = donorsByHit[hit];
    if (donors === undefined) continue;
    const similarity = Math.min(...donors.map((donor) => donor.similarity));
    const start = calibration.decide(hit, similarity, request.steps);
    if (start === null) continue;
    if (best === null || skipsMore(start, best)) best = { hit, donors, ...start };
  }
  best ??= remixOf(input);
  return best === null ? full : { ...full, ...best };
}

/**
 * Whether a request may start from this part of a candidate: what the part shows is similar enough,
 * and nothing that the candidate goes back to is less than what is asked for, neither in evaluations
 * (a draft is no donor of a finished video) nor in similarity.
 */
export function isDonor(
  candidate: Candidate,
  part: LookupPart,
  { request, calibration }: Pick<PlanInput, 'request' | 'calibration'>,
): boolean {
  return (
    candidate.generation < calibration.maxGeneration &&
    candidate.steps >= request.steps &&
    Math.min(candidate.similarity, candidate.leastSimilarity) >= request.minSimilarity &&
    calibration.decide(part, candidate.similarity, Infinity) !== null
  );
}

/**
 * Whether the video that was made for the very same request may be returned again: what it goes back to
 * holds the bounds of the request. Who names a draft to remix gets what starts from the draft.
 */
export function isAnswer(
  { steps, leastSimilarity }: Lineage,
  request: Pick<GenerationRequest, 'steps' | 'minSimilarity' | 'remixOf'>,
): boolean {
  return (
    (request.remixOf !== null || steps >= request.steps) && leastSimilarity >= request.minSimilarity
  );
}

/** The whole of the named video, whatever its similarity. */
function remixOf({ request, remix, calibration }: PlanInput): Option | null {
  if (remix === undefined || remix === null) return null;
  const measured = calibration.decide('whole', 1, request.steps);
  const to = Math.max(REMIX_START_TIME, 1 - request.maxReuse);
  const start = measured && moveStart(measured, to, request.steps);
  return start && { hit: 'whole', donors: [donorOf('whole', remix)], ...start };
}

function fullGeneration(
  request: PlanInput['request'],
  { fullSolver }: Pick<Calibration, 'fullSolver'>,
): Plan {
  return {
    hit: 'miss',
    donors: [],
    ...startPoint(1, request.steps, fullSolver),
    fullSteps: request.steps,
    seed: request.seed,
    exactVideoId: null,
  };
}

function skipsMore(start: StartPoint, than: StartPoint): boolean {
  if (start.equivalents !== than.equivalents) return start.equivalents < than.equivalents;
  return start.startTime < than.startTime;
}

function pickDonor(
  part: LookupPart,
  usable: readonly Candidate[],
  random: RandomSource,
): Donor | null {
  if (usable.length === 0) return null;
  const bestSimilarity = Math.max(...usable.map((candidate) => candidate.similarity));
  const good = usable.filter(
    (candidate) => candidate.similarity >= bestSimilarity - EQUALLY_GOOD_MARGIN,
  );
  const generation = Math.min(...good.map((candidate) => candidate.generation));
  const equals = good
    .filter((candidate) => candidate.generation === generation)
    .sort((left, right) => (left.entryId < right.entryId ? -1 : 1));
  return donorOf(part, equals[random.nextBelow(equals.length)]!);
}

function donorOf(part: LookupPart, { entryId, similarity, latentKey }: Candidate): Donor {
  return { entryId, part, similarity, latentKey };
}
