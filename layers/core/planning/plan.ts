import { startPoint, type Calibration, type StartPoint } from './calibration.ts';
import type { Donor, GenerationRequest, LookupPart, Plan } from '../generation.ts';
import { worthAsDonor } from './donor-worth.ts';
import { limitReuse, moveStart } from './limit-reuse.ts';
import type { Lineage } from './lineage.ts';
import { createRandomSource, type RandomSource } from '../random.ts';

/** Candidates read per part: enough to find one whose lease is granted. */
export const CANDIDATES_PER_PART = 8;

/** Donors within this cosine of the best one are equally good. */
export const EQUALLY_GOOD_MARGIN = 0.005;

/**
 * Start time of a remix whose video is too dissimilar for any measured start: late enough that the
 * prompt decides the content, early enough to keep the video's layout.
 */
export const REMIX_START_TIME = 0.8;

/** An entry that the index proposed for one part. */
export interface Candidate extends Lineage {
  entryId: string;
  /** Cosine of the request's vector and that of the entry's video, -1..1. */
  similarity: number;
  /** Object key of the entry's latent container. */
  latentKey: string;
  /**
   * Attributes asked of the part that the package's judge was not sure to see (`verifyDonor`);
   * default 0.
   */
  doubts?: number;
  /**
   * Whether the judge was sure to see everything asked of the part (`verifyDonor`); default false.
   */
  isSure?: boolean;
  /** For a background: whether its own object is where the requested one goes (`verifyDonor`). */
  isPlaced?: boolean;
  /** Overall similarity of the part (`partScore`); default: the similarity. */
  score?: number;
}

/** Possible donors, each list in any order. */
export type Candidates = { readonly [Part in LookupPart]: readonly Candidate[] } & {
  /**
   * Whole videos that show something other than asked; those of `whole` may be near donors, too.
   */
  readonly near?: readonly Candidate[];
};

/** Input of a plan. */
export interface PlanInput {
  request: Pick<GenerationRequest, 'seed' | 'steps' | 'cache' | 'minSimilarity' | 'maxReuse'>;
  /** The video that answers exactly this request, if any. */
  exactVideoId: string | null;
  candidates: Candidates;
  /** The video that the request named as its donor, even if no threshold admits it. */
  remix?: Candidate | null;
  calibration: Calibration;
}

/** Kinds of hits, preferred first at equal cost. */
const HIT_PREFERENCE = [
  'whole',
  'object+background',
  'near',
  'object',
  'placed',
  'background',
] as const;

type DonorHit = (typeof HIT_PREFERENCE)[number];

/** One way to start. */
interface Option extends StartPoint {
  hit: DonorHit;
  donors: readonly PartCandidate[];
}

type PartCandidate = Candidate & { part: LookupPart };

/**
 * Plans what a request starts from: the exact video, otherwise the hit with the least compute, then
 * the least expected loss, otherwise noise. The donors of a pair are chosen together. If
 * the reuse depth is limited, the result's worth as a donor counts, too: a hit that saves little from
 * a donor near the limit becomes a full generation, the most that any request runs.
 *
 * The same input gives the same plan. Donors of equal cost are ranked by how much of the request
 * the judge saw, then by similarity, and equally good ones by the number of reuses from a full
 * generation. Remaining ties are drawn by the request's seed, so that no single entry becomes the
 * ancestor of everything. The request's own bounds, `minSimilarity` and `maxReuse`, apply in
 * addition to the calibration's.
 */
export function makePlan(input: PlanInput): Plan {
  const { request, exactVideoId } = input;
  const full = fullGeneration(request, input.calibration);
  if (request.cache === 'off' || request.cache === 'refresh') return full;
  const calibration = limitReuse(input.calibration, request);
  if (exactVideoId !== null) {
    const returned = calibration.decide('exact', 1, request.steps);
    if (returned !== null) return { ...full, ...returned, hit: 'exact', exactVideoId };
  }

  const random = createRandomSource(request.seed, 'plan');
  const lists = donorLists(input);
  let best: Option | null = null;
  for (const hit of HIT_PREFERENCE) {
    const option = bestOf(hit, lists[hit], calibration, request.steps, random);
    if (option !== null && (best === null || compareOptions(option, best, input) < 0))
      best = option;
  }
  // A full generation runs more, and leaves the best donor.
  const isWorthIt = best !== null && priceOf(best, input) < full.steps - fullWorth(input);
  if (!isWorthIt) best = remixOf(input);
  if (best === null) return full;
  return { ...full, ...best, hit: hitOf(best, input), donors: best.donors.map(donorOf) };
}

/**
 * Returns the kind of hit by what was found, whatever it starts like: whole videos that show
 * everything asked may start as near ones, and backgrounds with an object in place as placed ones.
 */
function hitOf({ hit, donors: [donor] }: Option, input: PlanInput): Plan['hit'] {
  if (hit === 'placed') return 'background';
  const showsAll = input.candidates.whole.some(({ entryId }) => entryId === donor!.entryId);
  return hit === 'near' && showsAll && isDonor(donor!, 'whole', input) ? 'whole' : hit;
}

/** Lists the possible donors of each kind of hit. */
function donorLists(input: PlanInput): Record<DonorHit, PartCandidate[][]> {
  const { candidates } = input;
  const usable = (part: LookupPart): PartCandidate[] =>
    candidates[part]
      .filter((candidate) => isDonor(candidate, part, input))
      .map((candidate) => ({ ...candidate, part }));
  const [whole, object, background] = [usable('whole'), usable('object'), usable('background')];
  const near = [...candidates.whole, ...(candidates.near ?? [])]
    .filter((candidate) => isNearDonor(candidate, input))
    .map((candidate) => ({ ...candidate, part: 'whole' as const }));
  const alone = (donors: PartCandidate[]): PartCandidate[][] => donors.map((donor) => [donor]);
  return {
    whole: alone(whole),
    near: alone(near),
    'object+background': object.flatMap((one) => background.map((other) => [one, other])),
    object: alone(object),
    placed: alone(background.filter(({ isPlaced }) => isPlaced === true)),
    background: alone(background),
  };
}

/** Returns the best donors of one kind of hit; null if none may be used. */
function bestOf(
  hit: DonorHit,
  lists: readonly PartCandidate[][],
  calibration: Calibration,
  fullSteps: number,
  random: RandomSource,
): Option | null {
  const starts = new Map<number, StartPoint | null>();
  let best: StartPoint | null = null;
  let equals: PartCandidate[][] = [];
  for (const donors of lists) {
    const similarity = leastOf(donors, (donor) => donor.similarity);
    let start = starts.get(similarity);
    if (start === undefined) {
      start = calibration.decide(hit, similarity, fullSteps);
      starts.set(similarity, start);
    }
    if (start === null) continue;
    const difference = best === null ? -1 : compareStarts(start, best);
    if (difference < 0) [best, equals] = [start, []];
    if (difference <= 0) equals.push(donors);
  }
  return best === null ? null : { hit, donors: draw(equals, random), ...best };
}

/** Compares starts; negative if the first is better: less compute, less loss, less to denoise. */
function compareStarts(one: StartPoint, other: StartPoint): number {
  return (
    one.equivalents - other.equivalents ||
    (one.loss ?? 0) - (other.loss ?? 0) ||
    one.startTime - other.startTime
  );
}

/** Compares options, including the worth of their results as donors. */
function compareOptions(one: Option, other: Option, input: PlanInput): number {
  return priceOf(one, input) - priceOf(other, input) || compareStarts(one, other);
}

/** Computes the compute minus the result's worth as a donor of later requests. */
function priceOf({ equivalents, donors }: Option, { request, calibration }: PlanInput): number {
  const reuseDepth = 1 + reuseDepthOf(donors);
  return equivalents - worthAsDonor(reuseDepth, calibration.maxReuseDepth, request.steps);
}

function fullWorth({ request, calibration }: PlanInput): number {
  return worthAsDonor(0, calibration.maxReuseDepth, request.steps);
}

function reuseDepthOf(donors: readonly PartCandidate[]): number {
  return Math.max(...donors.map((donor) => donor.reuseDepth));
}

/** Draws one of the equally best donor lists. */
function draw(lists: PartCandidate[][], random: RandomSource): PartCandidate[] {
  const doubts = (donors: PartCandidate[]): number =>
    donors.reduce((sum, donor) => sum + (donor.doubts ?? 0), 0);
  const score = (donors: PartCandidate[]): number =>
    donors.reduce((sum, donor) => sum + (donor.score ?? donor.similarity), 0) / donors.length;
  const sure = keepLeast(lists, doubts);
  const similar = keepLeast(sure, (donors) => -score(donors), EQUALLY_GOOD_MARGIN);
  const equals = keepLeast(similar, reuseDepthOf);
  if (equals.length === 1) return equals[0]!;
  const nameOf = (donors: PartCandidate[]): string => donors.map((each) => each.entryId).join();
  equals.sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  return equals[random.nextBelow(equals.length)]!;
}

function keepLeast<Item>(items: Item[], key: (item: Item) => number, margin = 0): Item[] {
  const least = leastOf(items, key);
  return items.filter((item) => key(item) <= least + margin);
}

function leastOf<Item>(items: readonly Item[], key: (item: Item) => number): number {
  return Math.min(...items.map(key));
}

/**
 * Whether a request may start from this part of a candidate: the part is similar enough, and
 * nothing in its lineage is below what is asked, in evaluations (a draft is no donor of a finished
 * video) or in similarity.
 */
export function isDonor(
  candidate: Candidate,
  part: LookupPart,
  input: Pick<PlanInput, 'request' | 'calibration'>,
): boolean {
  const { similarity, isSure = false } = candidate;
  return isUsable(candidate, input) && input.calibration.admits(part, similarity, isSure);
}

/** Whether a request may start from a whole video that shows something else. */
export function isNearDonor(
  candidate: Candidate,
  input: Pick<PlanInput, 'request' | 'calibration'>,
): boolean {
  const start = input.calibration.decide('near', candidate.similarity, Infinity);
  return isUsable(candidate, input) && start !== null;
}

function isUsable(
  candidate: Candidate,
  { request, calibration }: Pick<PlanInput, 'request' | 'calibration'>,
): boolean {
  return (
    candidate.reuseDepth < calibration.maxReuseDepth &&
    candidate.steps >= request.steps &&
    Math.min(candidate.similarity, candidate.leastSimilarity) >= request.minSimilarity
  );
}

/**
 * Whether the video of an identical request may be returned: its lineage meets the bounds of the
 * request. A remix of a draft gets a video that starts from the draft.
 */
export function isAnswer(
  { steps, leastSimilarity }: Lineage,
  request: Pick<GenerationRequest, 'steps' | 'minSimilarity' | 'remixOf'>,
): boolean {
  return (
    (request.remixOf !== null || steps >= request.steps) && leastSimilarity >= request.minSimilarity
  );
}

/** Returns the option to start from the whole of the named video, whatever its similarity. */
function remixOf({ request, remix, calibration }: PlanInput): Option | null {
  if (remix === undefined || remix === null) return null;
  const measured =
    calibration.decide('near', 1, request.steps) ?? calibration.decide('whole', 1, request.steps);
  const to = Math.max(REMIX_START_TIME, 1 - request.maxReuse);
  const start = measured && moveStart(measured, to, request.steps);
  return start && { hit: 'whole', donors: [{ ...remix, part: 'whole' }], ...start };
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

function donorOf({ entryId, part, similarity, latentKey }: PartCandidate): Donor {
  return { entryId, part, similarity, latentKey };
}
