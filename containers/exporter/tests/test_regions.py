"""Evaluations of some tokens of an exported denoiser, against diffusers' transformer."""

import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_wan
from reader import Package, operators_of
from regional import AttentionCall, Regional, Session, stale_reference
from write_product_fixture import FOLDER as PRODUCT_FIXTURE

from flexcache_exporter.families import open_model
from flexcache_exporter.graph import relative_difference
from flexcache_exporter.model import Request
from flexcache_exporter.source import Source

TOLERANCE = 1e-5
BLOCKS, HEADS, WIDTH = 2, 2, 12
#: Of each of two rows.
LIVE = np.array([[0, 1, 7, 9, 17], [16, 3, 2, 8, 11]])


@pytest.fixture(scope="module")
def package(regional) -> Package:
    return Package(regional)


@pytest.fixture(scope="module")
def denoiser(package) -> Regional:
    return Regional(Session(package.folder / "denoiser.onnx"), (3, 2, 3), (1, 2, 2), BLOCKS, HEADS, WIDTH)


def inputs(seed: int, time: float) -> dict[str, np.ndarray]:
    """Of two rows: another latent and another prompt in each."""
    generator = np.random.default_rng(seed)
    return {
        "latent": generator.standard_normal((2, 16, 3, 4, 6), dtype=np.float32),
        "time": np.full(2, time, np.float32),
        "text_states": generator.standard_normal((2, 16, 32), dtype=np.float32),
        "text_mask": (np.arange(16) < [[5], [9]]).astype(np.int64),
    }


def test_an_evaluation_of_all_tokens_is_diffusers(denoiser, reference):
    given = inputs(0, 0.6)
    with torch.no_grad():
        expected = reference(**{name: torch.from_numpy(x) for name, x in given.items()}).numpy()
    found = denoiser.run(given, denoiser.every, denoiser.every[:, :0], denoiser.no_context)
    assert relative_difference(found["velocity"], expected) < TOLERANCE
    assert {found[name].shape for name in denoiser.names} == {(2, HEADS, 0, WIDTH)}
    reordered = denoiser.run(given, denoiser.every[:, ::-1].copy(), denoiser.every, denoiser.no_context)
    assert relative_difference(reordered["velocity"], expected) < TOLERANCE


def test_some_tokens_have_what_they_have_among_all_from_keys_and_values_of_the_others(denoiser):
    given = inputs(1, 0.6)
    whole = denoiser.whole(given)
    kept = np.array([[4, 0], [1, 2]])
    found = denoiser.run(given, LIVE, kept, denoiser.chosen(whole, denoiser.others(LIVE)))
    live = denoiser.at(LIVE)
    assert (found["velocity"] == 0)[np.broadcast_to(~live, found["velocity"].shape)].all()
    assert relative_difference(found["velocity"], whole["velocity"] * live) < TOLERANCE
    expected = denoiser.chosen(whole, np.take_along_axis(LIVE, kept, axis=1))
    for name in denoiser.names:
        assert relative_difference(found[name], expected[f"context_{name}"]) < TOLERANCE


def test_some_tokens_read_what_the_others_had_at_another_time(denoiser, reference):
    before, after = inputs(2, 0.9), inputs(3, 0.4)
    expected = stale_reference(AttentionCall(transformer_wan), reference, LIVE, denoiser.tokens, before, after)

    whole = denoiser.whole(before)
    for name, context in zip(denoiser.names, expected.context, strict=True):
        assert relative_difference(whole[name], context) < TOLERANCE
    found = denoiser.run(after, LIVE, LIVE[:, :0], denoiser.chosen(whole, denoiser.others(LIVE)))
    live = denoiser.at(LIVE)
    assert relative_difference(found["velocity"], expected.velocity * live) < TOLERANCE
    # Unless the context matters, equality says little.
    assert relative_difference(expected.velocity * live, expected.fresh * live) > 100 * TOLERANCE


def test_the_denoiser_takes_and_gives_what_the_package_promises(package, denoiser, export):
    context = ["float", HEADS, "context", WIDTH]
    given = ["float", HEADS, "kept", WIDTH]
    takes, gives = package.signature("denoiser")
    plain_takes, plain_gives = Package(export.out).signature("denoiser")
    contexts = {f"context_{name}": context for name in denoiser.names}
    regional = {"live": ["int64", "live"], "kept": ["int64", "kept"], **contexts}
    assert takes == {**plain_takes, "object_tokens": ["float", 16], **regional}
    assert gives == {**plain_gives, "object_map": ["float", 3, 4, 6], **dict.fromkeys(denoiser.names, given)}
    used = operators_of(package.folder / "denoiser.onnx")
    # To themselves, to the prompt, and to its marked tokens.
    assert used.count("MultiHeadAttention") == 3 * BLOCKS
    assert used.count("RotaryEmbedding") == 2 * BLOCKS
    assert "Softmax" not in used


def test_the_manifest_describes_them_and_nothing_else_changes(package, export):
    manifest = {**package.manifest}
    assert manifest.pop("regions") == {
        "patch": [1, 2, 2],
        "blocks": BLOCKS,
        "heads": HEADS,
        "headWidth": WIDTH,
        "trained": False,
        "contextType": "float32",
        "readsKept": True,
    }
    assert manifest.pop("objectMask") == {"source": "attention"}
    for name, files in export.manifest["files"].items():
        assert (manifest["files"][name] == files) == (name != "denoiser")
    assert {**manifest, "files": None} == {**export.manifest, "files": None}


def test_the_package_of_the_products_tests_is_one_that_the_exporter_writes_now(package, denoiser):
    """Where it is not, ``tests/write_product_fixture.py`` makes it again."""
    theirs = Package(PRODUCT_FIXTURE).signature("denoiser")
    contexts = {*denoiser.names, *denoiser.no_context}
    for found, expected in zip(theirs, package.signature("denoiser"), strict=True):
        # It is of weights of 16 bits.
        assert found == {
            name: ["float16", *shape[1:]] if name in contexts else shape for name, shape in expected.items()
        }


def test_weights_that_were_trained_for_regions_are_said_to_be(saved):
    request = Request(48, 32, 9, max_tokens=16, dtype=torch.float16, regions="trained")
    regions = open_model(Source(saved), request).regions
    assert (regions.is_trained, regions.dtype) == (True, torch.float16)
