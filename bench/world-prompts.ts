type Words = readonly [value: string, phrase: string];

interface ObjectWords {
  shape: Words;
  color: Words;
  size: Words;
  motion: Words;
}

interface BackgroundWords {
  scene: Words;
  light: Words;
  camera: Words;
}

const OBJECTS: readonly ObjectWords[] = [
  object(['square', 'square'], ['red', 'red'], ['large', 'large'], ['right', 'moving right']),
  object(['ball', 'ball'], ['blue', 'blue'], ['small', 'small'], ['rise', 'rising']),
  object(['star', 'star'], ['yellow', 'yellow'], ['medium', 'medium'], ['spin', 'spinning']),
  object(['triangle', 'pyramid'], ['green', 'green'], ['large', 'big'], ['bounce', 'bouncing']),
  object(['ring', 'ring'], ['purple', 'purple'], ['medium', 'medium'], ['circle', 'circling']),
  object(['heart', 'heart'], ['orange', 'orange'], ['small', 'tiny'], ['grow', 'growing larger']),
  object(['diamond', 'gem'], ['cyan', 'cyan'], ['large', 'huge'], ['zigzag', 'zigzagging']),
  object(['cross', 'cross'], ['white', 'white'], ['medium', 'medium'], ['fall', 'falling']),
  object(['ring', 'donut'], ['pink', 'pink'], ['large', 'large'], ['left', 'moving left']),
];

const BACKGROUNDS: readonly BackgroundWords[] = [
  background(['meadow', 'over a green meadow'], ['noon', 'at noon']),
  background(['ocean', 'over the ocean'], ['dawn', 'at dawn']),
  background(['space', 'in outer space'], ['night', 'at night']),
  background(['desert', 'over desert dunes'], ['dusk', 'at sunset']),
  background(['snowfield', 'over a snowfield'], ['noon', 'at noon']),
  background(['brick', 'in front of a brick wall'], ['dusk', 'at dusk']),
  background(['city', 'over a city skyline'], ['night', 'at night']),
  background(['forest', 'in a forest'], ['dawn', 'at sunrise']),
  background(['beach', 'on a beach'], ['noon', 'in bright daylight']),
];

/** A prompt of the demo world and the attributes that its video must show. */
export interface Target {
  prompt: string;
  truth: Readonly<Record<string, string>>;
}

/** Nine objects, each on its own background. */
export function donorTargets(): Target[] {
  return OBJECTS.map((words, index) => target(words, BACKGROUNDS[index]!));
}

/** Every object on every background but its own: at most 72 prompts. */
export function crossedTargets(count: number): Target[] {
  const targets: Target[] = [];
  for (let shift = 1; shift < BACKGROUNDS.length; shift++) {
    for (const [index, words] of OBJECTS.entries()) {
      targets.push(target(words, BACKGROUNDS[(index + shift) % BACKGROUNDS.length]!));
    }
  }
  return targets.slice(0, count);
}

/**
 * For every object on every background but its own, in the order of `crossedTargets`: another shape in another
 * colour, of the same size and motion, on the same background.
 */
export function placedTargets(count: number): Target[] {
  const targets: Target[] = [];
  for (let shift = 1; shift < BACKGROUNDS.length; shift++) {
    for (const [index, { size, motion }] of OBJECTS.entries()) {
      const { shape, color } = OBJECTS[(index + 4) % OBJECTS.length]!;
      const words = { shape, color, size, motion };
      targets.push(target(words, BACKGROUNDS[(index + shift) % BACKGROUNDS.length]!));
    }
  }
  return targets.slice(0, count);
}

/** Share of a target's attributes that the judge recognised, of one part or of both. */
export function adherence(
  attributes: readonly { name: string; part: string; values: readonly string[] }[],
  judged: readonly number[],
  { truth }: Target,
  part: 'object' | 'background' | null = null,
): number {
  const right = attributes.flatMap((attribute, index) =>
    part !== null && attribute.part !== part
      ? []
      : [attribute.values[judged[index]!] === truth[attribute.name] ? 1 : 0],
  );
  return right.reduce<number>((sum, value) => sum + value, 0) / right.length;
}

function object(shape: Words, color: Words, size: Words, motion: Words): ObjectWords {
  return { shape, color, size, motion };
}

function background(scene: Words, light: Words): BackgroundWords {
  return { scene, light, camera: ['static', ''] };
}

function target(ofObject: ObjectWords, ofBackground: BackgroundWords): Target {
  const { size, color, shape, motion } = ofObject;
  const prompt = `a ${size[1]} ${color[1]} ${shape[1]} ${motion[1]} ${ofBackground.scene[1]} ${ofBackground.light[1]}`;
  const truth = Object.fromEntries(
    Object.entries({ ...ofObject, ...ofBackground }).map(([name, [value]]) => [name, value]),
  );
  return { prompt, truth };
}
