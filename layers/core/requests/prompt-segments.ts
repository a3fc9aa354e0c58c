/**
 * English that changes what a sentence asks for without being a thing or a property: closed classes,
 * listed once for all that reads prompts.
 */

/** Words that carry no claim about what is seen. */
const SILENT_WORDS = new Set(
  (
    'a an the this that these those its it is are was were be being been there here which who whose of and with has having ' +
    'video videos clip clips footage film movie animation scene showing shows picture image'
  ).split(' '),
);

const DETERMINERS = new Set(
  'a an the this that these those its their his her one two three four five'.split(' '),
);

/** Each negates, counts, compares, orders or makes uncertain: without it the sentence says another thing. */
const MARKERS = new Set(
  (
    'not no none never neither nor nothing nobody nowhere cannot without lacking lacks missing minus except excluding absent ' +
    'instead rather hardly barely scarcely unlike non free avoiding stops stopped stopping fails false opposite ' +
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen ' +
    'eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million dozen dozens pair ' +
    'pairs couple trio once twice thrice both single double triple half quarter first second third last ' +
    'many several some few all every each any most more less least fewer multiple various countless numerous lots only ' +
    'another other others plenty crowd group groups alone together same different ' +
    'than as before after then until while when again or either if unless almost too'
  ).split(' '),
);

const DIRECTIONS: Readonly<Record<string, string>> = classes({
  left: 'left leftward leftwards',
  right: 'right rightward rightwards',
  up: 'up upward upwards',
  down: 'down downward downwards',
  forward: 'forward forwards',
  backward: 'backward backwards back',
  clockwise: 'clockwise',
  counterclockwise: 'counterclockwise anticlockwise',
  north: 'north',
  south: 'south',
  east: 'east',
  west: 'west',
});

/** How a phrase stands to what came before it. */
const RELATIONS: Readonly<Record<string, string>> = {
  ...classes({
    above: 'over above on atop upon',
    below: 'under below beneath underneath',
    behind: 'behind',
    inside: 'in inside within',
    outside: 'outside off',
    into: 'into',
    from: 'from',
    to: 'to toward towards onto',
    away: 'away',
    by: 'by',
    near: 'at near beside against among amid amidst alongside during',
    between: 'between',
    around: 'around',
    across: 'across through past along',
    without: 'without',
    with: 'holding wearing carrying',
  }),
  'in front of': 'front',
  'out of': 'outside',
  'next to': 'near',
  'on top of': 'above',
  'away from': 'away',
  'close to': 'near',
};

/** Relations that say only where everything takes place, once they lead to the background. */
const PLACES = new Set(['above', 'inside', 'near', 'by', 'front']);

/** Words of one family exclude each other; words of one class of it do not. */
const FAMILIES: readonly Readonly<Record<string, string>>[] = [
  classes({
    red: 'red',
    orange: 'orange',
    yellow: 'yellow',
    green: 'green',
    blue: 'blue',
    purple: 'purple violet',
    pink: 'pink',
    white: 'white',
    black: 'black',
    brown: 'brown',
    grey: 'grey gray',
    cyan: 'cyan turquoise teal',
  }),
  classes({
    small: 'small tiny little miniature',
    medium: 'medium',
    large: 'large big huge giant enormous',
  }),
  classes({
    dawn: 'dawn sunrise morning',
    day: 'noon midday day daylight afternoon',
    dusk: 'dusk sunset evening',
    night: 'night midnight',
  }),
  classes({
    rise: 'rising climbing ascending rises climbs',
    fall: 'falling sinking dropping descending falls sinks drops',
  }),
  classes({
    grow: 'growing expanding grows expands larger bigger',
    shrink: 'shrinking contracting shrinks smaller',
  }),
  classes({ slow: 'slow slowly', fast: 'fast quick quickly rapidly' }),
  classes({ open: 'open opening opens', closed: 'closed closing closes' }),
  classes({ man: 'man', woman: 'woman', boy: 'boy', girl: 'girl' }),
  classes({ old: 'old', young: 'young new' }),
  classes({ hot: 'hot', cold: 'cold' }),
  classes({ still: 'static still standing', moving: 'panning moving walking running' }),
];

function classes(byName: Readonly<Record<string, string>>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, words] of Object.entries(byName)) {
    for (const word of words.split(' ')) result[word] = name;
  }
  return result;
}

/** Whether a word negates, counts, compares, orders or makes uncertain; numbers in digits do. */
export function isMarker(word: string): boolean {
  return MARKERS.has(word) || /\p{N}/u.test(word);
}

/** Whether two words exclude each other: red and blue, small and large, one thing and several. */
export function exclude(one: string, other: string): boolean {
  if (one !== other && (isPluralOf(one, other) || isPluralOf(other, one))) return true;
  return FAMILIES.some((family) => {
    const [left, right] = [family[one], family[other]];
    return left !== undefined && right !== undefined && left !== right;
  });
}

function isPluralOf(plural: string, singular: string): boolean {
  if (plural === `${singular}s` || plural === `${singular}es`) return true;
  return singular.endsWith('y') && plural === `${singular.slice(0, -1)}ies`;
}

/** Whether two relations may stand for each other in front of a place. */
export function arePlaces(one: string, other: string): boolean {
  return PLACES.has(one) && PLACES.has(other);
}

/** A stretch of a prompt that belongs together: what a preposition leads to, or a part of the clause. */
export interface Segment {
  /** Class of the preposition that leads to it, such as `above`; null in the clause itself. */
  relation: string | null;
  /** Its words that claim something, lower-case, in order. Directions are not among them. */
  words: string[];
  /** Which white-space separated words of the prompt it covers, from `first` to before `end`. */
  first: number;
  end: number;
}

/** What a prompt says, as far as its words tell. */
export interface SegmentedPrompt {
  segments: Segment[];
  /** Classes of its directions in order; `from left to right` is right alone. */
  directions: string[];
  /** Every word by itself, lower-case, silent ones included. */
  spoken: string[];
}

interface SpokenWord {
  text: string;
  /** Which white-space separated word it is of. */
  index: number;
  /** Something was between it and the word before. */
  afterPause: boolean;
}

const WORD = /[\p{L}\p{N}]+(?:['\u2019]\p{L}+)*/gu;
const PAUSE = /[,.;:!?()\u2013\u2014|/]/u;

/** The words of a text as they are compared: lower-case, without punctuation, `isn't` as `is not`. */
export function spokenWords(text: string): string[] {
  return speak(text.split(/\s+/u)).map((word) => word.text);
}

function speak(words: readonly string[]): SpokenWord[] {
  const spoken: SpokenWord[] = [];
  let pause = false;
  for (const [index, written] of words.entries()) {
    const text = written.normalize('NFKC').toLowerCase();
    let end = 0;
    for (const match of text.matchAll(WORD)) {
      pause ||= PAUSE.test(text.slice(end, match.index));
      for (const part of withoutContraction(match[0])) {
        spoken.push({ text: part, index, afterPause: pause });
        pause = false;
      }
      end = match.index + match[0].length;
    }
    pause ||= PAUSE.test(text.slice(end)) || (end === 0 && /\p{P}/u.test(text));
  }
  return spoken;
}

function withoutContraction(word: string): string[] {
  const [before, after] = word.split(/['\u2019]/u);
  if (after === undefined) return [word];
  if (after === 't' && before!.endsWith('n')) {
    return before === 'can' || before === 'won' ? ['not'] : [before!.slice(0, -1), 'not'];
  }
  return after === 's' || after === 're' ? [before!] : [before!, after];
}

/**
 * Cuts a prompt into what belongs together: at punctuation, before prepositions, conjunctions and
 * articles. A closed list of English words decides, no model.
 *
 * @example
 * segmentPrompt('a red ball over a green meadow').segments.map(({ relation, words }) => [relation, words]);
 * // [[null, ['red', 'ball']], ['above', ['green', 'meadow']]]
 */
export function segmentPrompt(prompt: string): SegmentedPrompt {
  const spoken = speak(prompt.split(/\s+/u).filter((word) => word.length > 0));
  const segments: Segment[] = [];
  const directions: { name: string; relation: string | null }[] = [];
  let current: Segment | undefined;
  const begin = (relation: string | null, first: number): Segment => {
    current = { relation, words: [], first, end: first };
    segments.push(current);
    return current;
  };
  for (let at = 0; at < spoken.length;) {
    const { text, index, afterPause } = spoken[at]!;
    const relation = relationAt(spoken, at);
    let segment = current;
    if (relation !== null) {
      segment = begin(relation.name, index);
      // What negates as a preposition is a claim too.
      if (MARKERS.has(text)) segment.words.push(text);
    } else if (segment === undefined || afterPause || beginsClause(text, segment)) {
      segment = begin(null, index);
    }
    const length = relation?.length ?? 1;
    segment!.end = spoken[at + length - 1]!.index + 1;
    if (relation === null) {
      const direction = DIRECTIONS[text];
      if (direction !== undefined)
        directions.push({ name: direction, relation: segment!.relation });
      else if (!SILENT_WORDS.has(text)) segment!.words.push(text);
    }
    at += length;
  }
  return {
    segments,
    directions: arrivals(directions),
    spoken: spoken.map(({ text }) => text),
  };
}

function beginsClause(text: string, segment: Segment): boolean {
  return (DETERMINERS.has(text) && segment.words.length > 0) || text === 'and' || text === 'but';
}

function relationAt(
  spoken: readonly SpokenWord[],
  at: number,
): { name: string; length: number } | null {
  for (const length of [3, 2, 1]) {
    const words = spoken.slice(at, at + length);
    if (words.length < length || words.slice(1).some(({ afterPause }) => afterPause)) continue;
    const name = RELATIONS[words.map(({ text }) => text).join(' ')];
    if (name !== undefined) return { name, length };
  }
  return null;
}

/** Where the way leads: what it comes from says nothing more. */
function arrivals(directions: readonly { name: string; relation: string | null }[]): string[] {
  return directions
    .filter(
      ({ relation }, index) => relation !== 'from' || directions[index + 1]?.relation !== 'to',
    )
    .map(({ name, relation }) => (relation === 'from' ? `from ${name}` : name));
}
