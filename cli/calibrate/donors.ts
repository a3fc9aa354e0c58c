import {
  isAdmitted,
  startPoint,
  type CalibratedKind,
  type Calibration,
  type DonorThresholds,
} from '#core/planning/calibration.ts';
import { cosine } from '#core/cosine.ts';
import { LOOKUP_PARTS, type LookupPart, type Plan, type SolverName } from '#core/generation.ts';
import { CANDIDATES_PER_PART, makePlan, type Candidate } from '#core/planning/plan.ts';
import { promptForKeys } from '#core/requests/prompt.ts';
import { shownAttributes, type JudgedAttribute } from '#core/planning/shown-attributes.ts';
import {
  partScore,
  unheardWordsOf,
  verifyDonor,
  type DonorRecord,
} from '#core/planning/verify-donor.ts';
import type { MEASURED_KINDS } from '#core/planning/calibration-file.ts';
import type { StoredDonor } from './donor-latents.ts';
import type { PromptCase } from './prompt-sets.ts';

/** A kind of hit to measure. */
export type MeasuredKind = (typeof MEASURED_KINDS)[number];

/** A stored video as a table entry. */
export interface Donor {
  stored: StoredDonor;
  /** Prompt as in keys: donors with the same key have the same prompt. */
  key: string;
  record: DonorRecord;
  /** Number of reuses since a full generation. */
  reuseDepth: number;
}

/** A prompt's plan and donors, as the lookup finds them. */
export interface DonorChoice {
  donors: { donor: Donor; part: LookupPart }[];
  /** Similarity of the least similar donor. */
  similarity: number;
}

export function donorOf(
  stored: StoredDonor,
  attributes: readonly JudgedAttribute[],
  reuseDepth = 0,
): Donor {
  const { embedding, prompt } = stored.of;
  return {
    stored,
    key: promptForKeys(prompt),
    reuseDepth,
    record: {
      prompt,
      objectPhrase: embedding.objectPhrase,
      backgroundPhrase: embedding.backgroundPhrase,
      unheardWords: unheardWordsOf(embedding.reading),
      promptVectors: {
        object: embedding.vectors.object,
        background: embedding.vectors.background,
      },
      vectors: vectorsOf(stored),
      ...(stored.logits && { shown: shownAttributes(attributes, stored.logits) }),
    },
  };
}

/** Returns the vectors of the video and its parts, as in an entry. */
export function vectorsOf({ outcome, vectors }: StoredDonor): DonorRecord['vectors'] {
  return {
    whole: Array.from(outcome.tower),
    object: vectors.object && Array.from(vectors.object),
    background: vectors.background && Array.from(vectors.background),
  };
}

/** Finds donors among stored videos by the lookup's rules. */
export class DonorFinder {
  readonly #donors: readonly Donor[];
  readonly #attributes: readonly JudgedAttribute[];
  readonly #thresholds: DonorThresholds;
  readonly #found = new Map<PromptCase, Record<LookupPart | 'near', Candidate[]>>();

  constructor(
    donors: readonly Donor[],
    attributes: readonly JudgedAttribute[],
    thresholds: DonorThresholds,
  ) {
    this.#donors = donors;
    this.#attributes = attributes;
    this.#thresholds = thresholds;
  }

  /**
   * Returns the donor choices of a hit of that kind; each excludes the donors of earlier choices.
   * For kinds other than `whole` it excludes donors that show everything asked, because the planner
   * would prefer those.
   */
  choices(kind: MeasuredKind, of: PromptCase, seed: number, most: number): DonorChoice[] {
    const found = this.#search(of);
    const isWhole = new Set(found.whole.map(({ entryId }) => entryId));
    const lists =
      kind === 'whole'
        ? found
        : {
            whole: [],
            near: found.near,
            object: found.object.filter(({ entryId }) => !isWhole.has(entryId)),
            background: found.background.filter(({ entryId }) => !isWhole.has(entryId)),
          };
    const calibration = new OneKind(kind, this.#thresholds);
    const request = { seed, steps: 2, cache: 'auto', minSimilarity: 0, maxReuse: 1 } as const;
    const choices: DonorChoice[] = [];
    const used = new Set<string>();
    while (choices.length < most) {
      const candidates = Object.fromEntries(
        Object.entries(lists).map(([part, list]) => [
          part,
          list.filter(({ entryId }) => !used.has(entryId)),
        ]),
      ) as typeof lists;
      const plan = makePlan({ request, exactVideoId: null, candidates, calibration });
      if (plan.hit !== (kind === 'placed' ? 'background' : kind)) break;
      for (const { entryId } of plan.donors) used.add(entryId);
      choices.push(this.#choiceOf(plan));
    }
    return choices;
  }

  /** Returns the plan that a calibration makes for a request. */
  plan(of: PromptCase, seed: number, steps: number, calibration: Calibration): Plan {
    const request = { seed, steps, cache: 'auto', minSimilarity: 0, maxReuse: 1 } as const;
    return makePlan({ request, exactVideoId: null, candidates: this.#search(of), calibration });
  }

  /** Returns the donors of a plan with their latents. */
  donorsOf(plan: Plan): DonorChoice['donors'] {
    return this.#choiceOf(plan).donors;
  }

  #choiceOf({ donors }: Plan): DonorChoice {
    return {
      donors: donors.map(({ entryId, part }) => ({ donor: this.#donors[Number(entryId)]!, part })),
      similarity: Math.min(...donors.map(({ similarity }) => similarity)),
    };
  }

  #search(of: PromptCase): Record<LookupPart | 'near', Candidate[]> {
    let lists = this.#found.get(of);
    if (lists === undefined) {
      lists = this.#verified(of);
      this.#found.set(of, lists);
    }
    return lists;
  }

  #verified({ prompt, embedding }: PromptCase): Record<LookupPart | 'near', Candidate[]> {
    const key = promptForKeys(prompt);
    const question = {
      prompt,
      embedding,
      calibration: new OneKind('whole', this.#thresholds),
      judged: this.#attributes,
    };
    const lists: Record<LookupPart | 'near', Candidate[]> = {
      whole: [],
      object: [],
      background: [],
      near: [],
    };
    for (const part of LOOKUP_PARTS) {
      const asked = embedding.vectors[part];
      if (asked === null) continue;
      const nearest = this.#donors
        .flatMap((donor, index) => {
          const shown = donor.record.vectors[part];
          const isSame = donor.key === key;
          return shown === null ? [] : [{ donor, index, isSame, similarity: cosine(asked, shown) }];
        })
        .sort((one, other) => other.similarity - one.similarity);
      // The lookup also queries the table for entries of the same prompt.
      const proposed = nearest.filter(
        ({ isSame }, rank) => rank < CANDIDATES_PER_PART || (part === 'whole' && isSame),
      );
      for (const { donor, index, isSame, similarity } of proposed) {
        const { shows, doubts, isSure, isPlaced } = verifyDonor(
          part,
          question,
          donor.record,
          isSame,
        );
        if (shows === 'other') continue;
        lists[shows === 'near' ? 'near' : part].push({
          entryId: String(index),
          similarity,
          latentKey: donor.stored.key,
          reuseDepth: donor.reuseDepth,
          steps: Infinity,
          leastSimilarity: 1,
          doubts,
          isSure,
          isPlaced,
          score: partScore(part, embedding, donor.record) ?? similarity,
        });
      }
    }
    return lists;
  }
}

/** Admits donors by thresholds and has a start for only one kind of hit. */
class OneKind implements Calibration {
  readonly fullSolver: SolverName = 'euler';
  readonly maxReuseDepth = Infinity;
  readonly #kind: MeasuredKind;
  readonly #thresholds: DonorThresholds;

  constructor(kind: MeasuredKind, thresholds: DonorThresholds) {
    this.#kind = kind;
    this.#thresholds = thresholds;
  }

  admits(part: LookupPart, similarity: number, isSure?: boolean): boolean {
    return isAdmitted(this.#thresholds, part, similarity, isSure);
  }

  decide(kind: CalibratedKind): ReturnType<Calibration['decide']> {
    return kind === this.#kind ? startPoint(0.5, 1) : null;
  }
}
