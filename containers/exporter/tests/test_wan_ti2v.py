"""The kind of Wan 2.2 TI2V: the exported networks against diffusers' own pipeline."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from conftest import change
from diffusers import AutoencoderKLWan, WanImageToVideoPipeline, WanPipeline
from PIL import Image
from reader import Package, operators_of, wan_noise_levels

from flexcache_exporter.cli import main
from flexcache_exporter.errors import ExportError
from flexcache_exporter.families import open_model, wan
from flexcache_exporter.graph import relative_difference
from flexcache_exporter.model import Latent, Request
from flexcache_exporter.source import Source
from flexcache_exporter.tiles import Axis, Tiles

STEPS = 4
#: Relative: float32 arithmetic in another order, over a whole generation.
TOLERANCE = 1e-4
LATENT = (tiny.TI2V_CHANNELS, 3, 4, 6)
PROMPT = "a red ball on the beach"
SIZES = {
    "width": tiny.TI2V_WIDTH, "height": tiny.TI2V_HEIGHT, "frames": tiny.FRAMES, "max_tokens": tiny.MAX_TOKENS,
}


@pytest.fixture(scope="module")
def ti2v(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny-ti2v"
    tiny.save_ti2v(folder)
    return folder


@pytest.fixture(scope="module")
def package(ti2v, export, tmp_path_factory) -> Package:
    out = tmp_path_factory.mktemp("exported") / "package"
    # Both pipelines have the same text encoder: it stays.
    shutil.copytree(export.out, out)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
    assert main([str(ti2v), "--out", str(out), "--dtype", "fp32", *options]) == 0
    return Package(out)


@pytest.fixture(scope="module")
def pipeline(ti2v) -> WanPipeline:
    pipeline = WanPipeline.from_pretrained(ti2v)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.config.expand_timesteps
    return pipeline


@pytest.fixture(scope="module")
def image_pipeline(pipeline) -> WanImageToVideoPipeline:
    pipeline = WanImageToVideoPipeline(
        **{name: pipeline.components[name] for name in ("tokenizer", "text_encoder", "vae", "scheduler", "transformer")},
        expand_timesteps=True,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def image() -> np.ndarray:
    """Pixels [Hp,Wp,3] of 8 bits."""
    shape = (tiny.TI2V_HEIGHT, tiny.TI2V_WIDTH, 3)
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


def latents(rows: int = 1) -> np.ndarray:
    return torch.randn(rows, *LATENT, generator=torch.Generator().manual_seed(7)).numpy()


def generate(pipeline: WanPipeline | WanImageToVideoPipeline, prompt: str | None, output: str, **more) -> np.ndarray:
    """Frames [B,F,Hp,Wp,3], or the latent [B,C,T,H,W]."""
    result = pipeline(
        prompt=prompt,
        height=tiny.TI2V_HEIGHT,
        width=tiny.TI2V_WIDTH,
        num_frames=tiny.FRAMES,
        num_inference_steps=STEPS,
        latents=torch.from_numpy(latents()),
        max_sequence_length=tiny.MAX_TOKENS,
        output_type=output,
        **more,
    )
    return np.asarray(result.frames)


def test_a_guided_generation_is_the_pipelines(package, pipeline):
    scheduler = package.manifest["scheduler"]
    expected = generate(pipeline, PROMPT, "latent", guidance_scale=scheduler["guidance"])
    # Unless the prompt matters, equality says little.
    other = generate(pipeline, "the beach", "latent", guidance_scale=scheduler["guidance"])
    assert relative_difference(other, expected) > 100 * TOLERANCE

    latent = package.generate(PROMPT, latents(), wan_noise_levels(scheduler["shift"], STEPS))
    assert relative_difference(latent, expected) < TOLERANCE

    frames = generate(pipeline, PROMPT, "np", guidance_scale=scheduler["guidance"])
    assert frames.std() > 0.02
    video = package.run("vaeDecoder", latent=latent)
    assert relative_difference(video, frames.transpose(0, 1, 4, 2, 3)) < TOLERANCE


def test_a_generation_from_a_first_image_is_the_pipelines(package, pipeline, image_pipeline):
    scheduler = package.manifest["scheduler"]
    # This pipeline cannot read a prompt without ftfy, which that of text does not need: their states are the same.
    asked, unasked = pipeline.encode_prompt(PROMPT, max_sequence_length=tiny.MAX_TOKENS)
    states = {"prompt_embeds": asked, "negative_prompt_embeds": unasked, "guidance_scale": scheduler["guidance"]}
    expected, other = (
        generate(image_pipeline, None, "latent", image=Image.fromarray(pixels), **states)
        for pixels in (image(), np.zeros_like(image()))
    )
    # The frames after it follow the image, too.
    assert relative_difference(other[:, :, 1:], expected[:, :, 1:]) > 50 * TOLERANCE

    pixels = image().transpose(2, 0, 1)[None].astype(np.float32) / 255
    first = package.run("imageEncoder", image=pixels)
    assert relative_difference(first, expected[:, :, :1]) < TOLERANCE
    latent = package.generate(PROMPT, latents(), wan_noise_levels(scheduler["shift"], STEPS), first)
    assert relative_difference(latent, expected) < TOLERANCE


def test_the_denoiser_reads_the_time_of_each_frame(package):
    _, mask = package.tokens(PROMPT)
    inputs = {
        "latent": latents(2),
        "text_states": np.random.default_rng(0).standard_normal((2, tiny.MAX_TOKENS, 32), dtype=np.float32),
        "text_mask": np.repeat(mask, 2, axis=0),
    }
    one, held = (package.run("denoiser", time=package.times(0.5, has_first), **inputs) for has_first in (False, True))
    # The first frame by its own time, the others because they read it.
    assert relative_difference(held[:, :, :1], one[:, :, :1]) > 100 * TOLERANCE
    assert relative_difference(held[:, :, 1:], one[:, :, 1:]) > TOLERANCE


def test_the_encoder_gives_the_normalised_mean_of_the_posterior(package, ti2v):
    vae = AutoencoderKLWan.from_pretrained(ti2v / "vae")
    shape = (2, tiny.FRAMES, 3, tiny.TI2V_HEIGHT, tiny.TI2V_WIDTH)
    video = torch.rand(shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        mean = vae.encode(video.transpose(1, 2) * 2 - 1).latent_dist.mean
    means, deviations = (
        torch.tensor(each).view(1, -1, 1, 1, 1) for each in (vae.config.latents_mean, vae.config.latents_std)
    )
    latent = package.run("vaeEncoder", video=video.numpy())
    assert relative_difference(latent, ((mean - means) / deviations).numpy()) < TOLERANCE


@pytest.mark.parametrize(("frames", "tile"), [(1, 6), (3, 6), (3, 4)])
def test_a_sequence_at_once_is_the_loop_over_its_frames(ti2v, frames, tile):
    tiles = Tiles(Axis(4, tile, 1), Axis(6, tile, 1), factor=16)
    latent = torch.randn(1, *LATENT, generator=torch.Generator().manual_seed(frames))[:, :, :frames]
    video = torch.rand(1, 4 * (frames - 1) + 1, 3, 64, 96, generator=torch.Generator().manual_seed(frames))
    vae = AutoencoderKLWan.from_pretrained(ti2v / "vae")
    with torch.no_grad():
        looped = wan.VaeDecoder(vae, tiles)(latent), wan.VaeEncoder(vae, tiles)(video)
        whole = wan.WholeDecoder(vae, tiles)(latent), wan.WholeEncoder(vae, tiles)(video)
    for got, expected in zip(whole, looped, strict=True):
        assert relative_difference(got.numpy(), expected.numpy()) < TOLERANCE


def test_the_manifest_has_the_extents_of_its_latent(package):
    assert package.manifest["family"] == "wan"
    assert package.manifest["latent"] == {"channels": 48, "frames": 3, "height": 4, "width": 6}
    latent = ["float", 48, 3, 4, 6]
    assert package.signature("vaeDecoder") == ({"latent": latent}, {"video": ["float", 9, 3, 64, 96]})
    assert package.signature("imageEncoder") == ({"image": ["float", 3, 64, 96]}, {"latent": ["float", 48, 1, 4, 6]})
    inputs, outputs = package.signature("denoiser")
    assert inputs["time"] == ["float", 3]
    assert outputs == {"velocity": latent}


def test_unless_asked_sizes_are_what_the_model_was_trained_for(ti2v):
    model = open_model(Source(ti2v), Request())
    assert (model.video.frames, model.video.height, model.video.width) == (121, 704, 1280)
    assert model.video.frames_per_second == 24
    assert model.latent == Latent(channels=48, frames=31, height=44, width=80)


def test_its_attention_tells_where_the_object_is_among_frames_of_other_times(ti2v):
    model = open_model(Source(ti2v), Request(**SIZES, dtype=torch.float32, object_map=()))
    (denoiser,) = (network for network in model.networks if network.name == "denoiser")
    inputs = denoiser.example(2)
    assert inputs["time"].shape == (2, 3)
    with torch.no_grad():
        reference = denoiser.load().eval()
        expected = reference(**inputs)
        got = denoiser.rewrite(reference).eval()(**inputs)
    assert expected[1].std() > 0
    for each, wanted in zip(got, expected, strict=True):
        assert relative_difference(each.numpy(), wanted.numpy()) < TOLERANCE


def test_with_regions_it_takes_no_first_image(ti2v):
    def networks(regions: str | None) -> dict:
        model = open_model(Source(ti2v), Request(**SIZES, regions=regions))
        return {network.name: network.example(1) for network in model.networks}

    assert "imageEncoder" in networks(None)
    assert networks(None)["denoiser"]["time"].shape == (1, 3)
    assert "imageEncoder" not in networks("untrained")
    assert networks("untrained")["denoiser"]["denoiser"]["time"].shape == (1,)


def test_it_tells_where_the_object_is_with_a_time_for_each_frame(ti2v):
    model = open_model(Source(ti2v), Request(**SIZES, dtype=torch.float32, object_map=(0,)))
    (denoiser,) = (network for network in model.networks if network.name == "denoiser")
    inputs = denoiser.example(2)
    with torch.no_grad():
        reference = denoiser.load().eval()
        expected = reference(**inputs)
        found = denoiser.rewrite(reference)(**inputs)
    assert expected[1].std() > 1e-4
    for one, other in zip(found, expected, strict=True):
        assert relative_difference(one.numpy(), other.numpy()) < TOLERANCE


@pytest.mark.parametrize(
    ("field", "value", "message", "fix"),
    [
        ("width", 80, "80 is not a multiple of 32", "use 64 or 96"),
        ("height", 720, "720 is not a multiple of 32", "use 704 or 736"),
        ("frames", 120, "120 is not a multiple of 4 plus 1", "use 117 or 121"),
        ("tile", 200, "200 is not a multiple of 16", "use 192 or 208"),
    ],
)
def test_a_size_that_does_not_divide(ti2v, field, value, message, fix):
    with pytest.raises(ExportError) as raised:
        open_model(Source(ti2v), Request(**{**SIZES, field: value}))
    assert str(raised.value) == f"--{field}: {message}"
    assert raised.value.fix == fix


def test_a_scheduler_of_many_kinds_of_sigmas_gives_its_flow_shift(ti2v, tmp_path):
    folder = shutil.copytree(ti2v, tmp_path / "saved")
    # What Wan2.2-TI2V-5B was saved with.
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    change(
        folder / "scheduler" / "scheduler_config.json",
        _class_name="UniPCMultistepScheduler", use_flow_sigmas=True, flow_shift=5.0, prediction_type="flow_prediction",
    )
    assert open_model(Source(folder), Request()).scheduler.shift == 5


def test_graphs_are_made_of_fused_operators(package):
    denoiser, decoder, encoder = (
        operators_of(package.folder / f"{name}.onnx") for name in ("denoiser", "vae-decoder", "vae-encoder")
    )
    assert denoiser.count("MultiHeadAttention") == 4
    assert decoder.count("Resize") == 3
    for used in (denoiser, decoder, encoder):
        assert not {"Softmax", "ScatterND", "GatherND", "Loop", "If"} & set(used)
