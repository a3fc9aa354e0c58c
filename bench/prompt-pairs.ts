/** Pairs of prompts, of which the second is asked while the first is stored; `prompt-agreement.ts` tries them. */

export type PromptPair = readonly [stored: string, asked: string];

/** The same or nearly the same words, and another video. */
export const OTHER_MEANING: readonly PromptPair[] = [
  [
    'a red square bouncing over a green meadow at noon',
    'a green square bouncing over a red meadow at noon',
  ],
  [
    'a small blue ball rising over the ocean at dawn',
    'not a small blue ball rising over the ocean at dawn',
  ],
  ['a red ball bouncing in the desert', 'three red balls bouncing in the desert'],
  [
    'a large white star spinning over the ocean at night',
    'a large white star spinning without the ocean at night',
  ],
  ['a pink heart moving left in a forest', 'a pink heart moving right in a forest'],
  [
    'a purple ring gliding from left to right over a city skyline',
    'a purple ring gliding from right to left over a city skyline',
  ],
  ['a small yellow star near a large blue ball', 'a large yellow star near a small blue ball'],
  ['a red ball above a blue square', 'a blue square above a red ball'],
  ['a cyan cube growing larger in the snow', 'a cyan cube getting smaller in the snow'],
  ['an orange ball over the sea at sunrise', 'an orange ball over the sea at sunset'],
  ['a red ball in front of a brick wall', 'a red ball behind a brick wall'],
  ['a green triangle falling in a forest', 'a green triangle falling, no forest'],
  ['a black ring circling in the desert', 'a black ring circling in the tundra'],
  ['a blue diamond and a red heart over a meadow', 'a red diamond and a blue heart over a meadow'],
  ['a white cross, static camera, over a beach', 'a white cross, panning camera, over a beach'],
  [
    'a ball that is red but not blue, in outer space',
    'a ball that is blue but not red, in outer space',
  ],
];

/** Other words for the same video. */
export const SAME_MEANING: readonly PromptPair[] = [
  [
    'a red ball bouncing over a green meadow at noon',
    'a crimson sphere hopping in a grassy meadow at noon',
  ],
  [
    'a small blue star rising over the ocean at dawn',
    'at sunrise, a tiny blue star rising over the sea',
  ],
  [
    'a large purple ring spinning in place in outer space',
    'a huge violet hoop twirling among the stars in space',
  ],
  [
    'a green triangle falling in a forest at dusk',
    'a green pyramid sinking in the woods at sunset',
  ],
  [
    'a yellow diamond growing larger on a beach by day',
    'a golden gem expanding at the beach on a sunny day',
  ],
  [
    'a white square drifting to the right over a city skyline at night',
    'a white box sliding right in the city at midnight',
  ],
  ['a cyan heart shrinking in the snow', 'a turquoise heart getting smaller in a snowy landscape'],
  [
    'a black cross moving left in the desert in the evening',
    'a black plus sign drifting to the left over desert dunes at dusk',
  ],
  [
    'a pink ball circling in front of a brick wall',
    'a rosy orb orbiting in circles against a brick wall',
  ],
  [
    'an orange star zigzagging over a checkerboard at noon',
    'a tangerine star weaving up and down against a checkered pattern in bright daylight',
  ],
  [
    'a tiny red cube floating upward near a volcano at night',
    'a little scarlet block climbing up in front of an erupting volcano under the dark sky',
  ],
  [
    'a blue ring jumping over autumn fields, camera panning',
    'a video of a navy donut bouncing up and down in an autumn landscape, panning shot',
  ],
];
