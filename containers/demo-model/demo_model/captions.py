"""Attributes of the world and the English that describes them.

A clip is seven attribute indices, in the order of ``FIELDS``: shape, colour, size and motion belong to the object;
scene, light and camera to the background. A caption is built from segments ``(text, label)`` so that the prompt
splitter can be trained on which words speak of which part.
"""

import random

SHAPES = ["ball", "square", "triangle", "star", "ring", "heart", "diamond", "cross"]
COLORS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black", "cyan"]
SIZES = ["small", "medium", "large"]
MOTIONS = ["right", "left", "rise", "fall", "bounce", "circle", "spin", "grow", "shrink", "zigzag"]
SCENES = [
    "meadow", "desert", "ocean", "snowfield", "city", "forest",
    "brick", "checker", "volcano", "beach", "space", "autumn",
]
LIGHTS = ["dawn", "noon", "dusk", "night"]
CAMERAS = ["static", "pan"]

FIELDS = [
    ("shape", SHAPES), ("color", COLORS), ("size", SIZES), ("motion", MOTIONS),
    ("scene", SCENES), ("light", LIGHTS), ("camera", CAMERAS),
]
OBJECT_FIELDS = (0, 1, 2, 3)
BACKGROUND_FIELDS = (4, 5, 6)
CLASS_COUNTS = [len(values) for _, values in FIELDS]

LABEL_OTHER, LABEL_OBJECT, LABEL_BACKGROUND = 0, 1, 2
SPLIT_LABELS = ["other", "object", "background"]

SYNONYMS = {
    "ball": ["ball", "sphere", "orb"],
    "square": ["square", "box", "block", "cube"],
    "triangle": ["triangle", "pyramid"],
    "star": ["star"],
    "ring": ["ring", "hoop", "donut"],
    "heart": ["heart"],
    "diamond": ["diamond", "gem", "rhombus"],
    "cross": ["cross", "plus sign"],
    "red": ["red", "crimson", "scarlet"],
    "orange": ["orange", "tangerine"],
    "yellow": ["yellow", "golden"],
    "green": ["green", "emerald"],
    "blue": ["blue", "navy"],
    "purple": ["purple", "violet"],
    "pink": ["pink", "rosy"],
    "white": ["white", "ivory"],
    "black": ["black", "jet black"],
    "cyan": ["cyan", "turquoise", "teal"],
    "small": ["small", "tiny", "little"],
    "medium": ["", "medium", ""],
    "large": ["large", "big", "huge"],
    "right": ["drifting to the right", "moving right", "gliding from left to right", "sliding right"],
    "left": ["drifting to the left", "moving left", "gliding from right to left", "sliding left"],
    "rise": ["rising", "floating upward", "climbing up", "flying up"],
    "fall": ["falling", "dropping down", "sinking", "falling down"],
    "bounce": ["bouncing", "bouncing up and down", "hopping", "jumping"],
    "circle": ["circling", "orbiting in circles", "going around in a circle"],
    "spin": ["spinning in place", "rotating in place", "twirling", "spinning"],
    "grow": ["growing larger", "expanding", "getting bigger", "growing"],
    "shrink": ["shrinking", "getting smaller", "contracting"],
    "zigzag": ["zigzagging", "moving in a zigzag", "weaving up and down"],
    "meadow": ["over a green meadow", "in a grassy meadow", "above rolling grass hills", "over a meadow"],
    "desert": ["over desert dunes", "in a sandy desert", "above the dunes", "in the desert"],
    "ocean": ["over the ocean", "above ocean waves", "at sea", "over the sea"],
    "snowfield": ["over a snowfield", "in a snowy landscape", "above snowy hills", "in the snow"],
    "city": ["over a city skyline", "in the city", "in front of tall buildings", "above a city"],
    "forest": ["in a forest", "among the trees", "between tall trees", "in the woods"],
    "brick": ["in front of a brick wall", "against a brick wall"],
    "checker": ["on a checkerboard", "against a checkered pattern", "over a checkerboard"],
    "volcano": ["near a volcano", "in front of an erupting volcano", "over a volcano"],
    "beach": ["on a beach", "at the seaside beach", "above a sandy beach", "at the beach"],
    "space": ["in outer space", "among the stars in space", "in space"],
    "autumn": ["over autumn fields", "in an autumn landscape", "in autumn"],
    "dawn": ["at dawn", "at sunrise", "in early morning", "in the morning"],
    "noon": ["at noon", "in bright daylight", "on a sunny day", "by day"],
    "dusk": ["at dusk", "at sunset", "in the evening"],
    "night": ["at night", "at midnight", "under the dark sky"],
    "static": ["", "", "static camera"],
    "pan": ["camera panning", "panning shot", "the camera pans slowly", "with a panning camera"],
}

Segment = tuple[str, int]


def other_words(values: list[str]) -> list[list[str]]:
    """For each value, the phrases that captions say it by, but for the value's own word."""
    return [[phrase for phrase in SYNONYMS[value] if phrase not in ("", value)] for value in values]


def is_held_out(attributes: list[int]) -> bool:
    """True for the tenth of (shape, colour, scene) combinations that the generator never sees in training."""
    return (attributes[0] * 7 + attributes[1] * 3 + attributes[4] * 5) % 10 == 0


def sample_attributes(count: int, rng: random.Random, held_out: bool | None = None) -> list[list[int]]:
    """Draws uniform attribute rows; ``held_out`` keeps only (not) held-out combinations, None keeps all."""
    rows: list[list[int]] = []
    while len(rows) < count:
        row = [rng.randrange(classes) for classes in CLASS_COUNTS]
        if held_out is None or is_held_out(row) == held_out:
            rows.append(row)
    return rows


def _phrase(attributes: list[int], field: int, rng: random.Random) -> str:
    return rng.choice(SYNONYMS[FIELDS[field][1][attributes[field]]])


def _object_segments(attributes: list[int], rng: random.Random) -> list[Segment]:
    words = " ".join(w for w in (_phrase(attributes, 2, rng), _phrase(attributes, 1, rng), _phrase(attributes, 0, rng)) if w)
    draw = rng.random()
    article = "the " if draw < 0.12 else "" if draw < 0.2 else ("an " if words[0] in "aeiou" else "a ")
    return [(article + words, LABEL_OBJECT)]


def _background_segments(attributes: list[int], rng: random.Random) -> list[Segment]:
    scene, light = _phrase(attributes, 4, rng), _phrase(attributes, 5, rng)
    return [(scene, LABEL_BACKGROUND), (light, LABEL_BACKGROUND)]


def _camera_segments(attributes: list[int], rng: random.Random) -> list[Segment]:
    camera = _phrase(attributes, 6, rng)
    return [(",", LABEL_OTHER), (camera, LABEL_BACKGROUND)] if camera else []


def caption_segments(attributes: list[int], rng: random.Random) -> list[Segment]:
    """A whole caption as labelled segments."""
    obj, background = _object_segments(attributes, rng), _background_segments(attributes, rng)
    motion: Segment = (_phrase(attributes, 3, rng), LABEL_OBJECT)
    camera = _camera_segments(attributes, rng)
    comma: Segment = (",", LABEL_OTHER)
    match rng.randrange(7):
        case 0 | 1:
            return [*obj, motion, *background, *camera]
        case 2:
            return [*background, comma, *obj, motion, *camera]
        case 3:
            return [(rng.choice(["video of", "a video of", "a clip of"]), LABEL_OTHER), *obj, motion, *background, *camera]
        case 4:
            return [*obj, ("is", LABEL_OBJECT), motion, *background, *camera]
        case 5:
            return [background[1], comma, *obj, motion, background[0], *camera]
        case _:
            return [*obj, motion, background[1], background[0], *camera]


def object_segments(attributes: list[int], rng: random.Random) -> list[Segment]:
    """The object alone: what the splitter should find for the object part."""
    return [*_object_segments(attributes, rng), (_phrase(attributes, 3, rng), LABEL_OBJECT)]


def background_segments(attributes: list[int], rng: random.Random) -> list[Segment]:
    """The background alone, in either word order, camera included (without the comma, as the splitter gives it)."""
    segments = _background_segments(attributes, rng)
    if rng.random() < 0.4:
        segments.reverse()
    camera = _camera_segments(attributes, rng)
    return [*segments, *(camera if rng.random() < 0.5 else camera[1:])]


def text_of(segments: list[Segment]) -> str:
    """Joins segments into a prompt; commas stick to the word before them."""
    return " ".join(text for text, _ in segments).replace(" ,", ",")


def vocabulary() -> list[str]:
    """Every word the captions can contain, sorted; index 0 is padding and 1 the unknown word."""
    words = {word for phrases in SYNONYMS.values() for phrase in phrases for word in phrase.split()}
    words |= {"a", "an", "the", "is", "video", "of", "clip", ","}
    return ["[PAD]", "[UNK]", *sorted(words)]
