"""LTXPipeline: the exported networks against diffusers' own pipeline."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tiny_ltx as tiny
import torch
from conftest import change
from diffusers import FlowMatchEulerDiscreteScheduler, LTXPipeline, LTXVideoTransformer3DModel
from diffusers.models.transformers import transformer_ltx
from diffusers.models.transformers.transformer_ltx import apply_rotary_emb
from reader import Package, operators_of, require_mask_decides
from regional import AttentionCall, Regional, Session, stale_reference

from flexcache_exporter import operators
from flexcache_exporter.cli import main
from flexcache_exporter.errors import ExportError
from flexcache_exporter.families import ltx, open_model
from flexcache_exporter.graph import PLACES, export_network, relative_difference
from flexcache_exporter.model import Latent, Regions, Request
from flexcache_exporter.package import fingerprint_of
from flexcache_exporter.source import Source

STEPS = 4
#: Relative: float32 arithmetic in another order, over a whole generation.
TOLERANCE = 1e-4
FRAME_RATE = 24
LATENT = (tiny.CHANNELS, 2, 2, 3)
SIZES = {"width": tiny.WIDTH, "height": tiny.HEIGHT, "frames": tiny.FRAMES, "max_tokens": tiny.MAX_TOKENS}
PROMPT = "a red ball on the beach"


def request(**more) -> Request:
    return Request(**{**SIZES, "frames_per_second": FRAME_RATE, "steps": STEPS, "dtype": torch.float32, **more})


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny-ltx"
    tiny.save(folder)
    return folder


@pytest.fixture(scope="module")
def package(saved, tmp_path_factory) -> Package:
    out = tmp_path_factory.mktemp("exported")
    options = {**SIZES, "frames-per-second": FRAME_RATE, "steps": STEPS, "dtype": "fp32"}
    more = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    assert main([str(saved), "--out", str(out), *more]) == 0
    return Package(out)


@pytest.fixture(scope="module")
def pipeline(saved) -> LTXPipeline:
    pipeline = LTXPipeline.from_pretrained(saved)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def latents() -> np.ndarray:
    return torch.randn(1, *LATENT, generator=torch.Generator().manual_seed(7)).numpy()


def generate(pipeline: LTXPipeline, prompt: str, guidance: float, output: str, rate: int = FRAME_RATE) -> np.ndarray:
    """Frames [B,F,Hp,Wp,3], or the latent as [B,C,T,H,W]."""
    # The layers of the decoder draw from the global generator: nothing else does.
    torch.manual_seed(ltx.NOISE_SEED)
    result = pipeline(
        prompt,
        height=tiny.HEIGHT,
        width=tiny.WIDTH,
        num_frames=tiny.FRAMES,
        frame_rate=rate,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        latents=pipeline._pack_latents(torch.from_numpy(latents())),
        generator=torch.Generator(),
        max_sequence_length=tiny.MAX_TOKENS,
        output_type=output,
    ).frames
    return pipeline._unpack_latents(result, *LATENT[1:]).numpy() if output == "latent" else np.asarray(result)


def test_a_guided_generation_is_the_pipelines(package, pipeline):
    guidance = package.manifest["scheduler"]["guidance"]
    expected = generate(pipeline, PROMPT, guidance, "latent")
    # Unless prompt, guidance and frame rate matter, equality says little.
    others = (
        generate(pipeline, PROMPT, 1.0, "latent"),
        generate(pipeline, "the beach", guidance, "latent"),
        generate(pipeline, PROMPT, guidance, "latent", rate=5),
        latents(),
    )
    for other in others:
        assert relative_difference(other, expected) > 100 * TOLERANCE

    latent = package.generate(PROMPT, latents(), package.noise_levels(STEPS))
    assert relative_difference(latent, expected) < TOLERANCE

    frames = generate(pipeline, PROMPT, guidance, "np")
    assert frames.std() > 0.02
    video = package.run("vaeDecoder", latent=latent)
    assert relative_difference(video, frames.transpose(0, 1, 4, 2, 3)) < TOLERANCE


def test_the_manifest_describes_the_model(package):
    manifest = {**package.manifest}
    sigmas = manifest["scheduler"]["sigmas"]
    del manifest["files"]
    assert manifest == {
        "format": "flexcache-model/2",
        "name": "tiny-ltx",
        "family": "ltx",
        "video": {"frames": 5, "height": 64, "width": 96, "framesPerSecond": 24},
        "latent": {"channels": 16, "frames": 2, "height": 2, "width": 3},
        "text": {"maxTokens": 16, "hidden": 32, "padId": 0, "eosId": 1, "addsSpecialTokens": True},
        "scheduler": {"type": "rectified-flow", "guidance": 3.0, "steps": STEPS, "sigmas": sigmas},
    }
    assert (sigmas[0], *sigmas[-2:]) == (1, pytest.approx(0.1), 0)


def test_unless_asked_sizes_are_the_pipelines_own(saved):
    model = open_model(Source(saved), Request())
    assert (model.video.frames, model.video.height, model.video.width) == (161, 512, 704)
    assert model.video.frames_per_second == 25
    assert model.latent == Latent(channels=16, frames=41, height=16, width=22)
    assert (model.text.max_tokens, model.scheduler.guidance, model.scheduler.steps) == (128, 3.0, 50)


def ran_over(pipeline: LTXPipeline, scheduler: dict, **sizes) -> np.ndarray:
    """Noise levels that the pipeline runs over, with no network evaluated."""

    class Enough(Exception):
        pass

    def stop(*_inputs, **_more):
        raise Enough

    pipeline = LTXPipeline(**{**pipeline.components, "scheduler": FlowMatchEulerDiscreteScheduler(**scheduler)})
    pipeline.set_progress_bar_config(disable=True)
    hook = pipeline.transformer.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with pytest.raises(Enough):
            pipeline(PROMPT, max_sequence_length=tiny.MAX_TOKENS, **sizes)
    finally:
        hook.remove()
    return pipeline.scheduler.sigmas.numpy()


@pytest.mark.parametrize(
    ("scheduler", "form"),
    [
        (tiny.SCHEDULE, "sigmas"),
        ({**tiny.SCHEDULE, "shift_terminal": None}, "shift"),
        ({**tiny.SCHEDULE, "shift_terminal": None, "time_shift_type": "linear"}, "shift"),
        ({"shift": 3.0}, "shift"),
        ({"shift": 3.0, "shift_terminal": 0.1}, "sigmas"),
    ],
    ids=["LTX-Video", "no terminal", "linear", "fixed", "fixed with a terminal"],
)
@pytest.mark.parametrize(("width", "height", "frames"), [(96, 64, 5), (704, 512, 81)])
def test_noise_levels_are_the_pipelines(copy, pipeline, scheduler, form, width, height, frames):
    change(copy / "scheduler" / "scheduler_config.json", **{"shift_terminal": None, **scheduler})
    if "use_dynamic_shifting" not in scheduler:
        change(copy / "scheduler" / "scheduler_config.json", use_dynamic_shifting=False)
    asked = {"width": width, "height": height, "frames": frames}
    found = open_model(Source(copy), request(**asked, steps=7)).scheduler
    expected = ran_over(pipeline, scheduler, width=width, height=height, num_frames=frames, num_inference_steps=7)
    assert (found.shift is None, found.sigmas is None) == (form != "shift", form != "sigmas")
    times = np.linspace(1, 0, 8)
    levels = found.sigmas if form == "sigmas" else found.shift * times / (1 + (found.shift - 1) * times)
    np.testing.assert_allclose(levels, expected, atol=1e-6)


def test_the_prompt_is_encoded_as_the_pipeline_does(package, pipeline):
    for prompt in ("a red ball", "", "the beach " * tiny.MAX_TOKENS):
        expected, expected_mask, *_ = pipeline.encode_prompt(prompt, max_sequence_length=tiny.MAX_TOKENS)
        ids, mask = package.tokens(prompt)
        np.testing.assert_array_equal(mask, expected_mask.numpy())
        states = package.run("textEncoder", input_ids=ids, attention_mask=mask)
        assert relative_difference(states, expected.detach().numpy() * mask[..., None]) < TOLERANCE
        assert not states[mask == 0].any()


def test_states_beyond_the_mask_change_nothing(package):
    require_mask_decides(package, latents(), TOLERANCE)


def test_the_encoder_gives_the_normalised_mean_of_the_posterior(package, pipeline):
    vae = pipeline.vae
    video = torch.rand(2, tiny.FRAMES, 3, tiny.HEIGHT, tiny.WIDTH, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        mean = vae.encode(video.transpose(1, 2) * 2 - 1).latent_dist.mean
    expected = pipeline._normalize_latents(mean, vae.latents_mean, vae.latents_std, vae.config.scaling_factor)
    assert relative_difference(package.run("vaeEncoder", video=video.numpy()), expected.numpy()) < TOLERANCE


def test_the_encoder_of_later_versions_is_exported_equal(copy, tmp_path):
    tiny.vae("0.9.5").save_pretrained(copy / "vae")
    model = open_model(Source(copy), request())
    assert (model.latent.frames, model.latent.height, model.latent.width) == LATENT[1:]
    network = model.networks[3]
    findings = export_network(network, torch.float32, tmp_path / "vae.onnx", PLACES["cpu"])
    assert max(finding.difference for finding in findings.values()) < TOLERANCE
    (output,) = onnxruntime.InferenceSession(tmp_path / "vae.onnx").get_outputs()
    assert output.shape[1:] == list(LATENT)


@pytest.mark.parametrize("version", tiny.VAES)
def test_a_rewritten_vae_is_the_same(version):
    vae = tiny.vae(version).eval()
    halves = [ltx.SeededVaeDecoder(vae), ltx.VaeEncoder(vae)]
    video = torch.rand(1, tiny.FRAMES, 3, tiny.HEIGHT, tiny.WIDTH, generator=torch.Generator().manual_seed(3))
    inputs = [torch.from_numpy(latents()), video]
    with torch.no_grad():
        expected = [half(x) for half, x in zip(halves, inputs, strict=True)]
        rewritten = [ltx.fuse_vae(ltx.fix_noise(halves[0], Latent(*LATENT))), ltx.fuse_vae(halves[1])]
        got = [half(x) for half, x in zip(rewritten, inputs, strict=True)]
    for actual, wanted in zip(got, expected, strict=True):
        assert relative_difference(actual.numpy(), wanted.numpy()) < TOLERANCE


def test_extents_of_latents_follow_from_the_vae():
    assert ltx._compression_of({}) == (8, 32)
    assert ltx._compression_of({"patch_size": 2, "spatio_temporal_scaling": [True, False]}) == (2, 4)
    assert ltx._compression_of({"spatial_compression_ratio": 16, "temporal_compression_ratio": 4}) == (4, 16)


def test_the_decoders_noise_is_that_of_its_seed():
    decoder = ltx.SeededVaeDecoder(tiny.vae("0.9.1").eval())
    latent = torch.from_numpy(latents())
    with torch.no_grad():
        seeded, again = decoder(latent), decoder(latent)
        torch.manual_seed(ltx.NOISE_SEED + 1)
        other = ltx.VaeDecoder.forward(decoder, latent)
    np.testing.assert_array_equal(again.numpy(), seeded.numpy())
    assert relative_difference(other.numpy(), seeded.numpy()) > 100 * TOLERANCE


def test_networks_take_and_give_what_the_package_promises(package):
    text, states, video = ["int64", 16], ["float", 16, 32], ["float", 5, 3, 64, 96]
    latent = ["float", *LATENT]
    assert {name: package.signature(name) for name in package.sessions} == {
        "textEncoder": ({"input_ids": text, "attention_mask": text}, {"states": states}),
        "denoiser": (
            {"latent": latent, "time": ["float"], "text_states": states, "text_mask": text},
            {"velocity": latent},
        ),
        "vaeDecoder": ({"latent": latent}, {"video": video}),
        "vaeEncoder": ({"video": video}, {"latent": latent}),
    }


def test_the_denoiser_is_made_of_fused_operators(saved, tmp_path, monkeypatch):
    # As of a wide transformer, of which a block of CUDA does not hold a token.
    monkeypatch.setattr(operators, "ROTATED_AT_ONCE", 16)
    network = open_model(Source(saved), request()).networks[1]
    export_network(network, torch.float16, tmp_path / "denoiser.onnx", PLACES["cpu"])
    used = operators_of(tmp_path / "denoiser.onnx")
    # One block: an attention to itself and one to the prompt, and two norms beside those of queries and keys.
    assert used.count("MultiHeadAttention") == 2
    assert used.count("RotaryEmbedding") == 2
    assert used.count("SimplifiedLayerNormalization") == 6
    assert used.count("FastGelu") == 1
    assert not {"Softmax", "ScatterND", "ReduceMean"} & set(used)


def test_the_decoder_is_made_of_fused_operators(package):
    used = operators_of(package.folder / "vae-decoder.onnx")
    assert used.count("Conv") == 10
    assert used.count("SimplifiedLayerNormalization") == 7
    assert not {"RandomNormalLike", "ScatterND", "ReduceMean"} & set(used)


@pytest.mark.parametrize("at_once", [1024, 32, 16, 8])
def test_heads_are_rotated_by_their_own_angles(monkeypatch, at_once):
    monkeypatch.setattr(operators, "ROTATED_AT_ONCE", at_once)
    x = torch.randn(2, 12, 32, generator=torch.Generator().manual_seed(0))
    rope = LTXVideoTransformer3DModel(num_attention_heads=2, attention_head_dim=16, num_layers=1).rope
    cos, sin = rope(x, 2, 2, 3, (0.3, 32, 32))
    assert relative_difference(cos[0, :, :16].numpy(), cos[0, :, 16:].numpy()) > 0.1
    rotated = operators.rotate_each_head(x, cos[0, :, 0::2], sin[0, :, 0::2])
    assert relative_difference(rotated.numpy(), apply_rotary_emb(x, (cos, sin)).numpy()) < 1e-6


def test_the_frame_rate_is_inside_the_denoiser_alone(saved):
    def fingerprints(rate: float) -> list[str]:
        model = open_model(Source(saved), request(frames_per_second=rate))
        return [fingerprint_of(model, network, "sum", torch.float32) for network in model.networks]

    same = [before == after for before, after in zip(fingerprints(24), fingerprints(25), strict=True)]
    assert same == [True, False, True, True]


@pytest.mark.parametrize(
    ("component", "fields", "message"),
    [
        ("transformer/config.json", {"patch_size": 2}, "patch_size is 2"),
        ("transformer/config.json", {"patch_size_t": 2}, "patch_size_t is 2"),
        ("vae/config.json", {"patch_size_t": 2}, "patch_size_t is 2"),
        ("scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler"}, "DDIMScheduler is not supported"),
        ("scheduler/scheduler_config.json", {"invert_sigmas": True}, "invert_sigmas is not supported"),
        ("scheduler/scheduler_config.json", {"stochastic_sampling": True}, "stochastic_sampling is not supported"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_cannot_be_exported_equal_is_refused(copy, component, fields, message):
    change(copy / component, **fields)
    with pytest.raises(ExportError, match=message) as error:
        open_model(Source(copy), request())
    assert error.value.field.startswith(str(copy / component.split("/")[0]))
    if component.startswith("scheduler"):
        assert open_model(Source(copy), request(shift=3.0)).scheduler.shift == 3.0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"width": 80}, "--width: 80 is not a multiple of 32"),
        ({"height": 48}, "--height: 48 is not a multiple of 32"),
        ({"frames": 8}, "--frames: 8 is not a multiple of 4 plus 1"),
        ({"tile": 64}, "--tile: tiles of LTX-Video's VAE are not supported"),
        ({"steps": 1}, "its 1 sigmas do not fall from 1 to 0"),
    ],
)
def test_a_request_that_cannot_be_met(saved, asked, message):
    with pytest.raises(ExportError, match=message):
        open_model(Source(saved), request(**asked))


@pytest.fixture(scope="module")
def denoiser(saved, tmp_path_factory) -> tuple[Regional, torch.nn.Module]:
    """The denoiser with regions and an object map, and in diffusers' own code."""
    path = tmp_path_factory.mktemp("regional") / "denoiser.onnx"

    def network(**more):
        return next(n for n in open_model(Source(saved), request(**more)).networks if n.name == "denoiser")

    # Its object map is compared with that of diffusers' probabilities here.
    regional = network(regions="untrained", object_map=())
    assert regional.outputs == ("velocity", "object_map", "keys_0", "values_0")
    export_network(regional, torch.float32, path, PLACES["cpu"])
    return Regional(Session(path), LATENT[1:], (1, 1, 1), blocks=1, heads=2, width=16), network().load().eval()


def test_some_tokens_read_what_the_others_had_at_another_time(denoiser):
    def inputs(seed: int, time: float) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(seed)
        return {
            "latent": generator.standard_normal((2, *LATENT), dtype=np.float32),
            "time": np.full(2, time, np.float32),
            "text_states": generator.standard_normal((2, tiny.MAX_TOKENS, 32), dtype=np.float32),
            "text_mask": (np.arange(tiny.MAX_TOKENS) < [[5], [9]]).astype(np.int64),
        }

    exported, reference = denoiser
    live = np.array([[0, 4, 11], [7, 2, 3]])
    before, after = inputs(0, 0.9), inputs(1, 0.4)
    expected = stale_reference(AttentionCall(transformer_ltx), reference, live, exported.tokens, before, after)
    whole = exported.whole(before)
    for name, context in zip(exported.names, expected.context, strict=True):
        assert relative_difference(whole[name], context) < TOLERANCE
    found = exported.run(after, live, live[:, :0], exported.chosen(whole, exported.others(live)))["velocity"]
    shown = exported.at(live)
    assert relative_difference(found, expected.velocity * shown) < TOLERANCE
    assert relative_difference(expected.velocity * shown, expected.fresh * shown) > 100 * TOLERANCE
    every = exported.run(after, exported.every, exported.every[:, :0], exported.no_context)["velocity"]
    assert relative_difference(every, expected.fresh) < TOLERANCE


def test_the_manifest_has_the_facts_of_its_regions(saved):
    model = open_model(Source(saved), request(regions="trained", object_map=()))
    assert model.maps_object
    assert model.regions == Regions((1, 1, 1), blocks=1, heads=2, head_width=16, is_trained=True, dtype=torch.float32)
