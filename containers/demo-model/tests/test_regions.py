import pytest
import torch

from demo_model import export, networks


@pytest.fixture(scope="module")
def denoiser():
    torch.manual_seed(3)
    net = networks.Denoiser(depth=2)
    # What starts at zero would hide whether text and time are read.
    for name, parameter in net.named_parameters():
        if "cross_out" in name or "patch_out" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return net.eval()


def inputs(batch=2, live=60):
    generator = torch.Generator().manual_seed(5)
    feeds = export.example("denoiser", batch, generator, live)
    return [feeds[name] for name in ("latent", "time", "text_states", "text_mask", "live")]


def mask_of(live):
    return torch.zeros(len(live), networks.TOKENS, dtype=torch.bool).scatter(1, live, True)


def others_of(live):
    return torch.stack([(~row).nonzero().flatten() for row in mask_of(live)])


def empty_context(net, batch):
    return [torch.zeros(batch, net.blocks[0].heads, 0, 64) for _ in net.blocks]


@torch.no_grad()
def test_all_tokens_live_without_context_are_the_plain_evaluation(denoiser):
    latent, time, states, mask, _ = inputs()
    everything = torch.arange(networks.TOKENS).expand(2, -1)
    none = empty_context(denoiser, 2)
    velocity, keys, values = denoiser.region(latent, time, states, mask, everything, none, none)
    assert torch.equal(velocity, denoiser(latent, time, states, mask))
    assert keys[0].shape == values[1].shape == (2, 4, networks.TOKENS, 64)


@torch.no_grad()
def test_live_tokens_that_read_the_others_of_the_same_evaluation_change_nothing(denoiser):
    latent, time, states, mask, live = inputs()
    everything, none = torch.arange(networks.TOKENS).expand(2, -1), empty_context(denoiser, 2)
    full, keys, values = denoiser.region(latent, time, states, mask, everything, none, none)
    rest = others_of(live)[:, None, :, None].expand(-1, 4, -1, 64)
    part, _, _ = denoiser.region(
        latent, time, states, mask, live, [k.gather(2, rest) for k in keys], [v.gather(2, rest) for v in values],
    )
    inside = denoiser.unpatch(mask_of(live)[:, :, None].expand(-1, -1, 64).float()) > 0
    assert torch.allclose(part[inside], full[inside], atol=1e-5)
    assert torch.all(part[~inside] == 0)


@torch.no_grad()
def test_one_pass_over_a_clean_context_serves_every_time_and_prompt(denoiser):
    latent, time, states, mask, live = inputs()
    unconditional, nothing = torch.randn(1, networks.MAX_TOKENS, networks.TEXT_WIDTH), torch.zeros(1, networks.MAX_TOKENS, dtype=torch.long)
    nothing[:, 0] = 1
    rest, none = others_of(live), empty_context(denoiser, 2)
    _, keys, values = denoiser.region(
        latent, torch.zeros(2), unconditional.expand(2, -1, -1), nothing.expand(2, -1), rest, none, none,
    )
    for at in (time, 1 - time):
        cached, _, _ = denoiser.region(latent, at, states, mask, live, keys, values)
        uncached = denoiser.two_clocks(latent, at, states, mask, mask_of(live), unconditional)
        inside = denoiser.unpatch(mask_of(live)[:, :, None].expand(-1, -1, 64).float()) > 0
        assert torch.allclose(cached[inside], uncached[inside], atol=1e-5)


@torch.no_grad()
def test_a_mask_per_sample_computes_what_indices_compute(denoiser):
    latent, time, states, mask, live = inputs()
    rest, none = others_of(live), empty_context(denoiser, 2)
    _, keys, values = denoiser.region(latent, time, states, mask, rest, none, none)
    expected, _, _ = denoiser.region(latent, time, states, mask, live, keys, values)
    inside = mask_of(live)
    _, kept = denoiser.masked_region(latent, time, states, mask, ~inside)
    found, _ = denoiser.masked_region(latent, time, states, mask, inside, kept)
    where = denoiser.unpatch(inside[:, :, None].expand(-1, -1, 64).float()) > 0
    assert torch.allclose(found[where], expected[where], atol=1e-5)
