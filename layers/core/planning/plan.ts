import { startPoint, type Calibration, type StartPoint } from './calibration.ts';
import type { Donor, GenerationRequest, LookupPart, Plan } from '../generation.ts';
import { worthAsDonor } from './donor-worth.ts';
import { limitReuse, moveStart } from './limit-reuse.ts';
import type { Lineage } from './lineage.ts';
import { createRandomSource, type RandomSource } from '../random.ts';

/** Candidates that are read for each part: enough to find one whose lease is granted. */
export const CANDIDATES_PER_PART = 8;

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
  /** Attributes asked of the part that the package's judge was not sure to see, `verifyDonor`; 0 unless told. */
  doubts?: number;
  /** Whether the judge was sure to see all that is asked of the part, `verifyDonor`; not unless told. */
  isSure?: boolean;
  /** Of a background: whether its own object is where the one that is asked for is to be, `verifyDonor`. */
  isPlaced?: boolean;
  /** How alike the part is by all that is known, `partScore`; the similarity unless told. */
  score?: number;
}

/** What may be started from, each list in any order. */
export type Candidates = { readonly [Part in LookupPart]: readonly Candidate[] } & {
  /** Whole videos that show something else than is asked for; those of `whole` may be near donors too. */
  readonly near?: readonly Candidate[];
};

/** Everything a plan is made from. */
export interface PlanInput {
  request: Pick<GenerationRequest, 'seed' | 'steps' | 'cache' | 'minSimilarity' | 'maxReuse'>;
  /** The video that answers exactly this request, when there is one. */
  exactVideoId: string | null;
  candidates: Candidates;
  /** The video that the request named as its donor, also when no threshold admits it. */
  remix?: Candidate | null;
  calibration: Calibration;
}

/** Of the hits that a plan can be, preferred first where two cost the same. */
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
 * Decides what one request starts from: the exact video, else the hit that takes the least compute,
 * then the one that is expected to lose the least, else noise. The donors of a pair are chosen
 * together. Where generations are limited, the result's worth as a donor counts as well: a hit that
 * saves little from a donor near the limit is made in full, which is the most that any request runs.
 *
 * The same input gives the same plan. Among donors that cost the same it prefers those whose judge saw
 * most of what is asked for, then the most similar ones; among equally good ones the one that is fewest
 * reuses away from a full generation; then it draws by the request's seed, so no single entry becomes
 * the ancestor of everything. The request's own bounds, `minSimilarity` and `maxReuse`, hold beside the
 * calibration's.
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
 * What was found, whichever kind of hit it starts like: whole videos that show all that is asked may start
 * as near ones do, and backgrounds with an object in its place as placed ones.
 */
function hitOf({ hit, donors: [donor] }: Option, input: PlanInput): Plan['hit'] {
  if (hit === 'placed') return 'background';
  const showsAll = input.candidates.whole.some(({ entryId }) => entryId === donor!.entryId);
  return hit === 'near' && showsAll && isDonor(donor!, 'whole', input) ? 'whole' : hit;
}

/** The donors that each kind of hit may have. */
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

/** The best donors of one kind of hit; null when none may be used. */
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

/** Below 0 when one start is better than another: less compute, less loss, less to denoise. */
function compareStarts(one: StartPoint, other: StartPoint): number {
  return (
    one.equivalents - other.equivalents ||
    (one.loss ?? 0) - (other.loss ?? 0) ||
    one.startTime - other.startTime
  );
}

/** The same, counting what the results are worth as donors. */
function compareOptions(one: Option, other: Option, input: PlanInput): number {
  return priceOf(one, input) - priceOf(other, input) || compareStarts(one, other);
}

/** Compute less what the result is worth as a donor of later requests. */
function priceOf({ equivalents, donors }: Option, { request, calibration }: PlanInput): number {
  const generation = 1 + generationOf(donors);
  return equivalents - worthAsDonor(generation, calibration.maxGeneration, request.steps);
}

function fullWorth({ request, calibration }: PlanInput): number {
  return worthAsDonor(0, calibration.maxGeneration, request.steps);
}

function generationOf(donors: readonly PartCandidate[]): number {
  return Math.max(...donors.map((donor) => donor.generation));
}

/** One of the lists of donors that are better than the others. */
function draw(lists: PartCandidate[][], random: RandomSource): PartCandidate[] {
  const doubts = (donors: PartCandidate[]): number =>
    donors.reduce((sum, donor) => sum + (donor.doubts ?? 0), 0);
  const score = (donors: PartCandidate[]): number =>
    donors.reduce((sum, donor) => sum + (donor.score ?? donor.similarity), 0) / donors.length;
  const sure = keepLeast(lists, doubts);
  const similar = keepLeast(sure, (donors) => -score(donors), EQUALLY_GOOD_MARGIN);
  const equals = keepLeast(similar, generationOf);
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
 * Whether a request may start from this part of a candidate: what the part shows is similar enough,
 * and nothing that the candidate goes back to is less than what is asked for, neither in evaluations
 * (a draft is no donor of a finished video) nor in similarity.
 */
export function isDonor(
  candidate: Candidate,
  part: LookupPart,
  input: Pick<PlanInput, 'request' | 'calibration'>,
): boolean {
  const { similarity, isSure = false } = candidate;
  return isUsable(candidate, input) && input.calibration.admits(part, similarity, isSure);
}

/** The same of a whole video that shows something else. */
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
    candidate.generation < calibration.maxGeneration &&
    candidate.steps >= request.steps &&
    Math.min(candidate.similarity, candidate.leastSimilarity) >= request.minSimilarity
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
