"""Sampling of the rectified flow, full and from donors, and the figures of merit."""

import math

import torch

from . import captions, networks, tokenization


def tokens_of(rows: list[list[int]], rng, make=captions.caption_segments, device: str = "cpu", ends: bool = False) -> torch.Tensor:
    """Token ids ``[B,L]`` of one random caption per attribute row."""
    return torch.tensor([tokenization.encode_segments(make(row, rng), ends=ends)[0] for row in rows], device=device)


def gaussian(count: int, seed: int, device: str, shape: tuple[int, ...] = networks.LATENT_SHAPE) -> torch.Tensor:
    generator = torch.Generator(device=device).manual_seed(seed)
    return torch.randn(count, *shape, device=device, generator=generator)


SOLVERS = ("euler", "ab2", "dpmpp-2m", "heun")


def half_log_snr(time: float) -> float:
    return math.log((1 - time) / time)


def integrate(velocity, x: torch.Tensor, times: list[float], solver: str = "euler", after=None) -> torch.Tensor:
    """Solves dx/dt = v from ``times[0]`` down to ``times[-1]``.

    ``velocity(x, time)`` is evaluated once a step, by ``heun`` (Karras et al. 2022, arXiv 2206.00364) twice except in a step to 0;
    ``ab2`` is two-step Adams-Bashforth, ``dpmpp-2m`` DPM-Solver++ 2M (Lu et al. 2022, arXiv 2211.01095) on x - t v. The first step of
    each, and of ``dpmpp-2m`` every step from 1 or to 0, is Euler's. ``after(step, x, v, x_next, now, then)`` may replace ``x_next``.
    """
    memory, before = None, None
    for step, (now, then) in enumerate(zip(times[:-1], times[1:])):
        v = velocity(x, now)
        following = x + (then - now) * v
        if solver == "heun" and then > 0:
            following = x + (then - now) / 2 * (v + velocity(following, then))
        elif solver == "ab2":
            if memory is not None:
                following = following - (now - then) ** 2 / (2 * (before - now)) * (v - memory)
            memory = v
        elif solver == "dpmpp-2m":
            clean = x - now * v
            if memory is not None and then > 0 and before < 1:
                ratio = (half_log_snr(then) - half_log_snr(now)) / (half_log_snr(now) - half_log_snr(before))
                following = following + (1 - then / now) * ratio / 2 * (clean - memory)
            memory = clean
        if after is not None:
            following = after(step, x, v, following, now, then)
        x, before = following, now
    return x


def even_times(start_time: float, steps: int) -> list[float]:
    return [start_time * (1 - step / steps) for step in range(steps + 1)]


def guided_velocity(nets, caption: torch.Tensor, guidance: float, device: torch.device):
    """``velocity(x, time)`` of a batch of captions with classifier-free guidance."""
    both = torch.cat([caption, tokenization.empty_like(caption)])
    mask = networks.text_mask(both)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        states = nets["textEncoder"](both, mask)

    def velocity(x, time):
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            value = nets["denoiser"](torch.cat([x, x]), torch.full((len(both),), time, device=device), states, mask).float()
        conditional, unconditional = value.chunk(2)
        return unconditional + guidance * (conditional - unconditional)

    return velocity


@torch.no_grad()
def sample(
    nets, ids, start, steps: int, guidance: float, start_time: float = 1.0, solver: str = "euler", chunk: int = 256,
) -> torch.Tensor:
    """From ``start`` at ``start_time`` down to 0 in ``steps`` equal steps, with classifier-free guidance."""
    return torch.cat([
        integrate(guided_velocity(nets, caption, guidance, start.device), x, even_times(start_time, steps), solver)
        for x, caption in zip(start.split(chunk), ids.split(chunk))
    ])


def renoise(clean: torch.Tensor, start_time: float, noise: torch.Tensor) -> torch.Tensor:
    return (1 - start_time) * clean + start_time * noise


@torch.no_grad()
def judge(nets, latents: torch.Tensor, rows: list[list[int]], chunk: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """Correctness ``[B,7]`` per attribute and features ``[B,F]``."""
    truth = torch.tensor(rows, device=latents.device)
    right, features = [], []
    for latent, expected in zip(latents.split(chunk), truth.split(chunk)):
        logits, feature = nets["judge"](latent)
        heads = logits.float().split(captions.CLASS_COUNTS, 1)
        right.append(torch.stack([head.argmax(1) == expected[:, k] for k, head in enumerate(heads)], 1))
        features.append(feature.float())
    return torch.cat(right).float(), torch.cat(features)


def _square_root(matrix: torch.Tensor) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T


def frechet_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Between Gaussians fitted to two feature sets (Heusel et al. 2017, on the judge's features)."""
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    root = _square_root(cov_a)
    cross = _square_root(root @ cov_b @ root)
    return (((a.mean(0) - b.mean(0)) ** 2).sum() + torch.trace(cov_a) + torch.trace(cov_b) - 2 * torch.trace(cross)).item()


@torch.no_grad()
def object_mask(nets, latents: torch.Tensor, chunk: int = 256) -> torch.Tensor:
    """Dilated binary object mask ``[B,1,T,H,W]``."""
    return torch.cat([
        networks.dilate((nets["segmenter"](latent).float() > 0).float().unsqueeze(1)) for latent in latents.split(chunk)
    ])
