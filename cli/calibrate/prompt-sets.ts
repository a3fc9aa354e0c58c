import { InvalidInputError } from '#core/errors.ts';
import type { PromptEmbedding } from '#core/generation.ts';
import { promptForKeys } from '#core/requests/prompt.ts';
import type { JudgedAttribute } from '#core/planning/shown-attributes.ts';
import { generateTrace } from '#simulation/traces/generate-trace.ts';
import { SYNTHETIC_DEFAULTS } from '#simulation/traces/synthetic-parameters.ts';
import { openRequests } from '../open-requests.ts';
import { isDemoWorld, type AskedValues } from './asked-values.ts';

/** A prompt to measure videos on. */
export interface PromptCase {
  prompt: string;
  asked: AskedValues;
  embedding: PromptEmbedding;
}

/** Prompts to choose plans on, and held-out prompts to check them on. */
export interface PromptSets {
  tuning: string[];
  heldOut: string[];
}

/** With fewer prompts most have no donor, and intervals are meaningless. */
const MIN_PROMPTS = 4;

/** Oversampling factor of held-out requests, because some repeat a prompt. */
const SPARE = 2;

/**
 * Returns the prompts to measure on, in the order of user requests: donors are found among
 * neighbors. The first half of a file chooses plans, the second half checks them. Without a file,
 * prompts come from simulated users of the demo world, if the package's judge knows that world.
 *
 * @param samples maximum prompts per set
 * @throws InvalidInputError if the file has no readable or too few prompts, or the package needs
 * one
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
      'the package is not of the demo world, so --prompts is required',
      'give typical prompts of its users, one per line, with --prompts FILE',
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
  if (half < MIN_PROMPTS) {
    throw new InvalidInputError(
      'prompts',
      `${file} has ${prompts.length} prompts`,
      `give at least ${2 * MIN_PROMPTS}; several hundred are better`,
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
