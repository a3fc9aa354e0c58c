"""Evaluations of some tokens of an exported denoiser, against diffusers' transformer."""

import numpy as np
import onnxruntime
import pytest
import torch
from diffusers.models.transformers import transformer_wan
from reader import Package, operators_of
from write_product_fixture import FOLDER as PRODUCT_FIXTURE

from flexcache_exporter.families import open_model
from flexcache_exporter.graph import PLACES, export_network, relative_difference
from flexcache_exporter.model import Request
from flexcache_exporter.source import Source

TOLERANCE = 1e-5
#: Of the latent [3,4,6] in patches of [1,2,2].
TOKENS, BLOCKS, HEADS, WIDTH = 18, 2, 2, 12
NAMES = [f"{kind}_{block}" for block in range(BLOCKS) for kind in ("keys", "values")]
#: Of each of two rows.
LIVE = np.array([[0, 1, 7, 9, 17], [16, 3, 2, 8, 11]])


@pytest.fixture(scope="module")
def package(regional) -> Package:
    return Package(regional)


def inputs(seed: int, time: float) -> dict[str, np.ndarray]:
    """Of two rows: another latent and another prompt in each."""
    generator = np.random.default_rng(seed)
    return {
        "latent": generator.standard_normal((2, 16, 3, 4, 6), dtype=np.float32),
        "time": np.full(2, time, np.float32),
        "text_states": generator.standard_normal((2, 16, 32), dtype=np.float32),
        "text_mask": (np.arange(16) < [[5], [9]]).astype(np.int64),
    }


def no_context(rows: int = 2) -> dict[str, np.ndarray]:
    return {f"context_{name}": np.zeros((rows, HEADS, 0, WIDTH), np.float32) for name in NAMES}


def every(rows: int = 2) -> np.ndarray:
    return np.tile(np.arange(TOKENS), (rows, 1))


def others(live: np.ndarray) -> np.ndarray:
    """The tokens that are not live, of each row, in no order of theirs."""
    return np.stack([np.setdiff1d(np.arange(TOKENS), row)[::-1] for row in live])


def run(package: Package, given: dict, live: np.ndarray, kept: np.ndarray, context: dict) -> dict[str, np.ndarray]:
    outputs = ["velocity", *NAMES]
    feeds = {"object_tokens": np.zeros((2, 16), np.float32), **given, "live": live, "kept": kept, **context}
    found = package.sessions["denoiser"].run(outputs, feeds)
    return dict(zip(outputs, found, strict=True))


def chosen(found: dict, tokens: np.ndarray) -> dict[str, np.ndarray]:
    """The context of these tokens, of keys and values of all."""
    return {
        f"context_{name}": np.take_along_axis(found[name], tokens[:, None, :, None], axis=2) for name in NAMES
    }


def at(tokens: np.ndarray) -> np.ndarray:
    """Where a latent [2,1,3,4,6] is that of these tokens."""
    rows, (frame, row, column) = np.arange(2)[:, None], np.unravel_index(tokens, (3, 2, 3))
    patches = np.zeros((2, 3, 2, 3), bool)
    patches[rows, frame, row, column] = True
    return patches.repeat(2, axis=2).repeat(2, axis=3)[:, None]


def test_an_evaluation_of_all_tokens_is_diffusers(package, reference):
    given = inputs(0, 0.6)
    with torch.no_grad():
        expected = reference(**{name: torch.from_numpy(x) for name, x in given.items()}).numpy()
    found = run(package, given, every(), every()[:, :0], no_context())
    assert relative_difference(found["velocity"], expected) < TOLERANCE
    assert {found[name].shape for name in NAMES} == {(2, HEADS, 0, WIDTH)}
    reordered = run(package, given, every()[:, ::-1].copy(), every(), no_context())
    assert relative_difference(reordered["velocity"], expected) < TOLERANCE


def test_some_tokens_have_what_they_have_among_all_from_keys_and_values_of_the_others(package):
    given = inputs(1, 0.6)
    whole = run(package, given, every(), every(), no_context())
    found = run(package, given, LIVE, np.array([[4, 0], [1, 2]]), chosen(whole, others(LIVE)))
    live = at(LIVE)
    assert (found["velocity"] == 0)[np.broadcast_to(~live, found["velocity"].shape)].all()
    assert relative_difference(found["velocity"], whole["velocity"] * live) < TOLERANCE
    kept = chosen(whole, np.take_along_axis(LIVE, np.array([[4, 0], [1, 2]]), axis=1))
    for name in NAMES:
        assert relative_difference(found[name], kept[f"context_{name}"]) < TOLERANCE


def test_some_tokens_read_what_the_others_had_at_another_time(package, reference, monkeypatch):
    before, after = inputs(2, 0.9), inputs(3, 0.4)
    recorded: list[tuple[torch.Tensor, torch.Tensor]] = []
    live = torch.zeros(2, TOKENS, dtype=torch.bool).scatter(1, torch.from_numpy(LIVE), True)[:, :, None, None]
    attend = transformer_wan.dispatch_attention_fn

    def recording(query, key, value, **options):
        if key.shape[1] == TOKENS:
            recorded.append((key, value))
        return attend(query, key, value, **options)

    def with_recorded(query, key, value, **options):
        if key.shape[1] == TOKENS:
            old_key, old_value = recorded.pop(0)
            key, value = torch.where(live, key, old_key), torch.where(live, value, old_value)
        return attend(query, key, value, **options)

    def computed(given: dict, by) -> np.ndarray:
        monkeypatch.setattr(transformer_wan, "dispatch_attention_fn", by)
        with torch.no_grad():
            return reference(**{name: torch.from_numpy(x) for name, x in given.items()}).numpy()

    computed(before, recording)
    expected_context = [x.transpose(1, 2).numpy() for pair in recorded for x in pair]
    stale = computed(after, with_recorded)
    fresh = computed(after, attend)

    whole = run(package, before, every(), every(), no_context())
    for name, expected in zip(NAMES, expected_context, strict=True):
        assert relative_difference(whole[name], expected) < TOLERANCE
    found = run(package, after, LIVE, LIVE[:, :0], chosen(whole, others(LIVE)))
    live_positions = at(LIVE)
    assert relative_difference(found["velocity"], stale * live_positions) < TOLERANCE
    # Unless the context matters, equality says little.
    assert relative_difference(stale * live_positions, fresh * live_positions) > 100 * TOLERANCE


def test_the_denoiser_takes_and_gives_what_the_package_promises(package, export):
    context = ["float", HEADS, "context", WIDTH]
    given = ["float", HEADS, "kept", WIDTH]
    takes, gives = package.signature("denoiser")
    plain_takes, plain_gives = Package(export.out).signature("denoiser")
    regional = {"live": ["int64", "live"], "kept": ["int64", "kept"], **{f"context_{name}": context for name in NAMES}}
    assert takes == {**plain_takes, "object_tokens": ["float", 16], **regional}
    assert gives == {**plain_gives, "object_map": ["float", 3, 4, 6], **dict.fromkeys(NAMES, given)}
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


def test_keys_and_values_of_16_bits_stay_so(saved, tmp_path):
    request = Request(48, 32, 9, max_tokens=16, dtype=torch.float16, regions="trained", object_map=())
    model = open_model(Source(saved), request)
    assert model.regions.is_trained
    (denoiser,) = (network for network in model.networks if network.name == "denoiser")
    export_network(denoiser, request.dtype, tmp_path / "denoiser.onnx", PLACES["cpu"])

    def signature(path) -> dict[str, tuple]:
        session = onnxruntime.InferenceSession(path)
        return {value.name: (value.type, value.shape) for value in (*session.get_inputs(), *session.get_outputs())}

    found = signature(tmp_path / "denoiser.onnx")
    types = {name: kind for name, (kind, _) in found.items()}
    assert {types[name] for name in (*NAMES, *(f"context_{name}" for name in NAMES))} == {"tensor(float16)"}
    assert types["latent"] == types["velocity"] == "tensor(float)"
    # The product's tests run a package that was made so: tests/write_product_fixture.py makes it again.
    assert signature(PRODUCT_FIXTURE / "denoiser.onnx") == found
