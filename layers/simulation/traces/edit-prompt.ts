import type { RandomSource } from '#core/random.ts';
import { drawBoolean, drawOne, drawOrder, drawUniform } from './draw.ts';
import type { SyntheticParameters } from './synthetic-parameters.ts';
import {
  optionalSlots,
  WORLD_ORDERS,
  WORLD_PHRASES,
  WORLD_SLOTS,
  type WorldPrompt,
  type WorldSlot,
} from './world-vocabulary.ts';

/** How a prompt differs from the previous one. */
export type Edit = 'same' | 'add' | 'remove' | 'swap';

export const EDITS: readonly Edit[] = ['same', 'add', 'remove', 'swap'];

/** Topic of a session: the values that most affect how its video looks. */
export interface Topic {
  shape: number;
  color: number;
  scene: number;
}

/** Returns every topic of the world, in its order. */
export function allTopics(): Topic[] {
  const topics: Topic[] = [];
  for (const shape of WORLD_PHRASES.shape.keys()) {
    for (const color of WORLD_PHRASES.color.keys()) {
      for (const scene of WORLD_PHRASES.scene.keys()) topics.push({ shape, color, scene });
    }
  }
  return topics;
}

/** Draws a prompt about a topic. */
export function openingPrompt(
  random: RandomSource,
  topic: Topic,
  detailShare: number,
): WorldPrompt {
  const prompt: WorldPrompt = { order: drawOne(random, WORLD_ORDERS), phrases: {} };
  for (const slot of WORLD_SLOTS) {
    if (slot in topic) {
      const value = topic[slot as keyof Topic];
      prompt.phrases[slot] = drawOne(random, WORLD_PHRASES[slot][value]!);
    } else if (optionalSlots(prompt.order).includes(slot) && drawBoolean(random, detailShare)) {
      prompt.phrases[slot] = drawPhrase(random, slot);
    }
  }
  return prompt;
}

/** Draws the next edit; an edit that is impossible for the prompt becomes a swap. */
export function drawEdit(
  random: RandomSource,
  { order, phrases }: WorldPrompt,
  edits: SyntheticParameters['edits'],
): Edit {
  let draw = drawUniform(random);
  const edit = EDITS.find((kind) => (draw -= edits[kind]) < 0) ?? 'swap';
  const optional = optionalSlots(order);
  const said = optional.filter((slot) => phrases[slot] !== undefined).length;
  if (edit === 'add' && said === optional.length) return 'swap';
  if (edit === 'remove' && said === 0) return 'swap';
  return edit;
}

/** Applies a possible edit to the prompt. */
export function editPrompt(
  random: RandomSource,
  prompt: WorldPrompt,
  edit: Edit,
  doubleSwapShare: number,
): WorldPrompt {
  const phrases = { ...prompt.phrases };
  const optional = optionalSlots(prompt.order);
  const isSaid = (slot: WorldSlot): boolean => phrases[slot] !== undefined;
  switch (edit) {
    case 'same':
      return prompt;
    case 'add': {
      const slot = drawOne(
        random,
        optional.filter((slot) => !isSaid(slot)),
      );
      phrases[slot] = drawPhrase(random, slot);
      break;
    }
    case 'remove':
      delete phrases[drawOne(random, optional.filter(isSaid))];
      break;
    case 'swap': {
      const count = drawBoolean(random, doubleSwapShare) ? 2 : 1;
      const slots = WORLD_SLOTS.filter((slot) => isSaid(slot) && WORLD_PHRASES[slot].length > 1);
      for (const slot of drawOrder(random, slots).slice(0, count)) {
        phrases[slot] = drawPhrase(random, slot, phrases[slot]!);
      }
    }
  }
  return { ...prompt, phrases };
}

/** Draws a phrase of the slot with another value than that of `notLike`. */
function drawPhrase(random: RandomSource, slot: WorldSlot, notLike?: string): string {
  const values = WORLD_PHRASES[slot].filter(
    (phrases) => notLike === undefined || !phrases.includes(notLike),
  );
  return drawOne(random, drawOne(random, values));
}
