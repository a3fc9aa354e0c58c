import type { SimilarityThresholds } from '#core/planning/calibration.ts';
import {
  MEASURED_KINDS,
  type CalibrationFileInput,
  type CalibratedPlan,
} from '#core/planning/calibration-file.ts';
import { createRandomSource, type RandomSource } from '#core/random.ts';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { drawOrder } from '#simulation/traces/draw.ts';
import { isRegional, type LookupPart, type SolverName } from '#core/generation.ts';
import type { JudgedAttribute } from '#core/planning/shown-attributes.ts';
import { distanceOf } from '#core/statistics/diversity.ts';
import { mean } from '#core/statistics/intervals.ts';
import { choosePlans, type MeasuredBin } from './choose-plans.ts';
import type { DonorLatents, StoredDonor } from './donor-latents.ts';
import { DonorFinder, donorOf, type Donor, type DonorChoice, type MeasuredKind } from './donors.ts';
import { MAX_IN_CHAINS, MAX_REFERENCES } from './estimate-evaluations.ts';
import { fullJob, fullJobs, seedOf } from './full-jobs.ts';
import { fails, LossMeter, meets, type Quality } from './losses.ts';
import type { Objective } from './objective.ts';
import type { PromptCase } from './prompt-sets.ts';
import { race, type RacedCell, type RacedKind } from './race.ts';
import { nameOfStart, startGrid, type GridPoint } from './start-grid.ts';
import { measureThresholds, type MeasuredThresholds } from './thresholds.ts';
import {
  meanEquivalents,
  type VideoJob,
  type VideoMaker,
  type VideoOutcome,
} from './video-maker.ts';

/** Options of a calibration; the same options make the same measurements. */
export interface CalibrationOptions {
  full: { solver: SolverName; steps: number };
  referenceSteps: number;
  objective: Objective;
  /** Minimum share of the donors above a threshold that show what was asked. */
  precision: number;
  /** Maximum videos per cell. */
  samples: number;
  /** Similarity bins per kind of hit. */
  bins: number;
  /** Length of the chains of reuse whose drift is measured. */
  chainLength: number;
  supportsRegions: boolean;
  supportsPlaces: boolean;
  isQuick: boolean;
  seed: number;
}

/** Progress callbacks of a calibration. */
export interface CalibrationWatcher {
  /** Called when a stage begins. */
  onStage(name: string): void;
}

/** The measurements of `calibration.json`; the caller adds where and when they were made. */
export type CalibrationContent = Omit<
  CalibrationFileInput,
  'format' | 'modelRevision' | 'createdAt' | 'machine' | 'provider'
>;

export interface CalibrationResult {
  /** Without a limit on the reuse depth, which `measureReuses` finds. */
  content: CalibrationContent;
  thresholds: MeasuredThresholds;
  /** Start of the chains of reuse. */
  chains: Chains;
}

/** What can be measured separately: a kind of hit, or the input of the held-out check. */
export const MEASURED_SHARES = [...MEASURED_KINDS, 'held-out'] as const;

export type MeasuredShare = (typeof MEASURED_SHARES)[number];

/** Donor choices per prompt: donors that are rare in a large cache are common in a small one. */
const CHOICES_PER_PROMPT = 4;

/** Fewer cases in a bin show too little. */
const MIN_IN_BIN = 128;

/** Decimal digits of similarities in the file; they are rounded down. */
const SIMILARITY_DIGITS = 4;

/** Measures the losses of a package's hits and chooses a plan for each kind and similarity. */
export class CalibrationRun {
  readonly #maker: VideoMaker;
  readonly #latents: DonorLatents;
  readonly #attributes: readonly JudgedAttribute[];
  readonly #options: CalibrationOptions;
  readonly #watcher: CalibrationWatcher;

  constructor(
    maker: VideoMaker,
    latents: DonorLatents,
    attributes: readonly JudgedAttribute[],
    options: CalibrationOptions,
    watcher: CalibrationWatcher,
  ) {
    this.#maker = maker;
    this.#latents = latents;
    this.#attributes = attributes;
    this.#options = options;
    this.#watcher = watcher;
  }

  async run(
    tuning: readonly PromptCase[],
    heldOut: readonly PromptCase[],
  ): Promise<CalibrationResult> {
    const { objective, precision, samples, seed } = this.#options;
    const basis = await this.#basis(tuning);
    const { reference, meter, full, donors, thresholds } = basis;
    const cells: RacedCell[] = [];
    const chosen: RacedCell[] = [];
    for (const kind of MEASURED_KINDS) {
      const bins = await this.#measureKind(kind, tuning, basis);
      const plans = choosePlans(bins, objective, meter).filter((cell) => cell !== null);
      chosen.push(...plans);
      cells.push(...bins.flatMap((bin) => bin.cells));
    }

    const quality = meter.qualityOf(full);
    const base: CalibrationContent = {
      seed,
      samples,
      objective,
      precision,
      full: {
        ...this.#options.full,
        ...quality,
        diversity: meanDistance(
          full,
          donors.map(({ stored }) => stored.outcome),
        ),
      },
      reference: {
        solver: 'euler' as const,
        steps: this.#options.referenceSteps,
        ...referenceQuality(reference, quality),
      },
      maxReuseDepth: null,
      thresholds: mapValues(thresholds.thresholds, floored),
      sureThresholds: mapValues(thresholds.sureThresholds, floored),
      plans: chosen.map((cell) => planOf(cell)),
      measured: cells.map((cell) => ({
        ...planOf(cell),
        ...(isAmong(cell, chosen) && { isChosen: true }),
        ...(cell.reason !== null && { reason: cell.reason }),
        ...(cell.diversity !== undefined && { diversity: cell.diversity }),
      })),
      heldOut: null,
    };
    this.#watcher.onStage('held-out prompts');
    const check = await this.#heldOut(heldOut, base, meter);
    const chains = { cases: tuning, full, donors, chosen, hits: check?.hits ?? {}, meter };
    return { content: { ...base, heldOut: check }, thresholds, chains };
  }

  /**
   * Measures the loss after several chained reuses, each of the previous video, with kinds of hits
   * drawn as they occurred in the held-out requests.
   */
  async measureReuses({
    cases,
    full,
    donors,
    chosen,
    hits,
    meter,
  }: Chains): Promise<Pick<CalibrationContent, 'maxReuseDepth' | 'chainedReuse'>> {
    const { chainLength, objective, samples, seed } = this.#options;
    this.#watcher.onStage('chained reuse');
    // For each kind the plan of the most similar donors: the previous video is the most similar
    // donor.
    const plans = MEASURED_KINDS.flatMap((kind) => {
      const plan = chosen.findLast((cell) => cell.kind === kind);
      return plan === undefined ? [] : Array<RacedCell>(hits[kind] ?? 0).fill(plan);
    });
    if (plans.length === 0) return { maxReuseDepth: null };
    const count = Math.min(samples, MAX_IN_CHAINS, cases.length);
    const ofCases = full.slice(0, count);
    const measured: NonNullable<CalibrationContent['chainedReuse']> = [];
    let maxReuseDepth: number | null = null;
    let chain: StoredDonor[] = donors.slice(0, count).map(({ stored }) => stored);
    for (let reuseDepth = 1; reuseDepth <= chainLength; reuseDepth++) {
      const random = createRandomSource(seed, `kinds of generation ${reuseDepth}`);
      chain = await this.#maker.makeDonors(
        chain.map((donor, index): VideoJob => {
          const drawn = drawPlan(plans, donor, random);
          if (drawn === null) {
            return fullJob(`chain ${reuseDepth}`, this.#options.full, cases[index]!, index, seed);
          }
          const { kind, start } = drawn;
          const plan = { ...start, seed: seedOf(seed, `chain ${reuseDepth}`, index) };
          const stream = `chain ${reuseDepth} ${kind} ${nameOfStart(start)}`;
          return {
            key: `${stream} ${index} from ${donor.key}`,
            of: cases[index]!,
            plan,
            donors: () =>
              this.#latents.partsOf(
                PARTS_OF_KIND[kind].map((part) => ({ donor, part })),
                plan,
              ),
          };
        }),
      );
      const measuredLoss = meter.compare(
        chain.map(({ outcome }) => outcome),
        ofCases,
      );
      measured.push({ reuseDepth, samples: count, loss: measuredLoss.loss });
      if (fails(measuredLoss, objective)) {
        // The plans already bound the loss of a single reuse.
        maxReuseDepth = Math.max(1, reuseDepth - 1);
        break;
      }
    }
    return { maxReuseDepth, chainedReuse: measured };
  }

  /**
   * Measures only some shares and chooses no plan. The measurements are in the maker's work file,
   * where `run` finds them.
   */
  async measureShares(
    shares: readonly MeasuredShare[],
    tuning: readonly PromptCase[],
    heldOut: readonly PromptCase[],
  ): Promise<void> {
    if (shares.includes('held-out')) {
      this.#watcher.onStage('held-out prompts');
      await this.#maker.measure(this.#fullJobs('held-out', heldOut));
      await this.#donors('held-out', heldOut);
    }
    const kinds = MEASURED_KINDS.filter((kind) => shares.includes(kind));
    if (kinds.length === 0) return;
    const basis = await this.#basis(tuning);
    for (const kind of kinds) await this.#measureKind(kind, tuning, basis);
  }

  /** Measures what every kind of hit is compared with. */
  async #basis(tuning: readonly PromptCase[]): Promise<Basis> {
    const { precision, seed } = this.#options;
    const reference = await this.#reference(tuning);
    const meter = new LossMeter(reference, seed);
    this.#watcher.onStage('full generations');
    const full = await this.#maker.measure(this.#fullJobs('tuning', tuning));
    this.#watcher.onStage('donors');
    const donors = await this.#donors('tuning', tuning);
    const thresholds = measureThresholds(tuning, donors, this.#attributes, precision);
    const finder = new DonorFinder(donors, this.#attributes, thresholds);
    return { reference, meter, full, donors, thresholds, finder };
  }

  async #measureKind(
    kind: MeasuredKind,
    tuning: readonly PromptCase[],
    { finder, meter }: Basis,
  ): Promise<MeasuredBin[]> {
    const bins: MeasuredBin[] = [];
    const cases = this.#binsOf(kind, tuning, finder);
    for (const [index, bin] of cases.entries()) {
      this.#watcher.onStage(`${kind}, bin ${index + 1} of ${cases.length}`);
      bins.push(await this.#measureBin(kind, bin, meter));
    }
    return bins;
  }

  /**
   * Makes the full generations of the reference; they are neither donors nor paired with other
   * videos.
   */
  async #reference(tuning: readonly PromptCase[]): Promise<VideoOutcome[]> {
    const { referenceSteps, seed } = this.#options;
    const count = Math.min(MAX_REFERENCES, tuning.length);
    // Spread over all prompts, because they are in time order.
    const cases = Array.from(
      { length: count },
      (_, index) => tuning[Math.floor((index * tuning.length) / count)]!,
    );
    this.#watcher.onStage(`reference of ${referenceSteps} evaluations`);
    const plan = { solver: 'euler', steps: referenceSteps } as const;
    return this.#maker.measure(fullJobs('reference', plan, cases, seed));
  }

  #fullJobs(set: PromptSetName, cases: readonly PromptCase[]): VideoJob[] {
    const { full, seed } = this.#options;
    return fullJobs(`${set} full`, full, cases, seed);
  }

  async #donors(set: PromptSetName, cases: readonly PromptCase[]): Promise<Donor[]> {
    const { full, seed } = this.#options;
    const stored = await this.#maker.makeDonors(fullJobs(`${set} donor`, full, cases, seed));
    return stored.map((each) => donorOf(each, this.#attributes));
  }

  /** Groups the cases of a kind of hit by donor similarity, the least similar bin first. */
  #binsOf(kind: MeasuredKind, cases: readonly PromptCase[], finder: DonorFinder): KindCase[][] {
    const { bins, full, samples, seed } = this.#options;
    const found = cases.flatMap((of, target) =>
      finder
        .choices(kind, of, seedOf(seed, 'tuning full', target), CHOICES_PER_PROMPT)
        .map((choice, rank): KindCase => {
          // Each choice has its own full generation: using one twice would count as two equal
          // samples.
          const stream = rank === 0 ? 'tuning full' : (`tuning full ${rank}` as const);
          return { of, target, choice, full: fullJob(stream, full, of, target, seed) };
        }),
    );
    found.sort((one, other) => one.choice.similarity - other.choice.similarity);
    const fewest = Math.min(MIN_IN_BIN, samples);
    const count = Math.min(bins, Math.max(1, Math.floor(found.length / fewest)));
    const size = Math.ceil(found.length / count);
    return Array.from({ length: count }, (_, bin) => found.slice(bin * size, (bin + 1) * size))
      .filter((bin) => bin.length > 0)
      .map((bin) =>
        // Shuffled, so that any prefix of a bin has the bin's similarities. Donors recur as in
        // lookups: videos of frequent donors resemble each other, and that is a loss of the plan.
        drawOrder(createRandomSource(seed, `cases of ${kind}`), bin).slice(0, samples),
      );
  }

  async #measureBin(
    kind: MeasuredKind,
    cases: readonly KindCase[],
    meter: LossMeter,
  ): Promise<MeasuredBin> {
    const starts = startGrid(kind, this.#options);
    const full = await this.#maker.measure(cases.map((each) => each.full));
    const groups = cases.map(({ target }) => target);
    const similarity = Math.min(...cases.map(({ choice }) => choice.similarity));
    const cells = await race(
      { kind, similarity, full, groups, starts },
      {
        objective: this.#options.objective,
        meter,
        run: async (running, count) => {
          const jobs = running.flatMap((start) =>
            cases.slice(0, count).map((each) => this.#hitJob(kind, each, start)),
          );
          const outcomes = await this.#maker.measure(jobs);
          return running.map((_, index) => outcomes.slice(index * count, (index + 1) * count));
        },
      },
    );
    const donorsOfCases = cases.map(({ choice }) => choice.donors[0]!.donor.stored.outcome);
    return {
      cells: cells.map((cell) => ({
        ...cell,
        diversity: meanDistance(cell.outcomes, donorsOfCases),
      })),
      full,
      groups,
    };
  }

  #hitJob(kind: MeasuredKind, { of, full, choice }: HitCase, start: GridPoint): VideoJob {
    const donors = choice.donors.map(({ donor, part }) => ({ donor: donor.stored, part }));
    const names = donors.map(({ donor, part }) => `${part} ${donor.key}`).join(' + ');
    const { startTime, steps, solver, anchor } = start;
    // Same noise as the full generation that it is compared with.
    const plan = { startTime, steps, solver, anchor, seed: full.plan.seed };
    return {
      key: `${kind} ${nameOfStart(start)} beside ${full.key} from ${names}`,
      of,
      plan,
      donors: () => this.#latents.partsOf(donors, plan),
    };
  }

  /** Runs the chosen plans on held-out prompts in time order; each may reuse earlier ones. */
  async #heldOut(
    cases: readonly PromptCase[],
    content: CalibrationContent,
    meter: LossMeter,
  ): Promise<CalibrationContent['heldOut']> {
    const { full: fullPlan, objective } = this.#options;
    const { thresholds: all, sureThresholds = all } = content;
    const thresholds = { thresholds: all, sureThresholds };
    const calibration = new PackageCalibration(content);
    const fullJobsOfCases = this.#fullJobs('held-out', cases);
    const full = await this.#maker.measure(fullJobsOfCases);
    const donors = await this.#donors('held-out', cases);
    const hits: Record<string, number> = {};
    let evaluations = 0;
    const jobs = cases.map((of, index): VideoJob => {
      const finder = new DonorFinder(donors.slice(0, index), this.#attributes, thresholds);
      const ofCase = fullJobsOfCases[index]!;
      const plan = finder.plan(of, ofCase.plan.seed, fullPlan.steps, calibration);
      const kind = plan.anchor === 'place' ? 'placed' : plan.hit;
      hits[kind] = (hits[kind] ?? 0) + 1;
      evaluations += plan.steps;
      if (plan.hit === 'miss') return ofCase;
      const choice = { donors: finder.donorsOf(plan) };
      return this.#hitJob(kind as MeasuredKind, { of, full: ofCase, choice }, plan);
    });
    const outcomes = await this.#maker.measure(jobs);
    const measured = meter.compare(outcomes, full);
    return {
      samples: cases.length,
      loss: measured.loss,
      evaluations: evaluations / cases.length,
      equivalents: meanEquivalents(outcomes),
      isWithinObjective: meets(measured, objective),
      hits,
    };
  }
}

/** What every kind of hit is measured against. */
interface Basis {
  reference: readonly VideoOutcome[];
  meter: LossMeter;
  full: readonly VideoOutcome[];
  donors: readonly Donor[];
  thresholds: MeasuredThresholds;
  finder: DonorFinder;
}

/** First videos of the chains of reuse and their references. */
export interface Chains {
  cases: readonly PromptCase[];
  full: readonly VideoOutcome[];
  donors: readonly Donor[];
  chosen: readonly RacedCell[];
  /** Number of held-out requests by kind of hit. */
  hits: Readonly<Record<string, number>>;
  meter: LossMeter;
}

/** Donor parts that each kind of hit uses. */
const PARTS_OF_KIND: Readonly<Record<RacedKind, readonly LookupPart[]>> = {
  whole: ['whole'],
  near: ['whole'],
  'object+background': ['object', 'background'],
  object: ['object'],
  background: ['background'],
  placed: ['background'],
  full: [],
};

type PromptSetName = 'tuning' | 'held-out';

/** A request, its full generation, and the donors of a hit. */
interface HitCase {
  of: PromptCase;
  full: VideoJob;
  choice: Pick<DonorChoice, 'donors'>;
}

interface KindCase extends HitCase {
  /** Index of the prompt. */
  target: number;
  choice: DonorChoice;
}

function planOf({
  kind,
  similarity,
  start,
  samples,
  measured,
  equivalents,
}: RacedCell): CalibratedPlan {
  const { startTime, steps, solver, anchor } = start;
  return {
    kind: kind as MeasuredKind,
    similarity: floored(similarity),
    startTime,
    steps,
    solver,
    anchor,
    equivalents: isRegional(anchor) ? equivalents : steps,
    loss: measured.loss,
    samples,
  };
}

/**
 * Computes the mean distance between paired videos, in the judge's features or else the video
 * tower's.
 */
function meanDistance(videos: readonly VideoOutcome[], others: readonly VideoOutcome[]): number {
  return mean(
    videos.map((video, index) => {
      const other = others[index]!;
      return distanceOf(video.features ?? video.tower, other.features ?? other.tower);
    }),
  );
}

/**
 * Draws one of the plans that a donor allows: a video without an object provides no place for one.
 *
 * @returns null if it allows none
 */
export function drawPlan<Plan extends { kind: RacedKind }>(
  plans: readonly Plan[],
  donor: Pick<StoredDonor, 'vectors'>,
  random: RandomSource,
): Plan | null {
  const hasObject = donor.vectors.object !== null;
  const able = plans.filter(({ kind }) => hasObject || kind !== 'placed');
  return able.length === 0 ? null : able[random.nextBelow(able.length)]!;
}

function isAmong({ kind, similarity, start }: RacedCell, chosen: readonly RacedCell[]): boolean {
  return chosen.some(
    (each) =>
      each.kind === kind &&
      each.similarity === similarity &&
      nameOfStart(each.start) === nameOfStart(start),
  );
}

/** Computes the reference's quality; its Frechet distance to itself is meaningless. */
function referenceQuality(reference: readonly VideoOutcome[], full: Quality): Quality {
  const adherence = reference.flatMap((each) => each.adherence ?? []);
  const sum = (values: readonly number[]): number =>
    values.reduce((total, each) => total + each, 0);
  return {
    adherence: full.adherence === null ? null : sum(adherence) / adherence.length,
    similarity: sum(reference.map((each) => each.similarity)) / reference.length,
    frechet: 0,
  };
}

function floored(similarity: number): number {
  const scale = 10 ** SIMILARITY_DIGITS;
  return Math.floor(similarity * scale) / scale;
}

function mapValues(
  thresholds: SimilarityThresholds,
  change: (value: number) => number,
): SimilarityThresholds {
  const { whole, object, background } = thresholds;
  return { whole: change(whole), object: change(object), background: change(background) };
}
