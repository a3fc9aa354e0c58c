"""Where a denoiser shows the object of its prompt: the share of cross-attention that goes to the object's tokens.

The mean over heads and a few blocks (as DAAM takes it, Tang et al. 2022, arXiv 2210.04885). A graph gets it from the fused
operator without forming probabilities: attention whose values are 1 at the marked tokens and 0 at all others is their share.
"""

from collections.abc import Sequence

import torch
import torch.nn as nn

from . import operators
from .errors import ExportError
from .model import Latent
from .regions import Stage

OBJECT_TOKENS, OBJECT_MAP = "object_tokens", "object_map"


def blocks_of(asked: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The blocks whose attention is read, in order; three of the middle third where none are asked for.

    Raises ExportError for a block that a transformer of so many does not have.
    """
    for block in asked:
        if not 0 <= block < count:
            raise ExportError(
                "--object-map", f"block {block} is none of the transformer's {count}", f"use blocks from 0 to {count - 1}"
            )
    return tuple(sorted(set(asked or (count // 3, count // 2, 2 * count // 3))))


class Marks:
    """The marked tokens of one evaluation, float32 [B,L] of 0 and 1, and the shares that blocks have given them so far."""

    tokens: torch.Tensor
    shares: list[torch.Tensor]

    def begin(self, tokens: torch.Tensor) -> None:
        """Forgets the evaluation before."""
        self.tokens = tokens
        self.shares = []

    def observe(self, query: torch.Tensor, key: torch.Tensor, heads: int) -> None:
        """Notes what a block's tokens [B,n,heads*d] attend to among the prompt's [B,L,heads*d]."""
        indicator = self.tokens.to(key.dtype).unsqueeze(2).expand_as(key)
        share = operators.attention(query, key, indicator, heads).unflatten(2, (heads, -1))[..., 0]
        self.shares.append(share.float().mean(2))

    def mean(self) -> torch.Tensor:
        """The share of each token, [B,n]."""
        return torch.stack(self.shares).mean(0).clamp(0, 1)


def positions_of(share: torch.Tensor, latent: Latent, patch: tuple[int, int, int]) -> torch.Tensor:
    """Shares of tokens [B,N] at every position of a latent that they stand for: [B,T,H,W]."""
    extents = (latent.frames, latent.height, latent.width)
    grid = [extent // size for extent, size in zip(extents, patch, strict=True)]
    apart = share.unflatten(1, (grid[0], 1, grid[1], 1, grid[2], 1))
    return apart.expand(-1, grid[0], patch[0], grid[1], patch[1], grid[2], patch[2]).reshape(-1, *extents)


class MapDenoiser(nn.Module):
    """A denoiser whose fused attention is observed: its inputs and ``object_tokens`` -> velocity, object_map [B,T,H,W]."""

    def __init__(
        self, denoiser: nn.Module, marks: Marks, latent: Latent, patch: tuple[int, int, int], stage: Stage | None
    ):
        super().__init__()
        self.denoiser = denoiser
        self.marks = marks
        self.latent = latent
        self.patch = patch
        self.stage = stage

    def forward(
        self,
        latent: torch.Tensor,
        time: torch.Tensor,
        text_states: torch.Tensor,
        text_mask: torch.Tensor,
        object_tokens: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.marks.begin(object_tokens)
        velocity = self.denoiser(latent, time, text_states, text_mask)
        share = self.marks.mean()
        if self.stage is not None:
            share = self.stage.evaluation.everywhere(share.unsqueeze(2)).squeeze(2)
        return velocity, positions_of(share, self.latent, self.patch)


class ObservedDenoiser(nn.Module):
    """The same of diffusers' own modules, by probabilities: those of the attentions given, which have norms of queries and keys."""

    def __init__(self, denoiser: nn.Module, attentions: Sequence[nn.Module], latent: Latent, patch: tuple[int, int, int]):
        super().__init__()
        self.denoiser = denoiser
        self.attentions = attentions
        self.latent = latent
        self.patch = patch

    def forward(
        self,
        latent: torch.Tensor,
        time: torch.Tensor,
        text_states: torch.Tensor,
        text_mask: torch.Tensor,
        object_tokens: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        seen: list[torch.Tensor] = []
        norms = [norm for attention in self.attentions for norm in (attention.norm_q, attention.norm_k)]
        hooks = [norm.register_forward_hook(lambda _norm, _given, x: seen.append(x)) for norm in norms]
        try:
            velocity = self.denoiser(latent, time, text_states, text_mask)
        finally:
            for hook in hooks:
                hook.remove()
        shares = []
        for attention, query, key in zip(self.attentions, seen[0::2], seen[1::2], strict=True):
            q, k = (x.unflatten(2, (attention.heads, -1)).transpose(1, 2) for x in (query, key))
            probabilities = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
            shares.append((probabilities.float() * object_tokens[:, None, None]).sum(-1).mean(1))
        return velocity, positions_of(torch.stack(shares).mean(0), self.latent, self.patch)
