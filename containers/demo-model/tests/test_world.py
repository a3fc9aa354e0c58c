import random

import pytest
import torch

from demo_model import captions, world


def render(rows, seed=1):
    return world.render(torch.tensor(rows), torch.Generator().manual_seed(seed))


def row(**values):
    return [
        dict(captions.FIELDS)[name].index(values[name]) if name in values else 0 for name, _ in captions.FIELDS
    ]


def test_a_clip_has_the_shape_and_range_of_the_package():
    video, mask = render([row(), row(scene="space", light="night")])
    assert video.shape == (2, 16, 3, 128, 128) and mask.shape == (2, 16, 1, 128, 128)
    assert 0 <= video.min() and video.max() <= 1 and 0 <= mask.min() and mask.max() <= 1


def test_the_same_seed_draws_the_same_clip_and_another_seed_another():
    first, again, other = (render([row(motion="spin")], seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("motion", "axis", "sign"), [("right", 1, 1), ("left", 1, -1), ("rise", 0, -1), ("fall", 0, 1)]
)
def test_objects_move_where_the_caption_says(motion, axis, sign):
    _, mask = render([row(motion=motion, size="small")])

    def centre(frame):
        positions = (mask[0, frame, 0] > 0.5).nonzero().float()
        return positions[:, axis].mean()

    assert (centre(15) - centre(0)) * sign > 30


@pytest.mark.parametrize(("motion", "larger"), [("grow", 15), ("shrink", 0)])
def test_objects_grow_and_shrink(motion, larger):
    _, mask = render([row(motion=motion)])
    areas = mask[0].sum((1, 2, 3))
    assert areas[larger] > 2 * areas[15 - larger]


def test_every_scene_light_and_shape_looks_different():
    for field in ("scene", "light", "shape"):
        values = dict(captions.FIELDS)[field]
        video, _ = render([row(**{field: value}, motion="spin", size="large") for value in values])
        for a in range(len(values)):
            for b in range(a):
                assert (video[a] - video[b]).abs().mean() > 0.003, (field, values[a], values[b])


def test_held_out_combinations_are_a_tenth_and_never_drawn_for_training():
    rng = random.Random(0)
    rows = captions.sample_attributes(4000, rng)
    assert 0.07 < sum(map(captions.is_held_out, rows)) / 4000 < 0.13
    assert not any(map(captions.is_held_out, captions.sample_attributes(500, rng, held_out=False)))
    assert all(map(captions.is_held_out, captions.sample_attributes(100, rng, held_out=True)))
