"""Euler sampling of the rectified flow, full and from donors, and the figures of merit."""

import torch

from . import captions, networks, tokenization


def tokens_of(rows: list[list[int]], rng, make=captions.caption_segments, device: str = "cpu") -> torch.Tensor:
    """Token ids ``[B,L]`` of one random caption per attribute row."""
    return torch.tensor([tokenization.encode_segments(make(row, rng))[0] for row in rows], device=device)


def gaussian(count: int, seed: int, device: str) -> torch.Tensor:
    generator = torch.Generator(device=device).manual_seed(seed)
    return torch.randn(count, *networks.LATENT_SHAPE, device=device, generator=generator)


@torch.no_grad()
def sample(nets, ids, start, steps: int, guidance: float, start_time: float = 1.0, chunk: int = 256) -> torch.Tensor:
    """Euler from ``start`` at ``start_time`` down to 0 in ``steps`` equal steps, with classifier-free guidance."""
    device = start.device
    times = torch.linspace(start_time, 0, steps + 1, device=device)
    results = []
    for x, caption in zip(start.split(chunk), ids.split(chunk)):
        both = torch.cat([caption, torch.zeros_like(caption)])
        mask = networks.text_mask(both)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            states = nets["textEncoder"](both, mask)
            for now, then in zip(times[:-1], times[1:]):
                velocity = nets["denoiser"](torch.cat([x, x]), now.expand(len(both)), states, mask).float()
                conditional, unconditional = velocity.chunk(2)
                x = x + (then - now) * (unconditional + guidance * (conditional - unconditional))
        results.append(x)
    return torch.cat(results)


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
