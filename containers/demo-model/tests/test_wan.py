"""diffusers' architectures, trained: what training computes is what diffusers computes of the folder that is saved."""

import random

import pytest
import torch
from diffusers import WanTransformer3DModel
from flexcache_exporter.families import open_model
from flexcache_exporter.families import wan as family
from flexcache_exporter.model import Latent, Regions, Request
from flexcache_exporter.regions import RegionDenoiser, Stage, names_of
from flexcache_exporter.source import Source
from transformers import AutoTokenizer

from demo_model import captions, export, networks, recipes, tokenization, train, wan

SIZES = wan.SIZES["wan-tiny"]
LAYOUT = SIZES.layout


@pytest.fixture(scope="module")
def denoiser():
    torch.manual_seed(3)
    net = wan.Denoiser(SIZES)
    # What starts at zero would hide whether text and time are read.
    for name, parameter in net.named_parameters():
        if "to_out" in name or "proj_out" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return net.eval()


def inputs(batch=2):
    generator = torch.Generator().manual_seed(5)
    latent = torch.randn(batch, *LAYOUT.latent, generator=generator)
    states = torch.randn(batch, tokenization.MAX_TOKENS, networks.TEXT_WIDTH, generator=generator)
    mask = (torch.arange(tokenization.MAX_TOKENS) < torch.tensor([[5], [9]])).long()
    live = torch.rand(batch, LAYOUT.tokens, generator=generator) < 0.4
    return latent, torch.rand(batch, generator=generator), states, mask, live


@torch.no_grad()
def test_an_evaluation_is_that_of_the_transformer_in_diffusers(denoiser):
    latent, time, states, mask, live = inputs()
    original = WanTransformer3DModel.from_config(denoiser.transformer.config)
    original.load_state_dict(denoiser.transformer.state_dict())
    words = states * mask.unsqueeze(-1)
    expected = original(latent, time * 1000, words, return_dict=False)[0]
    assert torch.allclose(denoiser(latent, time, states, mask), expected, atol=1e-5)
    # All tokens live: nothing is masked, and all timesteps of tokens are the row's.
    everywhere = denoiser.two_clocks(latent, time, states, mask, torch.ones_like(live), states[:1])
    timesteps = (time * 1000)[:, None].expand(-1, LAYOUT.tokens)
    assert torch.allclose(everywhere, original(latent, timesteps, words, return_dict=False)[0], atol=1e-5)


@torch.no_grad()
def test_live_tokens_have_their_own_time_and_the_context_none_of_it(denoiser):
    latent, time, states, mask, live = inputs()
    unconditional = states.flip(0)[:1]
    inside = networks.grid_mask(live, LAYOUT.latent).expand_as(latent) > 0
    first = denoiser.two_clocks(latent, time, states, mask, live, unconditional)
    noise = torch.where(inside, torch.randn_like(latent), latent)
    other = denoiser.two_clocks(noise, 1 - time, states.roll(1, 1), mask, live, unconditional)
    assert torch.allclose(first[~inside], other[~inside], atol=1e-5)
    assert (first - other)[inside].abs().mean() > 1e-3
    # Live tokens read the context: its latent is a part of what they give.
    moved = denoiser.two_clocks(latent + (~inside), time, states, mask, live, unconditional)
    assert (first - moved)[inside].abs().mean() > 1e-3


@torch.no_grad()
def test_the_exporters_regions_are_those_of_training(denoiser):
    latent, time, states, mask, _ = inputs()
    unconditional = states.flip(0)[:1] * (torch.arange(tokenization.MAX_TOKENS) < 1)[:, None]
    tokens = torch.stack([torch.randperm(LAYOUT.tokens, generator=torch.Generator().manual_seed(row)) for row in range(2)])
    live, rest = tokens[:, :40], tokens[:, 40:]
    stage, heads = Stage(), SIZES.heads
    regions = Regions(networks.PATCH, SIZES.layers, heads, SIZES.width // heads, is_trained=True, dtype=torch.float32)
    transformer = WanTransformer3DModel.from_config(denoiser.transformer.config)
    transformer.load_state_dict(denoiser.transformer.state_dict())
    exported = RegionDenoiser(family.fuse(family.Denoiser(transformer), Latent(*LAYOUT.latent), stage), stage, regions, LAYOUT.tokens)
    names = [name for pair in names_of(regions) for name in pair]

    def evaluate(of, kept, context, **changed):
        given = {"latent": latent, "time": time, "text_states": states, "text_mask": mask} | changed
        return exported(given, of, kept, dict(zip([f"context_{name}" for name in names], context)))

    nothing = [torch.zeros(2, heads, 0, SIZES.width // heads) for _ in names]
    clean = {"time": torch.zeros(2), "text_states": unconditional.expand(2, -1, -1), "text_mask": torch.ones_like(mask)}
    _, *context = evaluate(rest, torch.arange(rest.shape[1]).expand(2, -1), nothing, **clean)
    velocity, *_ = evaluate(live, live[:, :0], context)
    is_live = torch.zeros(2, LAYOUT.tokens, dtype=torch.bool).scatter(1, live, True)
    expected = denoiser.two_clocks(latent, time, states, mask, is_live, unconditional)
    inside = networks.grid_mask(is_live, LAYOUT.latent)
    assert torch.allclose(velocity, expected * inside, atol=1e-5)


def test_an_object_is_masked_in_the_latent_frame_that_stands_for_its_frame():
    mask = torch.zeros(1, 17, 1, 128, 128)
    mask[:, 0, :, :8, :8] = mask[:, 2, :, 8:16, 8:16] = 1
    found = networks.latent_mask(mask, wan.SIZES["wan"].layout.latent)
    assert found.nonzero().tolist() == [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1]]


@torch.no_grad()
def test_channels_last_in_memory_change_no_number():
    _, decoder = wan.make_vae(SIZES)
    latent = torch.randn(1, *LAYOUT.latent)
    expected = decoder(latent)
    train.put_channels_last(list(decoder.parameters()))
    assert torch.allclose(decoder(latent), expected, atol=1e-5)


STAGES = {
    "vae": ["--batch", "1"], "data": ["--clips", "8", "--batch", "4", "--workers", "1"], "aux": ["--batch", "4"],
    "denoiser": ["--batch", "2"], "regions": ["--batch", "2"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Checkpoints of every stage after one step of each, and the pipeline that was saved of them."""
    folder = tmp_path_factory.mktemp("wan")
    for stage, options in STAGES.items():
        common = ["--recipe", "wan-tiny", "--minutes", "0.002", "--no-compile", "--quality-count", "2", "--device", "cpu"]
        train.main([stage, *options, *common, "--checkpoints", str(folder / "checkpoints")])
    wan.save_pipeline(folder / "checkpoints", SIZES, folder / "pipeline")
    return folder


@pytest.mark.parametrize("stage", ["vae", "aux", "denoiser", "regions"])
def test_a_stage_that_has_had_its_time_changes_nothing(trained, capsys, stage):
    path = trained / "checkpoints" / f"{train.WEIGHTS[stage]}.pt"
    before = path.read_bytes()
    train.main([stage, "--recipe", "wan-tiny", "--minutes", "0.002", "--no-compile", "--device", "cpu", "--checkpoints", str(path.parent)])
    assert "nothing is left to train" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_without_the_optimizer_a_stage_goes_on_from_its_weights(trained):
    class Args:
        checkpoints, device = trained / "checkpoints", "cpu"

    assert all("optimizer" in train.unfinished(Args, stage) for stage in train.WEIGHTS)
    (trained / "checkpoints" / "regions-training.pt").rename(trained / "gone.pt")
    state = train.unfinished(Args, "regions")
    (trained / "gone.pt").rename(trained / "checkpoints" / "regions-training.pt")
    assert state["step"] >= 1 and state["spent"] > 0 and "optimizer" not in state


@torch.no_grad()
def test_the_exporter_reads_the_saved_folder_as_the_networks_that_were_trained(trained):
    recipe = recipes.recipe_of("wan-tiny")
    nets = export.load_networks(trained / "checkpoints", recipe=recipe)
    request = Request(width=128, height=128, frames=LAYOUT.frames, max_tokens=tokenization.MAX_TOKENS, tile=128, dtype=torch.float32)
    model = open_model(Source(trained / "pipeline"), request)
    assert (model.latent.channels, model.latent.frames, model.latent.height, model.latent.width) == LAYOUT.latent
    assert model.text.hidden == networks.TEXT_WIDTH
    for network in model.networks:
        fed = network.example(1)
        expected = network.load().eval()(**fed)
        assert torch.allclose(nets[network.name](*fed.values()), expected, atol=1e-3 * expected.abs().max().item()), network.name


def test_the_saved_tokenizer_gives_the_ids_of_training(trained):
    rng, tokenizer = random.Random(3), AutoTokenizer.from_pretrained(trained / "pipeline" / "tokenizer")
    assert tokenizer("").input_ids == [tokenization.END]
    for attributes in captions.sample_attributes(50, rng):
        segments = captions.caption_segments(attributes, rng)
        ids, labels = tokenization.encode_segments(segments, ends=True)
        assert len(ids) == len(labels) == tokenization.MAX_TOKENS
        assert tokenizer(captions.text_of(segments)).input_ids == [i for i in ids if i != tokenization.PAD]
    assert tokenization.empty_like(torch.tensor([ids])).tolist() == [tokenization.encode_segments([], ends=True)[0]]
