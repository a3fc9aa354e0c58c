/**
 * What entries are told apart by when their reuse is learned: how often they were hit, and how many
 * network evaluations making them took. The second says how new they were: what is made from a near
 * donor covers little that the donor does not cover. The class of an entry changes only with a hit,
 * so that one stretch of waiting lies in one class.
 */

/** Decayed hits, as of the last one, up to which an entry is in each group; the first: never hit. */
const HITS_UP_TO = [0, 1.5, 3, 6, 12, 24, Infinity] as const;

/** Two groups for each doubling: 1, 2, 3, 4, 6, 8, 11, 16, ... evaluations. */
const GROUPS_PER_DOUBLING = 2;
const STEP_GROUPS = 14;

export const REUSE_CLASSES = HITS_UP_TO.length * STEP_GROUPS;

/** @param stepsRun network evaluations that making it took */
export function classOfFresh(stepsRun: number): number {
  return groupOfSteps(stepsRun);
}

/** @param decayedHits as of the last hit, that one included: 1 and more */
export function classOfHit(decayedHits: number, stepsRun: number): number {
  const group = HITS_UP_TO.findIndex((limit) => decayedHits <= limit);
  return Math.max(1, group) * STEP_GROUPS + groupOfSteps(stepsRun);
}

function groupOfSteps(stepsRun: number): number {
  const group = Math.round(GROUPS_PER_DOUBLING * Math.log2(Math.max(1, stepsRun)));
  return Math.min(STEP_GROUPS - 1, group);
}

/** For people: `hit 2-3 times, made in about 8 evaluations`. */
export function nameOfClass(reuseClass: number): string {
  const group = Math.floor(reuseClass / STEP_GROUPS);
  const steps = Math.round(2 ** ((reuseClass % STEP_GROUPS) / GROUPS_PER_DOUBLING));
  const [above, limit] = [HITS_UP_TO[group - 1] ?? 0, HITS_UP_TO[group]!];
  const hits =
    group === 0
      ? 'never hit'
      : limit === Infinity
        ? `hit more than ${above} times`
        : `hit ${Math.max(1, above)}-${limit} times`;
  const evaluations = steps === 1 ? '1 evaluation' : `about ${steps} evaluations`;
  return `${hits}, made in ${evaluations}`;
}

/** Waiting times are told apart by factors of two, from a minute to some four years. */
const FIRST_BIN_SECONDS = 60;

export const AGE_BINS = 22;

/** @param age seconds since the last use */
export function ageBinOf(age: number): number {
  if (age < FIRST_BIN_SECONDS) return 0;
  return Math.min(AGE_BINS - 1, 1 + Math.floor(Math.log2(age / FIRST_BIN_SECONDS)));
}

/** Where a bin begins, seconds. */
export function startOfBin(bin: number): number {
  return bin === 0 ? 0 : FIRST_BIN_SECONDS * 2 ** (bin - 1);
}
