"""Where the denoiser of an export tells that the object is, against the probabilities of diffusers' attention."""

import numpy as np
import pytest
import tiny
import torch
from diffusers.models.transformers import transformer_wan
from reader import Package

from flexcache_exporter.errors import ExportError
from flexcache_exporter.families import open_model
from flexcache_exporter.graph import relative_difference
from flexcache_exporter.model import Request
from flexcache_exporter.object_map import blocks_of
from flexcache_exporter.source import Source

TOLERANCE = 1e-5
#: Of the latent [3,4,6] in patches of [1,2,2].
TOKENS = 18
SHAPE = (2, 3, 4, 6)
#: Of the prompt's tokens, in each of two rows.
MARKS = np.zeros((2, tiny.MAX_TOKENS), np.float32)
MARKS[0, 1:3] = MARKS[1, [0, 4, 7]] = 1


@pytest.fixture(scope="module")
def given() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    return {
        "latent": generator.standard_normal((2, 16, *SHAPE[1:]), dtype=np.float32),
        "time": np.array([0.7, 0.2], np.float32),
        "text_states": 3 * generator.standard_normal((2, tiny.MAX_TOKENS, 32), dtype=np.float32),
        "text_mask": (np.arange(tiny.MAX_TOKENS) < [[5], [9]]).astype(np.int64),
    }


@pytest.fixture(scope="module")
def probabilities(given, reference) -> list[np.ndarray]:
    """Of each block's attention to the prompt: [2,N,L], the mean of its heads."""
    seen = []
    attend = transformer_wan.dispatch_attention_fn

    def seeing(query, key, value, **options):
        if key.shape[1] == tiny.MAX_TOKENS:
            scores = torch.einsum("bnhd,blhd->bhnl", query, key) / query.shape[-1] ** 0.5
            seen.append(scores.softmax(-1).mean(1).numpy())
        return attend(query, key, value, **options)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(transformer_wan, "dispatch_attention_fn", seeing)
        reference(**{name: torch.from_numpy(x) for name, x in given.items()})
    return seen


def mapped(shares: np.ndarray) -> np.ndarray:
    """Shares of tokens [2,N] at the positions of a latent."""
    return shares.reshape(2, 3, 2, 3).repeat(2, axis=2).repeat(2, axis=3)


def object_map(regional, given: dict, marks: np.ndarray, live: np.ndarray | None = None) -> np.ndarray:
    session = Package(regional).sessions["denoiser"]
    every = np.tile(np.arange(TOKENS), (2, 1))
    live = every if live is None else live
    context = {
        value.name: np.zeros((2, value.shape[1], TOKENS - live.shape[1], value.shape[3]), np.float32)
        for value in session.get_inputs()
        if value.name.startswith("context_")
    }
    feeds = {**given, "object_tokens": marks, "live": live, "kept": every[:, :0], **context}
    return session.run(["object_map"], feeds)[0]


def test_the_map_is_the_share_of_attention_that_the_marked_tokens_get(regional, given, probabilities):
    expected = mapped(np.mean([(p * MARKS[:, None]).sum(2) for p in probabilities], axis=0))
    found = object_map(regional, given, MARKS)
    assert found.shape == SHAPE
    assert relative_difference(found, expected) < TOLERANCE
    # Unless it differs from place to place, it tells none.
    assert (expected.std((1, 2, 3)) > 0.01).all()


def test_no_marks_have_no_share_and_all_have_all_of_it(regional, given):
    assert (object_map(regional, given, np.zeros_like(MARKS)) == 0).all()
    np.testing.assert_allclose(object_map(regional, given, np.ones_like(MARKS)), 1, atol=1e-6)


def test_positions_that_are_not_evaluated_have_none(regional, given):
    live = np.array([[0, 8], [17, 3]])
    found = object_map(regional, given, MARKS, live)
    shown = np.zeros((2, TOKENS), bool)
    np.put_along_axis(shown, live, True, axis=1)
    np.testing.assert_array_equal(found > 0, mapped(shown))


def test_one_block_alone_has_its_own_map_of_whole_latents(saved, given, probabilities):
    request = Request(
        tiny.WIDTH, tiny.HEIGHT, tiny.FRAMES, max_tokens=tiny.MAX_TOKENS, dtype=torch.float32, object_map=(1,)
    )
    model = open_model(Source(saved), request)
    (denoiser,) = (network for network in model.networks if network.name == "denoiser")
    assert denoiser.outputs == ("velocity", "object_map")
    inputs = {name: torch.from_numpy(x) for name, x in {**given, "object_tokens": MARKS}.items()}
    with torch.no_grad():
        reference = denoiser.load().eval()
        velocity, observed = (x.numpy() for x in reference(**inputs))
        fused = [x.numpy() for x in denoiser.rewrite(reference)(**inputs)]
    expected = mapped((probabilities[1] * MARKS[:, None]).sum(2))
    for found in (observed, fused[1]):
        assert relative_difference(found, expected) < TOLERANCE
    assert relative_difference(fused[0], velocity) < TOLERANCE


def test_three_blocks_of_the_middle_third_are_read_unless_others_are_asked_for():
    assert blocks_of((), 30) == (10, 15, 20)
    assert blocks_of((), 1) == (0,)
    assert blocks_of((7, 3, 7), 30) == (3, 7)
    with pytest.raises(ExportError, match="--object-map: block 30 is none of the transformer's 30"):
        blocks_of((30,), 30)
