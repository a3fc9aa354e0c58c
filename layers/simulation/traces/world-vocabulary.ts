/**
 * Vocabulary of the demo world, on which `containers/demo-model/demo_model/captions.py` trains the
 * package's text tower.
 */

/** Slots of a prompt of the demo world, one value each. */
export const WORLD_SLOTS = [
  'opening',
  'shape',
  'color',
  'size',
  'motion',
  'scene',
  'light',
  'camera',
] as const;

export type WorldSlot = (typeof WORLD_SLOTS)[number];

/** Phrases for each value of each slot; values are in the world's own order. */
export const WORLD_PHRASES: Readonly<Record<WorldSlot, readonly (readonly string[])[]>> = {
  opening: [['video of', 'a video of', 'a clip of']],
  shape: [
    ['ball', 'sphere', 'orb'],
    ['square', 'box', 'block', 'cube'],
    ['triangle', 'pyramid'],
    ['star'],
    ['ring', 'hoop', 'donut'],
    ['heart'],
    ['diamond', 'gem', 'rhombus'],
    ['cross', 'plus sign'],
  ],
  color: [
    ['red', 'crimson', 'scarlet'],
    ['orange', 'tangerine'],
    ['yellow', 'golden'],
    ['green', 'emerald'],
    ['blue', 'navy'],
    ['purple', 'violet'],
    ['pink', 'rosy'],
    ['white', 'ivory'],
    ['black', 'jet black'],
    ['cyan', 'turquoise', 'teal'],
  ],
  size: [['small', 'tiny', 'little'], ['medium'], ['large', 'big', 'huge']],
  motion: [
    ['drifting to the right', 'moving right', 'gliding from left to right', 'sliding right'],
    ['drifting to the left', 'moving left', 'gliding from right to left', 'sliding left'],
    ['rising', 'floating upward', 'climbing up', 'flying up'],
    ['falling', 'dropping down', 'sinking', 'falling down'],
    ['bouncing', 'bouncing up and down', 'hopping', 'jumping'],
    ['circling', 'orbiting in circles', 'going around in a circle'],
    ['spinning in place', 'rotating in place', 'twirling', 'spinning'],
    ['growing larger', 'expanding', 'getting bigger', 'growing'],
    ['shrinking', 'getting smaller', 'contracting'],
    ['zigzagging', 'moving in a zigzag', 'weaving up and down'],
  ],
  scene: [
    ['over a green meadow', 'in a grassy meadow', 'above rolling grass hills', 'over a meadow'],
    ['over desert dunes', 'in a sandy desert', 'above the dunes', 'in the desert'],
    ['over the ocean', 'above ocean waves', 'at sea', 'over the sea'],
    ['over a snowfield', 'in a snowy landscape', 'above snowy hills', 'in the snow'],
    ['over a city skyline', 'in the city', 'in front of tall buildings', 'above a city'],
    ['in a forest', 'among the trees', 'between tall trees', 'in the woods'],
    ['in front of a brick wall', 'against a brick wall'],
    ['on a checkerboard', 'against a checkered pattern', 'over a checkerboard'],
    ['near a volcano', 'in front of an erupting volcano', 'over a volcano'],
    ['on a beach', 'at the seaside beach', 'above a sandy beach', 'at the beach'],
    ['in outer space', 'among the stars in space', 'in space'],
    ['over autumn fields', 'in an autumn landscape', 'in autumn'],
  ],
  light: [
    ['at dawn', 'at sunrise', 'in early morning', 'in the morning'],
    ['at noon', 'in bright daylight', 'on a sunny day', 'by day'],
    ['at dusk', 'at sunset', 'in the evening'],
    ['at night', 'at midnight', 'under the dark sky'],
  ],
  camera: [
    ['static camera'],
    ['camera panning', 'panning shot', 'the camera pans slowly', 'with a panning camera'],
  ],
};

/** Order of the parts of a prompt; the training captions use the same orders. */
export const WORLD_ORDERS = ['object first', 'scene first', 'light first'] as const;

export type WorldOrder = (typeof WORLD_ORDERS)[number];

/** A prompt of the demo world by its phrases; omitted slots are absent. */
export interface WorldPrompt {
  order: WorldOrder;
  phrases: Partial<Record<WorldSlot, string>>;
}

const OPTIONAL_SLOTS: readonly WorldSlot[] = ['size', 'motion', 'light', 'camera'];

/**
 * Returns the slots that a prompt may omit. The world's opening words occur only before the object.
 */
export function optionalSlots(order: WorldOrder): readonly WorldSlot[] {
  return order === 'object first' ? ['opening', ...OPTIONAL_SLOTS] : OPTIONAL_SLOTS;
}

/** Formats a prompt as English, such as `a small red ball rising over the ocean at dawn`. */
export function textOf({ order, phrases }: WorldPrompt): string {
  const { opening, shape, color, size, motion, scene, light, camera } = phrases;
  const noun = joined(size, color, shape);
  const object = joined(opening, /^[aeiou]/.test(noun) ? 'an' : 'a', noun, motion);
  const tail = camera === undefined ? '' : `, ${camera}`;
  switch (order) {
    case 'object first':
      return `${joined(object, scene, light)}${tail}`;
    case 'scene first':
      return `${joined(scene, light)}, ${object}${tail}`;
    case 'light first':
      return light === undefined
        ? `${joined(object, scene)}${tail}`
        : `${light}, ${joined(object, scene)}${tail}`;
  }
}

function joined(...phrases: (string | undefined)[]): string {
  return phrases.filter((phrase) => phrase !== undefined && phrase !== '').join(' ');
}
