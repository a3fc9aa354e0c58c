import { InvalidInputError } from '#core/errors.ts';
import type { PromptEmbedding } from '#core/generation.ts';
import { promptForKeys } from '#core/requests/prompt.ts';
import type { JudgedAttribute } from '#core/planning/shown-attributes.ts';
import { generateTrace } from '#simulation/traces/generate-trace.ts';
import { SYNTHETIC_DEFAULTS } from '#simulation/traces/synthetic-parameters.ts';
import { openRequests } from '../open-requests.ts';
import { isDemoWorld, type AskedValues } from './asked-values.ts';

/** A prompt that videos are measured on. */
export interface PromptCase {
  prompt: string;
  asked: AskedValues;
  embedding: PromptEmbedding;
}

/** Prompts that plans are chosen on, and others that the choice is checked on. */
export interface PromptSets {
  tuning: string[];
  heldOut: string[];
}

/** With fewer no donor is found for most prompts, and no interval says anything. */
const FEWEST_PROMPTS = 4;

/** How many more requests are drawn for the held-out prompts than are needed: some ask for the same. */
const SPARE = 2;

/**
 * The prompts to measure on, in the order in which users would ask for them: donors are found among
 * neighbours. Of a file its first half chooses and its second half checks. Without a file they are the
 * requests of made-up users of the demo world, for a package whose judge knows that world.
 *
 * @param samples most prompts of each set
 * @throws InvalidInputError when the file has no readable or too few prompts, or the package needs one.
 */
export async function promptSets(
  file: string | null,
  attributes: readonly JudgedAttribute[],
  { samples, seed }: { samples: number; seed: number },
): Promise<PromptSets> {
  if (file !== null) return halvesOf(file, await readPrompts(file), samples);
  if (!isDemoWorld(attributes)) {
    throw new InvalidInputError(
      'prompts',
      'the package is not of the demo world: there are no prompts to measure it on',
      'give prompts that its users would ask for, one a line, with --prompts FILE',
    );
  }
  const draw = (count: number, ofSeed: number): string[] =>
    generateTrace({ ...SYNTHETIC_DEFAULTS, requests: count, seed: ofSeed }).map(
      ({ prompt }) => prompt,
    );
  const tuning = draw(samples, seed);
  const known = new Set(tuning.map(promptForKeys));
  const heldOut = draw(samples * SPARE, (seed + 1) % 2 ** 32)
    .filter((prompt) => !known.has(promptForKeys(prompt)))
    .slice(0, samples);
  return { tuning, heldOut };
}

function halvesOf(file: string, prompts: readonly string[], samples: number): PromptSets {
  const half = Math.floor(prompts.length / 2);
  if (half < FEWEST_PROMPTS) {
    throw new InvalidInputError(
      'prompts',
      `${file} has ${prompts.length} prompts`,
      `give at least ${2 * FEWEST_PROMPTS}; several hundred say more`,
    );
  }
  return {
    tuning: prompts.slice(0, Math.min(half, samples)),
    heldOut: prompts.slice(half, half + samples),
  };
}

async function readPrompts(file: string): Promise<string[]> {
  const prompts: string[] = [];
  for await (const read of (await openRequests(file)).lines()) {
    if ('error' in read) throw read.error;
    prompts.push(read.request.prompt);
  }
  return prompts;
}
