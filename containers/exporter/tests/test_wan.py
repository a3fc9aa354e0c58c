"""The exported networks against diffusers' own pipeline."""

import numpy as np
import onnxruntime
import pytest
import tiny
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline
from reader import Package, operators_of, require_mask_decides, wan_noise_levels

from flexcache_exporter.families import open_model, wan
from flexcache_exporter.graph import PLACES, export_network, relative_difference
from flexcache_exporter.model import Request
from flexcache_exporter.source import Source
from flexcache_exporter.tiles import Axis, Tiles

STEPS = 4
#: Relative: float32 arithmetic in another order, over a whole generation.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def package(export) -> Package:
    return Package(export.out)


@pytest.fixture(scope="module")
def pipeline(saved) -> WanPipeline:
    pipeline = WanPipeline.from_pretrained(saved)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def latents(rows: int = 1) -> np.ndarray:
    return torch.randn(rows, 16, 3, 4, 6, generator=torch.Generator().manual_seed(7)).numpy()


def generate(pipeline: WanPipeline, prompt: str, start: np.ndarray, guidance: float, output: str) -> np.ndarray:
    result = pipeline(
        prompt,
        height=tiny.HEIGHT,
        width=tiny.WIDTH,
        num_frames=tiny.FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        latents=torch.from_numpy(start),
        max_sequence_length=tiny.MAX_TOKENS,
        output_type=output,
    )
    return np.asarray(result.frames)


def test_a_guided_generation_is_the_pipelines(package, pipeline):
    prompt, guidance = "a red ball on the beach", package.manifest["scheduler"]["guidance"]
    expected = generate(pipeline, prompt, latents(), guidance, "latent")
    # Unless prompt and guidance matter, equality says little.
    others = (
        generate(pipeline, prompt, latents(), 1.0, "latent"),
        generate(pipeline, "the beach", latents(), guidance, "latent"),
        latents(),
    )
    for other in others:
        assert relative_difference(other, expected) > 100 * TOLERANCE

    latent = package.generate(prompt, latents(), wan_noise_levels(package.manifest["scheduler"]["shift"], STEPS))
    assert relative_difference(latent, expected) < TOLERANCE

    frames = generate(pipeline, prompt, latents(), guidance, "np")
    assert frames.std() > 0.02
    video = package.run("vaeDecoder", latent=latent)
    assert relative_difference(video, frames.transpose(0, 1, 4, 2, 3)) < TOLERANCE


def test_the_shift_is_that_of_the_saved_scheduler(package):
    shift = package.manifest["scheduler"]["shift"]
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(STEPS)
    np.testing.assert_allclose(wan_noise_levels(shift, STEPS), scheduler.sigmas.numpy(), rtol=1e-5)


@pytest.mark.parametrize("prompt", ["a red ball", "", "the beach " * tiny.MAX_TOKENS, "Zürich 7"])
def test_tokens_are_the_pipelines(package, pipeline, prompt):
    expected = pipeline.tokenizer(
        [prompt], padding="max_length", max_length=tiny.MAX_TOKENS, truncation=True, return_tensors="np"
    )
    ids, mask = package.tokens(prompt)
    np.testing.assert_array_equal(ids, expected.input_ids)
    np.testing.assert_array_equal(mask, expected.attention_mask)


def test_states_are_what_the_transformer_is_given(package, pipeline):
    expected, _ = pipeline.encode_prompt("a red ball", max_sequence_length=tiny.MAX_TOKENS)
    ids, mask = package.tokens("a red ball")
    states = package.run("textEncoder", input_ids=ids, attention_mask=mask)
    assert relative_difference(states, expected.detach().numpy()) < TOLERANCE
    assert not states[mask == 0].any()


def test_states_beyond_the_mask_change_nothing(package):
    require_mask_decides(package, latents(), TOLERANCE)


def test_the_encoder_gives_the_normalised_mean_of_the_posterior(package, saved):
    vae = AutoencoderKLWan.from_pretrained(saved / "vae")
    video = torch.rand(2, tiny.FRAMES, 3, tiny.HEIGHT, tiny.WIDTH, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        mean = vae.encode(video.transpose(1, 2) * 2 - 1).latent_dist.mean
    expected = (mean - torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)) / torch.tensor(
        vae.config.latents_std
    ).view(1, -1, 1, 1, 1)
    assert relative_difference(package.run("vaeEncoder", video=video.numpy()), expected.numpy()) < TOLERANCE


@pytest.mark.parametrize(("frames", "tile"), [(1, 6), (2, 6), (2, 4)])
def test_a_sequence_at_once_is_the_loop_over_its_frames(saved, frames, tile):
    tiles = Tiles(Axis(4, tile, 1), Axis(6, tile, 1), factor=8)
    latent = torch.randn(1, 16, frames, 4, 6, generator=torch.Generator().manual_seed(frames))
    video = torch.rand(1, 4 * (frames - 1) + 1, 3, 32, 48, generator=torch.Generator().manual_seed(frames))
    vae = AutoencoderKLWan.from_pretrained(saved / "vae")
    with torch.no_grad():
        looped = wan.VaeDecoder(vae, tiles)(latent), wan.VaeEncoder(vae, tiles)(video)
        whole = wan.WholeDecoder(vae, tiles)(latent), wan.WholeEncoder(vae, tiles)(video)
    for got, expected in zip(whole, looped, strict=True):
        assert relative_difference(got.numpy(), expected.numpy()) < TOLERANCE


SIGNATURES = {
    "textEncoder": ({"input_ids": ["int64", 16], "attention_mask": ["int64", 16]}, {"states": ["float", 16, 32]}),
    "denoiser": (
        {
            "latent": ["float", 16, 3, 4, 6],
            "time": ["float"],
            "text_states": ["float", 16, 32],
            "text_mask": ["int64", 16],
        },
        {"velocity": ["float", 16, 3, 4, 6]},
    ),
    "vaeDecoder": ({"latent": ["float", 16, 3, 4, 6]}, {"video": ["float", 9, 3, 32, 48]}),
    "vaeEncoder": ({"video": ["float", 9, 3, 32, 48]}, {"latent": ["float", 16, 3, 4, 6]}),
}


@pytest.mark.parametrize("network", SIGNATURES)
def test_networks_take_and_give_what_the_package_promises(package, network):
    assert package.signature(network) == SIGNATURES[network]


def test_the_denoiser_is_made_of_fused_operators(export):
    used = operators_of(export.out / "denoiser.onnx")
    # Two blocks: an attention to themselves and one to the prompt in each.
    assert used.count("MultiHeadAttention") == 4
    assert used.count("RotaryEmbedding") == 4
    assert used.count("SimplifiedLayerNormalization") == 8
    assert used.count("FastGelu") == 2
    assert not {"Softmax", "ScatterND", "ReduceMean"} & set(used)


def test_the_decoder_doubles_images_by_resizing(export):
    used = operators_of(export.out / "vae-decoder.onnx")
    assert used.count("Resize") == 3
    assert not {"Softmax", "ScatterND", "GatherND", "Expand"} & set(used)


@pytest.mark.parametrize("name", ["text-encoder", "denoiser", "vae-decoder", "vae-encoder"])
def test_graphs_say_nothing_of_the_machine_that_made_them(export, name):
    graph = (export.out / f"{name}.onnx").read_bytes()
    assert b"site-packages" not in graph
    assert b"flexcache_exporter" not in graph


def test_weights_of_16_bits_take_half_the_space(export, saved, tmp_path):
    dtype = torch.float16
    size = {"width": tiny.WIDTH, "height": tiny.HEIGHT, "frames": tiny.FRAMES, "max_tokens": tiny.MAX_TOKENS}
    request = Request(**size, dtype=dtype, regions="untrained", object_map=())
    networks = {network.name: network for network in open_model(Source(saved), request).networks}
    export_network(networks["denoiser"], dtype, tmp_path / "denoiser.onnx", PLACES["cpu"])
    whole = (export.out / "denoiser.onnx.data").stat().st_size
    assert 0.4 * whole < (tmp_path / "denoiser.onnx.data").stat().st_size < 0.7 * whole
    session = onnxruntime.InferenceSession(tmp_path / "denoiser.onnx")
    types = {value.name: value.type for value in (*session.get_inputs(), *session.get_outputs())}
    contexts = {name for name in types if "keys" in name or "values" in name}
    # Keys and values stay as they are: they only go round.
    assert {types[name] for name in contexts} == {"tensor(float16)"}
    assert {types[name] for name in types.keys() - contexts} == {"tensor(float)", "tensor(int64)"}
