/** English words of what is around an object, for a parser that knows no meanings. Plurals in -s are found by their singular. */
const SCENE_WORDS = new Set(
  (
    'background backdrop setting scenery landscape seascape cityscape skyline horizon foreground surroundings environment weather ' +
    'sky cloud sun sunlight moonlight daylight space universe galaxy cosmos earth ground ' +
    'sea ocean lake river stream pond waterfall beach coast coastline shore seaside seashore bay island water wave ' +
    'mountain hill valley canyon cliff volcano desert dune glacier cave ' +
    'meadow field grass grassland prairie savanna pasture countryside farm garden park forest wood jungle rainforest woodland swamp snowfield ' +
    'city town village street road alley highway downtown building wall checkerboard ' +
    'room kitchen bedroom bathroom office studio hall hallway classroom restaurant cafe library stadium ' +
    'dawn sunrise morning noon midday day afternoon dusk sunset evening twilight night midnight ' +
    'spring summer autumn winter rain snow fog mist storm thunderstorm blizzard ' +
    'camera'
  ).split(' '),
);

/** What the subject wears, where English says `in`. */
const CLOTHES = new Set(
  (
    'dress suit shirt coat jacket hat cap hoodie sweater uniform costume clothes clothing attire outfit wear armor armour robe ' +
    'gown skirt jeans trousers pants shorts kimono tuxedo apron scarf gloves boots shoes sunglasses pajamas'
  ).split(' '),
);

/** How something is done, where English says `in`: no place. */
const MANNERS = new Set(
  'place circle motion unison slow-motion step sync tandem formation line pair row'.split(' '),
);

/** Of the picture, not of what it shows. */
const STYLE_WORDS = new Set(
  (
    'style view painting watercolor art artstation render rendering illustration animation cgi photo photograph photography photorealistic ' +
    'cinematic lighting resolution quality hd uhd 4k 8k hdr bokeh focus aesthetic artwork'
  ).split(' '),
);

/** Verbs whose agent is around their subject. */
const SURROUNDING = new Set(
  'surrounded covered framed lit illuminated bathed flanked engulfed encircled enveloped backlit'.split(
    ' ',
  ),
);

/** Whether a lower-case noun names a place, a time or the weather. */
export const isSceneWord = (word: string): boolean => isIn(SCENE_WORDS, word);
export const isClothing = (word: string): boolean => isIn(CLOTHES, word);
export const isManner = (word: string): boolean => isIn(MANNERS, word);
export const isStyleWord = (word: string): boolean => isIn(STYLE_WORDS, word);
export const isSurrounding = (word: string): boolean => SURROUNDING.has(word);

function isIn(words: ReadonlySet<string>, word: string): boolean {
  return words.has(word) || (word.endsWith('s') && words.has(word.slice(0, -1)));
}
