import { composeDonors, dilate, fillDilatedHoles, objectPart } from '#core/latents/compose.ts';
import type { HitKind, PromptEmbedding } from '#core/generation.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { renoise } from '#core/latents/schedule.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { BYTES_PER_HALF, fromHalf, toHalf, type HalfTensor } from '../half-floats.ts';
import { HoldingsCounter } from '../holdings-counter.ts';
import { skippedSteps, type Ladder } from '../ladder.ts';
import { NearestSearch, type Nearest } from '../nearest.ts';
import type { LatentNetworks } from '../networks.ts';
import type { BenchRequest } from '../requests.ts';
import {
  fullWork,
  type Decision,
  type FullGeneration,
  type Holdings,
  type MadeVideo,
  type System,
} from '../system.ts';
import { resumedWork } from './noisy-states.ts';

/** A finished request: its noisy states, and the clean latent by parts. */
export interface PartEntry {
  states: Map<number, HalfTensor>;
  clean: HalfTensor;
  dilatedMask: Tensor;
}

/** By how many donors a request has. */
export interface PartLadders {
  /** Both parts, by the smaller similarity; one entry or two. */
  both: Ladder;
  object: Ladder;
  background: Ladder;
}

export interface PartsOfStatesOptions {
  full: FullGeneration;
  ladders: PartLadders;
  stored: readonly number[];
  networks: Pick<LatentNetworks, 'segment'>;
}

/** What FlexCache's abstract (arXiv 2501.04012) says that its compression saves on average. */
const COMPRESSION = 6.7;

/**
 * After FlexCache's abstract, whose algorithm was not published: NIRVANA's noisy states, 6.7 times smaller at no loss,
 * and objects and backgrounds looked up apart by what prompts say of them. The states of two donors are put together
 * along the mask of the object; of one part alone the other is noise.
 */
export class PartsOfStatesCache implements System {
  readonly #options: PartsOfStatesOptions;
  readonly #objects = new NearestSearch<PartEntry>();
  readonly #backgrounds = new NearestSearch<PartEntry>();
  readonly #counter = new HoldingsCounter();

  constructor(options: PartsOfStatesOptions) {
    this.#options = options;
  }

  async decide(request: BenchRequest, { vectors }: PromptEmbedding): Promise<Decision> {
    const { full, ladders } = this.#options;
    const object = vectors.object && this.#objects.find(vectors.object);
    const background = vectors.background && this.#backgrounds.find(vectors.background);
    const options: { hit: HitKind; skipped: number; parts: StateParts }[] = [];
    if (object && background) {
      const skipped = skippedSteps(
        ladders.both,
        Math.min(object.similarity, background.similarity),
      );
      options.push({
        hit: object.item === background.item ? 'whole' : 'object+background',
        skipped,
        parts: { object: object.item, background: background.item },
      });
    }
    const alone = (
      hit: 'object' | 'background',
      found: Nearest<PartEntry> | null,
      parts: (item: PartEntry) => StateParts,
    ): void => {
      if (found === null) return;
      const skipped = skippedSteps(ladders[hit], found.similarity);
      options.push({ hit, skipped, parts: parts(found.item) });
    };
    alone('background', background, (item) => ({ object: null, background: item }));
    alone('object', object, (item) => ({ object: item, background: null }));
    const note = { vectors };
    const [best] = options
      .filter(({ skipped }) => skipped > 0)
      .sort((one, other) => other.skipped - one.skipped);
    if (best === undefined) return { hit: 'miss', work: fullWork(request, full), note };
    const donors = new Set(Object.values(best.parts).filter((part) => part !== null));
    for (const { clean } of donors) this.#counter.read(clean.data.byteLength / COMPRESSION);
    const noisy = composeStates(best.parts, best.skipped, full.steps, request.seed);
    return { hit: best.hit, work: resumedWork(request, full, best.skipped, noisy), note };
  }

  recordedSteps(): readonly number[] {
    return this.#options.stored;
  }

  async store(videos: readonly MadeVideo[]): Promise<void> {
    if (videos.length === 0) return;
    const masks = await this.#options.networks.segment(videos.map(({ latent }) => latent));
    for (const [index, { decision, latent, states }] of videos.entries()) {
      const { vectors } = decision.note as Pick<PromptEmbedding, 'vectors'>;
      const entry = partEntry(latent, masks[index]!, states);
      // Of a hit too: states before its start are the clean latent with noise.
      const stored = this.#options.stored.length * latent.data.length * BYTES_PER_HALF;
      this.#counter.store(stored / COMPRESSION);
      if (vectors.object !== null) this.#objects.add(vectors.object, entry);
      if (vectors.background !== null) this.#backgrounds.add(vectors.background, entry);
    }
  }

  holdings(): Holdings {
    return this.#counter.holdings;
  }
}

export interface StateParts {
  object: PartEntry | null;
  background: PartEntry | null;
}

export function partEntry(
  latent: Tensor,
  mask: Tensor,
  states: ReadonlyMap<number, Tensor>,
): PartEntry {
  return {
    states: new Map([...states].map(([step, state]) => [step, toHalf(state)])),
    clean: toHalf(latent),
    dilatedMask: dilate(mask),
  };
}

/**
 * The noisy latent of one step from the parts of one or two entries.
 *
 * @param steps of a full generation: after `step` of them the time is 1 - step / steps
 */
export function composeStates(
  { object, background }: StateParts,
  step: number,
  steps: number,
  seed: number,
): Tensor {
  const time = 1 - step / steps;
  if (object !== null && object === background) return stateOf(object, step, time, seed);
  const shape = (object ?? background)!.clean.shape;
  const noise = standardNormalNoise(shape, seed, 'start');
  if (object === null) {
    const filled = fillDilatedHoles(fromHalf(background!.clean), background!.dilatedMask);
    const holes = renoise(filled, time, noise);
    return inside(background!.dilatedMask, holes, stateOf(background!, step, time, seed));
  }
  if (background === null) {
    const alone = composeDonors(
      {
        object: objectPart(fromHalf(object.clean), object.dilatedMask),
        dilatedMask: object.dilatedMask,
      },
      null,
    );
    const around = renoise(alone, time, noise);
    return inside(object.dilatedMask, stateOf(object, step, time, seed), around);
  }
  const filled = renoise(
    fillDilatedHoles(fromHalf(background.clean), background.dilatedMask),
    time,
    noise,
  );
  const behind = inside(background.dilatedMask, filled, stateOf(background, step, time, seed));
  return inside(object.dilatedMask, stateOf(object, step, time, seed), behind);
}

/** The stored state; one that a hit did not go through is the clean latent with noise. */
function stateOf({ states, clean }: PartEntry, step: number, time: number, seed: number): Tensor {
  const stored = states.get(step);
  if (stored !== undefined) return fromHalf(stored);
  return renoise(fromHalf(clean), time, standardNormalNoise(clean.shape, seed, 'start'));
}

/** `chosen` where the mask is set, `otherwise` elsewhere. */
function inside(mask: Tensor, chosen: Tensor, otherwise: Tensor): Tensor {
  const positions = mask.data.length;
  const data = otherwise.data.slice();
  for (let index = 0; index < data.length; index++) {
    if (mask.data[index % positions]! > 0) data[index] = chosen.data[index]!;
  }
  return { data, shape: otherwise.shape };
}
