import { askedValues } from '#cli/calibrate/asked-values.ts';
import { shownBy } from '#cli/simulate/prompt-adherence.ts';
import type { Entry, LookupPart, Plan, PromptEmbedding } from '#core/generation.ts';
import { createRandomSource } from '#core/random.ts';
import type { JudgedAttribute, ShownAttributes } from '#core/planning/shown-attributes.ts';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import type { Shown } from '#simulation/types.ts';
import type { ModelManifest } from '#models/manifest.ts';
import { latentShape } from '#models/onnx-video-model.ts';
import type { LatentNetworks } from './networks.ts';
import type { PromptEmbeddings } from './prompts.ts';
import type { BenchRequest } from './requests.ts';
import { turnsOf } from './turns.ts';
import type { Decision, FullGeneration, MadeVideo, System } from './system.ts';

/** What a captions' author means by leaving it out; other attributes may be anything. */
const UNSAID: Readonly<Record<string, string>> = { size: 'medium', camera: 'static' };

/** A donor of a video that is only planned. */
export interface PlannedDonor {
  part: LookupPart;
  entry: Entry;
}

/**
 * Stands in for videos that are not made. As `flexcache simulate` takes it, a prompt is as near to a video as it is to
 * the video's own prompt, times how near that is: drawn from 60 videos that were measured. A video shows what
 * was asked for; what was not said is its donor's or, without one, drawn.
 */
export class PlannedVideos implements Pick<LatentNetworks, 'segment' | 'embed'> {
  readonly #attributes: readonly JudgedAttribute[];
  readonly #shape: readonly number[];
  readonly #zero: Float32Array;
  readonly #embeddings: PromptEmbeddings;
  readonly #promptOf = new WeakMap<Tensor, string>();
  readonly #shownOf: (prompt: string) => Shown;

  constructor(manifest: ModelManifest, embeddings: PromptEmbeddings) {
    this.#attributes = manifest.judge?.attributes ?? [];
    this.#shape = latentShape(manifest);
    this.#zero = new Float32Array(elementCount(this.#shape));
    // A model whose videos nobody measured is taken to show all: hits are overstated then.
    this.#shownOf = shownBy(manifest) ?? (() => ({ whole: 1, object: 1, background: 1 }));
    this.#embeddings = embeddings;
  }

  /** A latent of zeros that stands for the video of a prompt. */
  latent({ prompt }: BenchRequest): Tensor {
    const latent = { data: this.#zero, shape: this.#shape };
    this.#promptOf.set(latent, prompt);
    return latent;
  }

  async embed(latents: readonly Tensor[]): Promise<Float32Array[]> {
    return latents.map((latent) => {
      const prompt = this.#promptOf.get(latent)!;
      return Float32Array.from(this.vectors(prompt, this.#embeddings.get(prompt)!).whole);
    });
  }

  /** An object in the middle. */
  async segment(latents: readonly Tensor[]): Promise<Tensor[]> {
    const [, frames, height, width] = this.#shape as [number, number, number, number];
    const data = new Float32Array(frames * height * width);
    for (let index = 0; index < data.length; index++) {
      const [y, x] = [Math.floor(index / width) % height, index % width];
      const isInside = Math.abs(y - height / 2) < height / 6 && Math.abs(x - width / 2) < width / 6;
      if (isInside) data[index] = 1;
    }
    return latents.map(() => ({ data, shape: [frames, height, width] }));
  }

  vectors(prompt: string, { vectors }: PromptEmbedding): Entry['vectors'] {
    const shown = this.#shownOf(prompt);
    const scaled = (part: LookupPart): number[] | null =>
      vectors[part]?.map((value) => value * shown[part]) ?? null;
    return { whole: scaled('whole')!, object: scaled('object'), background: scaled('background') };
  }

  shown({ prompt, index }: BenchRequest, donors: readonly PlannedDonor[]): ShownAttributes {
    const random = createRandomSource(index, 'shown');
    const shown: Record<string, string> = {};
    const asked = askedValues(this.#attributes, prompt);
    for (const [place, { name, part, values }] of this.#attributes.entries()) {
      const drawn = values[random.nextBelow(values.length)]!;
      const wanted = asked[place]!;
      const donor = donors.find((each) => each.part === 'whole' || each.part === part);
      shown[name] =
        wanted === null ? (donor?.entry.shown?.[name] ?? UNSAID[name] ?? drawn) : values[wanted]!;
    }
    return shown;
  }
}

/** What became of a request that was only planned. */
export interface PlannedOutcome {
  request: BenchRequest;
  hit: Decision['hit'];
  evaluations: number;
  equivalents: number;
}

/** `replay` without denoising: what systems decide, in the same turns. */
export async function replayPlans(
  system: System,
  requests: readonly BenchRequest[],
  options: {
    videos: PlannedVideos;
    embeddings: PromptEmbeddings;
    full: FullGeneration;
    batch: number;
  },
): Promise<PlannedOutcome[]> {
  const { videos, embeddings, batch } = options;
  const outcomes: PlannedOutcome[] = [];
  for (const turn of turnsOf(requests, batch)) {
    const made: MadeVideo[] = [];
    for (const request of turn) {
      if (request.isExact) {
        outcomes[request.index] = { request, hit: 'exact', evaluations: 0, equivalents: 0 };
        continue;
      }
      const decision = await system.decide(request, embeddings.get(request.prompt)!);
      const { plan } = decision.work;
      const { equivalents = plan.steps } = plan as Partial<Plan>;
      const latent = videos.latent(request);
      const states = new Map(system.recordedSteps(decision).map((step) => [step, latent]));
      outcomes[request.index] = {
        request,
        hit: decision.hit,
        evaluations: plan.steps,
        equivalents,
      };
      made.push({
        request,
        decision,
        latent,
        // Those before a hit's start are the donor's.
        states: new Map([...states].filter(([step]) => step > options.full.steps - plan.steps)),
        evaluations: plan.steps,
        equivalents,
        judged: { values: [], shown: {}, probabilities: NONE, features: NONE },
      });
    }
    await system.store(made);
  }
  return outcomes;
}

const NONE = new Float32Array(0);
