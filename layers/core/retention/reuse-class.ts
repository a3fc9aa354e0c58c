/**
 * Classes of entries for learning reuse: by number of hits and by the network evaluations that they
 * took to generate. The second measures novelty: an entry made from a near donor covers little that
 * the donor does not. An entry's class changes only with a hit, so that each wait lies in one
 * class.
 */

/**
 * Upper bounds of the groups by decayed hits, as of the last hit; the first group was never hit.
 */
const HITS_UP_TO = [0, 1.5, 3, 6, 12, 24, Infinity] as const;

/** Two groups for each doubling: 1, 2, 3, 4, 6, 8, 11, 16, ... evaluations. */
const GROUPS_PER_DOUBLING = 2;
const STEP_GROUPS = 14;

export const REUSE_CLASSES = HITS_UP_TO.length * STEP_GROUPS;

/** Returns the class of an entry without hits. @param stepsRun network evaluations that it took */
export function classOfFresh(stepsRun: number): number {
  return groupOfSteps(stepsRun);
}

/**
 * Returns the class of an entry with hits. @param decayedHits decayed hits as of the last hit,
 * including it: 1 or more
 */
export function classOfHit(decayedHits: number, stepsRun: number): number {
  const group = HITS_UP_TO.findIndex((limit) => decayedHits <= limit);
  return Math.max(1, group) * STEP_GROUPS + groupOfSteps(stepsRun);
}

function groupOfSteps(stepsRun: number): number {
  const group = Math.round(GROUPS_PER_DOUBLING * Math.log2(Math.max(1, stepsRun)));
  return Math.min(STEP_GROUPS - 1, group);
}

/** Formats a class for display: `hit 2-3 times, made in about 8 evaluations`. */
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

/** Waiting times are binned by factors of two, from a minute to some four years. */
const FIRST_BIN_SECONDS = 60;

export const AGE_BINS = 22;

/** Returns the bin of an age. @param age seconds since the last use */
export function ageBinOf(age: number): number {
  if (age < FIRST_BIN_SECONDS) return 0;
  return Math.min(AGE_BINS - 1, 1 + Math.floor(Math.log2(age / FIRST_BIN_SECONDS)));
}

/** Returns the start of a bin in seconds. */
export function startOfBin(bin: number): number {
  return bin === 0 ? 0 : FIRST_BIN_SECONDS * 2 ** (bin - 1);
}
