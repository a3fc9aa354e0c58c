"""Exported networks of CogVideoX against diffusers' own pipeline."""

import contextlib
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_cogvideox as tiny
import torch
from conftest import change
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline
from reader import Package, operators_of
from regional import AttentionCall, InPyTorch, Regional, Session, stale_reference

from flexcache_exporter.cli import main
from flexcache_exporter.errors import ExportError
from flexcache_exporter.families import cogvideox, open_model
from flexcache_exporter.graph import PLACES, export_network, relative_difference
from flexcache_exporter.model import Request
from flexcache_exporter.package import fingerprint_of
from flexcache_exporter.source import Source

STEPS = 5
#: Relative: float32 arithmetic in another order, over a whole generation.
TOLERANCE = 1e-4
#: The kinds that were released: positions in the transformer, and the scheduler's snr_shift_scale.
KINDS = {"2b": (False, 3.0), "5b": (True, 1.0)}


def arguments(saved: Path, out: Path, *more: str) -> list[str]:
    size = ("--width", tiny.WIDTH, "--height", tiny.HEIGHT, "--frames", tiny.FRAMES, "--steps", STEPS)
    return [str(part) for part in (saved, "--out", out, "--dtype", "fp32", *size, *more)]


def run(*command: str) -> str:
    """Runs the exporter, and gives what it said."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert main(arguments(*command)) == 0, said.getvalue()
    return said.getvalue()


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("saved")
    for kind, (rotary, snr_shift) in KINDS.items():
        tiny.save(folder / kind, rotary, snr_shift)
    return {kind: folder / kind for kind in KINDS}


@pytest.fixture(scope="module")
def packages(saved, tmp_path_factory) -> dict[str, Package]:
    """Of both kinds, which have text encoder and VAE in common."""
    out = tmp_path_factory.mktemp("exported")
    run(saved["5b"], out / "5b")
    shutil.copytree(out / "5b", out / "2b")
    said = run(saved["2b"], out / "2b")
    assert [line for line in said.splitlines() if line.endswith(": exporting")] == ["denoiser: exporting"]
    return {kind: Package(out / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def pipelines(saved) -> dict[str, CogVideoXPipeline]:
    pipelines = {kind: CogVideoXPipeline.from_pretrained(folder) for kind, folder in saved.items()}
    for pipeline in pipelines.values():
        pipeline.set_progress_bar_config(disable=True)
    return pipelines


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    """A saved pipeline that a test may change."""
    return shutil.copytree(saved["2b"], tmp_path / "saved")


def latents() -> np.ndarray:
    shape = (1, tiny.CHANNELS, tiny.LATENT_FRAMES, tiny.LATENT_HEIGHT, tiny.LATENT_WIDTH)
    return torch.randn(shape, generator=torch.Generator().manual_seed(7)).numpy()


def generate(pipeline: CogVideoXPipeline, prompt: str, guidance: float, output: str) -> np.ndarray:
    """The pipeline's frames, or its latent with the axes of a package."""
    result = pipeline(
        prompt,
        height=tiny.HEIGHT,
        width=tiny.WIDTH,
        num_frames=tiny.FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        latents=torch.from_numpy(latents()).transpose(1, 2),
        max_sequence_length=tiny.MAX_TOKENS,
        output_type=output,
    )
    frames = np.asarray(result.frames)
    return frames.transpose(0, 2, 1, 3, 4) if output == "latent" else frames.transpose(0, 1, 4, 2, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_guided_generation_is_the_pipelines(packages, pipelines, kind):
    package, pipeline = packages[kind], pipelines[kind]
    prompt, guidance = "a red ball on the beach", package.manifest["scheduler"]["guidance"]
    expected = generate(pipeline, prompt, guidance, "latent")
    # Unless prompt and guidance matter, equality says little.
    others = (
        generate(pipeline, prompt, 1.0, "latent"),
        generate(pipeline, "the beach", guidance, "latent"),
        latents(),
    )
    for other in others:
        assert relative_difference(other, expected) > 100 * TOLERANCE

    latent = package.generate(prompt, latents(), package.noise_levels(STEPS))
    assert relative_difference(latent, expected) < TOLERANCE

    frames = generate(pipeline, prompt, guidance, "np")
    assert frames.std() > 0.02
    assert relative_difference(package.run("vaeDecoder", latent=latent), frames) < TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_noise_levels_have_the_schedulers_signal_to_noise_ratios(saved, packages, kind):
    scheduler = tiny.scheduler(KINDS[kind][1])
    levels = cogvideox.noise_levels(Source(saved[kind])).double()
    signal = scheduler.alphas_cumprod[:-1]
    torch.testing.assert_close(((1 - levels) / levels)[:-1] ** 2, signal / (1 - signal), rtol=1e-3, atol=0)
    assert levels[-1] == 1

    scheduler.set_timesteps(STEPS)
    assert packages[kind].manifest["scheduler"]["sigmas"] == [*levels[scheduler.timesteps].tolist(), 0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_timestep_is_whole_at_the_levels_of_the_scheduler(saved, kind):
    levels = cogvideox.noise_levels(Source(saved[kind]))
    timestep = cogvideox.Timestep(levels)
    assert torch.equal(timestep(levels), torch.arange(1000.0))
    between = timestep((levels[:-1] + levels[1:]) / 2)
    torch.testing.assert_close(between, torch.arange(999) + 0.5, rtol=0, atol=1e-3)
    assert timestep(torch.tensor([0.0, levels[0] / 2])).tolist() == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_straight_lines_between_levels_are_close_to_the_schedule(saved, kind):
    """Lines of twice the length, which are four times as far off, miss what lies between them by little."""
    levels = cogvideox.noise_levels(Source(saved[kind]))
    wrong = (cogvideox.Timestep(levels[::2])(levels[1:-1:2]) * 2 - torch.arange(1, 999, 2)).abs()
    assert wrong.max() < 4 * 0.04
    assert wrong[10:].max() < 4 * 0.004


@pytest.mark.parametrize("prompt", ["a red ball", "", "the beach " * tiny.MAX_TOKENS])
def test_states_are_what_the_transformer_is_given(packages, pipelines, prompt):
    expected, _ = pipelines["5b"].encode_prompt(prompt, False, max_sequence_length=tiny.MAX_TOKENS)
    ids, mask = packages["5b"].tokens(prompt)
    states = packages["5b"].run("textEncoder", input_ids=ids, attention_mask=mask)
    assert relative_difference(states, expected.detach().numpy()) < TOLERANCE


def test_padding_is_text_and_the_mask_changes_nothing(packages):
    ids, mask = packages["5b"].tokens("a red ball")
    states = packages["5b"].run("textEncoder", input_ids=ids, attention_mask=mask)
    inputs = {"latent": latents(), "time": np.array([0.5], np.float32)}

    def velocity(states, mask) -> np.ndarray:
        return packages["5b"].run("denoiser", text_states=states, text_mask=mask, **inputs)

    whole = velocity(states, mask)
    np.testing.assert_array_equal(velocity(states, np.ones_like(mask)), whole)
    cut = velocity(states * mask[..., None].astype(np.float32), mask)
    assert relative_difference(cut, whole) > TOLERANCE


def test_the_encoder_gives_the_scaled_mean_of_the_posterior(packages, saved):
    vae = AutoencoderKLCogVideoX.from_pretrained(saved["5b"] / "vae")
    shape = (2, tiny.FRAMES, 3, tiny.HEIGHT, tiny.WIDTH)
    video = torch.rand(shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = vae.encode(video.transpose(1, 2) * 2 - 1).latent_dist.mean * vae.config.scaling_factor
    assert relative_difference(packages["5b"].run("vaeEncoder", video=video.numpy()), expected.numpy()) < TOLERANCE


def test_the_manifest_describes_the_model(packages):
    manifest = {**packages["5b"].manifest}
    assert list(manifest.pop("files")) == ["tokenizer", "textEncoder", "denoiser", "vaeDecoder", "vaeEncoder"]
    assert len(manifest["scheduler"].pop("sigmas")) == STEPS + 1
    assert manifest == {
        "format": "flexcache-model/2",
        "name": "5b",
        "family": "cogvideox",
        "video": {"frames": 17, "height": 16, "width": 24, "framesPerSecond": 8},
        "latent": {"channels": 4, "frames": 5, "height": 4, "width": 6},
        "text": {"maxTokens": 16, "hidden": 32, "padId": 0, "eosId": 1, "addsSpecialTokens": True},
        "scheduler": {"type": "rectified-flow", "guidance": 6.0, "steps": STEPS},
    }


LATENT = ["float", 4, 5, 4, 6]
SIGNATURES = {
    "textEncoder": ({"input_ids": ["int64", 16], "attention_mask": ["int64", 16]}, {"states": ["float", 16, 32]}),
    "denoiser": (
        {"latent": LATENT, "time": ["float"], "text_states": ["float", 16, 32], "text_mask": ["int64", 16]},
        {"velocity": LATENT},
    ),
    "vaeDecoder": ({"latent": LATENT}, {"video": ["float", 17, 3, 16, 24]}),
    "vaeEncoder": ({"video": ["float", 17, 3, 16, 24]}, {"latent": LATENT}),
}


@pytest.mark.parametrize("network", SIGNATURES)
def test_networks_take_and_give_what_the_package_promises(packages, network):
    assert packages["5b"].signature(network) == SIGNATURES[network]


@pytest.mark.parametrize(("kind", "rotations"), [("2b", 0), ("5b", 4)])
def test_the_denoiser_is_made_of_fused_operators(packages, kind, rotations):
    path = packages[kind].folder / "denoiser.onnx"
    used = operators_of(path)
    assert [used.count(name) for name in ("MultiHeadAttention", "FastGelu", "RotaryEmbedding")] == [2, 2, rotations]
    assert not {"Softmax", "ScatterND", "Tanh"} & set(used)


def request(**more) -> Request:
    return Request(**{"width": tiny.WIDTH, "height": tiny.HEIGHT, "frames": tiny.FRAMES, **more})


def test_weights_of_16_bits(saved, tmp_path):
    networks = {network.name: network for network in open_model(Source(saved["5b"]), request()).networks}
    export_network(networks["denoiser"], torch.float16, tmp_path / "denoiser.onnx", PLACES["cpu"])


def test_another_schedule_is_another_denoiser_alone(copy):
    def fingerprints() -> list[str]:
        model = open_model(Source(copy), request())
        return [fingerprint_of(model, network, "sum", torch.float32) for network in model.networks]

    before = fingerprints()
    change(copy / "scheduler" / "scheduler_config.json", snr_shift_scale=1.0)
    assert [a == b for a, b in zip(before, fingerprints(), strict=True)] == [True, False, True, True]


def test_a_shift_takes_the_place_of_the_schedulers_steps(copy):
    change(copy / "scheduler" / "scheduler_config.json", timestep_spacing="leading")
    scheduler = open_model(Source(copy), request(shift=3.0, steps=30)).scheduler
    assert (scheduler.shift, scheduler.sigmas, scheduler.steps) == (3.0, None, 30)


@pytest.mark.parametrize(
    ("file", "fields", "message"),
    [
        ("transformer/config.json", {"patch_size_t": 2}, "patch_size_t (CogVideoX 1.5) is not supported"),
        ("transformer/config.json", {"ofs_embed_dim": 8}, "image to video"),
        ("transformer/config.json", {"use_learned_positional_embeddings": True}, "learned positions"),
        ("transformer/config.json", {"in_channels": 8}, "channels that are not the latent's"),
        ("vae/config.json", {"temporal_compression_ratio": 8}, "temporal_compression_ratio"),
        ("scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler"}, "DDIMScheduler is not supported"),
        ("scheduler/scheduler_config.json", {"prediction_type": "epsilon"}, "prediction_type epsilon"),
        ("scheduler/scheduler_config.json", {"rescale_betas_zero_snr": False}, "rescale_betas_zero_snr false"),
        ("scheduler/scheduler_config.json", {"set_alpha_to_one": False}, "set_alpha_to_one false"),
        ("scheduler/scheduler_config.json", {"timestep_spacing": "leading"}, "timestep_spacing leading"),
        ("scheduler/scheduler_config.json", {"trained_betas": [0.1, 0.0, 0.1]}, "does not rise"),
    ],
)
def test_kinds_that_would_not_be_equal_are_refused_by_name(copy, file, fields, message):
    change(copy / file, **fields)
    with pytest.raises(ExportError) as refused:
        open_model(Source(copy), request())
    assert message in str(refused.value)
    assert refused.value.field == str(copy / file)


@pytest.mark.parametrize(
    ("asked", "message", "fix"),
    [
        ({"frames": 13}, "--frames: 13 is not a multiple of 8 plus 1", "use 9 or 17"),
        ({"height": 12}, "--height: 12 is not a multiple of 8", "use 8 or 16"),
        ({"width": 20}, "--width: 20 is not a multiple of 8", "use 16 or 24"),
        ({"max_tokens": 32}, "--max-tokens: 32 is not supported", "leave the option out"),
        ({"tile": 192}, "--tile: tiles are not supported", "leave the option out"),
        ({"steps": 30}, "--steps: 30 does not divide the 1000 timesteps", "use 25 or 40, or give a --shift"),
        ({"steps": 2000}, "--steps: 2000 does not divide the 1000 timesteps", "use 1000, or give a --shift"),
    ],
)
def test_sizes_and_steps_that_would_not_be_equal_are_refused(saved, asked, message, fix):
    with pytest.raises(ExportError) as refused:
        open_model(Source(saved["2b"]), request(**asked))
    assert str(refused.value).startswith(message)
    assert refused.value.fix == fix


@pytest.mark.parametrize("kind", KINDS)
def test_some_tokens_read_the_text_and_what_the_others_had_at_another_time(saved, kind, tmp_path):
    grid = (tiny.LATENT_FRAMES, tiny.LATENT_HEIGHT // 2, tiny.LATENT_WIDTH // 2)
    size = {"width": tiny.WIDTH, "height": tiny.HEIGHT, "frames": tiny.FRAMES}

    def network(regions: str | None):
        request = Request(**size, steps=STEPS, dtype=torch.float32, regions=regions)
        return next(n for n in open_model(Source(saved[kind]), request).networks if n.name == "denoiser")

    def inputs(seed: int, time: float) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(seed)
        latent = (tiny.CHANNELS, tiny.LATENT_FRAMES, tiny.LATENT_HEIGHT, tiny.LATENT_WIDTH)
        return {
            "latent": generator.standard_normal((2, *latent), dtype=np.float32),
            "time": np.full(2, time, np.float32),
            "text_states": generator.standard_normal((2, tiny.MAX_TOKENS, 32), dtype=np.float32),
            "text_mask": np.ones((2, tiny.MAX_TOKENS), np.int64),
        }

    regional, path = network("untrained"), tmp_path / "denoiser.onnx"
    # One kind is exported, the other is run in PyTorch: their graphs differ in their positions alone.
    if kind == "5b":
        export_network(regional, torch.float32, path, PLACES["cpu"])
        evaluate = Session(path)
    else:
        evaluate = InPyTorch(regional)
    exported = Regional(evaluate, grid, (1, 2, 2), blocks=2, heads=2, width=16)
    live = np.stack([np.arange(0, exported.tokens, 4), np.arange(exported.tokens)[::-1][: -(-exported.tokens // 4)]])
    before, after = inputs(0, 0.9), inputs(1, 0.4)
    call = AttentionCall(torch.nn.functional, "scaled_dot_product_attention", axis=2, text=tiny.MAX_TOKENS)
    expected = stale_reference(call, network(None).load().eval(), live, exported.tokens, before, after)

    whole = exported.whole(before)
    for name, context in zip(exported.names, expected.context, strict=True):
        assert relative_difference(whole[name], context) < TOLERANCE
    found = exported.run(after, live, live[:, :0], exported.chosen(whole, exported.others(live)))["velocity"]
    shown = exported.at(live)
    assert (found == 0)[np.broadcast_to(~shown, found.shape)].all()
    assert relative_difference(found, expected.velocity * shown) < TOLERANCE
    assert relative_difference(expected.velocity * shown, expected.fresh * shown) > 10 * TOLERANCE
    every = exported.run(after, exported.every, exported.every[:, :0], exported.no_context)["velocity"]
    assert relative_difference(every, expected.fresh) < TOLERANCE
