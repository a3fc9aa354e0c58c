import { InvalidInputError } from '../errors.ts';
import { HALF_LIFE_MILLISECONDS } from './decay.ts';
import { ageOf, classBeforeHit, lastUseOf, reuseClassOf, type ReuseStats } from './reuse-stats.ts';
import { AGE_BINS, ageBinOf, REUSE_CLASSES, startOfBin } from './reuse-class.ts';

/** Prior weight of the break-even rate, in hits. */
const PRIOR_HITS = 1;

/** Prior weight of the wider group's margin, in hits. */
const PRIOR_MARGIN_HITS = 2;

/** Stored form of `ReuseModel`. */
export interface ReuseModelRecord {
  format: 'flexcache-reuse/1';
  /** Reference time of the decayed sums, epoch milliseconds. */
  asOf: number;
  /** Hits by class, then bin. */
  hits: number[];
  /** Seconds that entries of a class waited in a bin. */
  waited: number[];
  /** Network evaluations that the hits saved over the next best donor. */
  credits: number[];
}

/**
 * Learned reuse statistics: for each class and time since the last use, the hits and the seconds in
 * which they could have occurred. Older observations are discounted with the half-life of
 * `decay.ts`.
 */
export class ReuseModel {
  #asOf: number;
  readonly #hits = new Float64Array(REUSE_CLASSES * AGE_BINS);
  readonly #waited = new Float64Array(REUSE_CLASSES * AGE_BINS);
  readonly #credits = new Float64Array(REUSE_CLASSES * AGE_BINS);
  /** Cached margins by class; null once a sum has changed. */
  #means: ClassMeans | null = null;

  /** @param asOf epoch milliseconds of the start of learning */
  constructor(asOf: number) {
    if (!Number.isFinite(asOf)) throw unreadable(`its time is ${asOf}`);
    this.#asOf = asOf;
  }

  /** Parses a stored model. @throws InvalidInputError if it is invalid */
  static from(record: unknown): ReuseModel {
    const { format, asOf, hits, waited, credits } =
      (record as Partial<ReuseModelRecord> | null) ?? {};
    if (format !== 'flexcache-reuse/1') throw unreadable(`its format is ${String(format)}`);
    const model = new ReuseModel(Number(asOf));
    fill(model.#hits, hits, 'hits');
    fill(model.#waited, waited, 'waited');
    fill(model.#credits, credits, 'credits');
    return model;
  }

  toJSON(): ReuseModelRecord {
    return {
      format: 'flexcache-reuse/1',
      asOf: this.#asOf,
      hits: [...this.#hits],
      waited: [...this.#waited],
      credits: [...this.#credits],
    };
  }

  get asOf(): number {
    return this.#asOf;
  }

  /** Decays the observations until `now`; an earlier time changes nothing. */
  advanceTo(now: number): void {
    if (!(now > this.#asOf)) return;
    this.#means = null;
    const factor = 2 ** (-(now - this.#asOf) / HALF_LIFE_MILLISECONDS);
    for (const sums of [this.#hits, this.#waited, this.#credits]) {
      for (let index = 0; index < sums.length; index++) sums[index]! *= factor;
    }
    this.#asOf = now;
  }

  /** Adds the observations of another model, e.g. of one segment of a pass. */
  add(other: ReuseModel): void {
    this.advanceTo(other.#asOf);
    this.#means = null;
    const factor = 2 ** (-(this.#asOf - other.#asOf) / HALF_LIFE_MILLISECONDS);
    const pairs = [
      [this.#hits, other.#hits],
      [this.#waited, other.#waited],
      [this.#credits, other.#credits],
    ] as const;
    for (const [mine, theirs] of pairs) {
      for (let index = 0; index < mine.length; index++) mine[index]! += theirs[index]! * factor;
    }
  }

  /**
   * Records that an entry of a class waited without a hit from one age to another.
   *
   * @param from seconds since its last use @param to seconds since its last use
   * @param times number of such waits
   */
  addWait(reuseClass: number, from: number, to: number, times = 1): void {
    for (let bin = ageBinOf(from); from < to; bin++) {
      const end = bin === AGE_BINS - 1 ? to : Math.min(to, startOfBin(bin + 1));
      this.#waited[reuseClass * AGE_BINS + bin]! += (end - from) * times;
      from = end;
    }
  }

  /**
   * Records a hit on an entry of a class.
   *
   * @param age seconds since its last use
   * @param credit network evaluations that the hit saved over the next best donor
   */
  addHit(reuseClass: number, age: number, credit: number, times = 1): void {
    this.#means = null;
    const cell = reuseClass * AGE_BINS + ageBinOf(age);
    this.#hits[cell]! += times;
    this.#credits[cell]! += credit * times;
  }

  /**
   * Records what a pass sees of an entry: its last hit, and its wait since. If there were several
   * hits since the previous pass, the last gap stands for all of them; their number is the entry's
   * average rate times the period.
   *
   * @param since epoch milliseconds of the previous pass, which saw everything before
   */
  observe(entry: ReuseStats, since: number, now: number): void {
    const lastUse = lastUseOf(entry);
    if (entry.lastHitAt !== null && entry.lastHitAt > since) {
      const begin = entry.previousHitAt ?? entry.createdAt;
      const gap = Math.max(0, entry.lastHitAt - begin) / 1000;
      const seenFrom = Math.max(0, since - begin) / 1000;
      const unseen = Math.max(0, begin - Math.max(since, entry.createdAt)) / 1000;
      const meanGap = (entry.lastHitAt - entry.createdAt) / 1000 / entry.hits;
      const more = meanGap > 0 ? Math.min(unseen / meanGap, Math.max(0, entry.hits - 2)) : 0;
      const margin = entry.decayedHits > 0 ? entry.decayedCredit / entry.decayedHits : 0;
      const before = classBeforeHit(entry);
      this.addWait(before, seenFrom, gap, 1 + more);
      this.addHit(before, gap, margin, 1 + more);
    }
    this.addWait(reuseClassOf(entry), Math.max(0, since - lastUse) / 1000, ageOf(entry, now));
  }

  /**
   * Computes the hits per second of an entry: the hazard of its class at its age. Without data it
   * is 1 / age, which makes keeping while `margin * rate > rent` the break-even rule of ski rental.
   *
   * @param age seconds since the last use
   */
  rateAt(reuseClass: number, age: number): number {
    const cell = reuseClass * AGE_BINS + ageBinOf(age);
    const waited = PRIOR_HITS * Math.max(1, age) + this.#waited[cell]!;
    return (PRIOR_HITS + this.#hits[cell]!) / waited;
  }

  /**
   * Computes the maximum hits per second expected from keeping an entry: over all times to keep it,
   * the probability of a hit in that time divided by the expected wait. An entry with a likely hit
   * after a pause is worth keeping through the pause. At least `rateAt`, which is optimal while
   * hits only become rarer.
   *
   * Ages that no entry of the class has reached have the prior rate, one over the age: entries
   * dropped before an age reveal nothing about it, and the entries closest to it are kept to find
   * out.
   *
   * @param age seconds since the last use
   */
  bestRateFrom(reuseClass: number, age: number): number {
    let best = 0;
    let hit = 0;
    let waited = 0;
    let from = age;
    for (let bin = ageBinOf(age); bin < AGE_BINS; bin++) {
      const rate = this.rateAt(reuseClass, from);
      const end = bin === AGE_BINS - 1 ? Infinity : startOfBin(bin + 1);
      const hitInBin = (1 - hit) * -Math.expm1(-rate * (end - from));
      hit += hitInBin;
      waited += hitInBin / rate;
      best = Math.max(best, hit / waited);
      from = end;
    }
    return best;
  }

  /**
   * Estimates the network evaluations that the next hit of an entry saves over the next best donor:
   * the mean over hits of its class at its age, backed off to its class, all entries, and the
   * evaluations that it took to generate, and shifted toward the mean of its own hits.
   *
   * @param age seconds since the last use
   * @param ownHits decayed to now @param ownCredit decayed to now
   */
  marginOf(
    { stepsRun }: Pick<ReuseStats, 'stepsRun'>,
    reuseClass: number,
    age: number,
    ownHits: number,
    ownCredit: number,
  ): number {
    const { all, classes } = (this.#means ??= meansOf(this.#credits, this.#hits));
    const mean = classes[reuseClass]!;
    const ofClass = shrunk(mean.credits, mean.hits, shrunk(all.credits, all.hits, stepsRun));
    if (ofClass === 0) return 0;
    const cell = reuseClass * AGE_BINS + ageBinOf(age);
    const atAge = shrunk(this.#credits[cell]!, this.#hits[cell]!, ofClass);
    return (atAge * shrunk(ownCredit, ownHits, ofClass)) / ofClass;
  }
}

interface Sum {
  credits: number;
  hits: number;
}

interface ClassMeans {
  all: Sum;
  classes: Sum[];
}

function meansOf(credits: Float64Array, hits: Float64Array): ClassMeans {
  const all = { credits: 0, hits: 0 };
  const classes: Sum[] = [];
  for (let start = 0; start < hits.length; start += AGE_BINS) {
    const sum = { credits: 0, hits: 0 };
    for (let cell = start; cell < start + AGE_BINS; cell++) {
      sum.credits += credits[cell]!;
      sum.hits += hits[cell]!;
    }
    classes.push(sum);
    all.credits += sum.credits;
    all.hits += sum.hits;
  }
  return { all, classes };
}

function shrunk(credit: number, hits: number, towards: number): number {
  return (credit + PRIOR_MARGIN_HITS * towards) / (hits + PRIOR_MARGIN_HITS);
}

function fill(sums: Float64Array, stored: unknown, field: string): void {
  const isRight =
    Array.isArray(stored) &&
    stored.length >= sums.length &&
    stored.every((value) => typeof value === 'number' && value >= 0 && Number.isFinite(value));
  if (!isRight) throw unreadable(`its ${field} are not ${sums.length} numbers from 0 on`);
  // Older records end with a class for entries that cannot be donors.
  sums.set((stored as number[]).slice(0, sums.length));
}

function unreadable(why: string): InvalidInputError {
  return new InvalidInputError(
    'reuseModel',
    `the learned table of reuse cannot be read: ${why}`,
    'delete it; the next passes relearn it',
  );
}
