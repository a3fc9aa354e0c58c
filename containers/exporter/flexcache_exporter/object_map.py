"""Where a denoiser shows the object of its prompt: the share of cross-attention that goes to the object's tokens.

The mean over heads and a few blocks (as DAAM takes it, Tang et al. 2022, arXiv 2210.04885). A graph gets it from the fused
operator without forming probabilities: attention whose values are 1 at the marked tokens and 0 at all others is their share.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn as nn

from . import operators
from .errors import ExportError
from .model import Latent
from .regions import Stage, positions_of

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

    def observe(
        self, query: torch.Tensor, key: torch.Tensor, heads: int, mask: torch.Tensor | None = None
    ) -> None:
        """Notes what a block's tokens [B,n,heads*d] attend to among the prompt's [B,L,heads*d], whose mask int32 [B,L] is 1."""
        indicator = self.tokens.to(key.dtype).unsqueeze(2).expand_as(key)
        if mask is None:
            attended = operators.attention(query, key, indicator, heads)
        else:
            attended = operators.masked_attention(query, key, indicator, mask, heads)
        self.shares.append(attended.unflatten(2, (heads, -1))[..., 0].float().mean(2))

    def mean(self) -> torch.Tensor:
        """The share of each token, [B,n]."""
        return torch.stack(self.shares).mean(0).clamp(0, 1)


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

    def __init__(
        self,
        denoiser: nn.Module,
        attentions: Sequence[nn.Module],
        latent: Latent,
        patch: tuple[int, int, int],
        masks_padding: bool,
    ):
        super().__init__()
        self.denoiser = denoiser
        self.attentions = attentions
        self.latent = latent
        self.patch = patch
        self.masks_padding = masks_padding

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
            scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
            if self.masks_padding:
                scores = scores.masked_fill(text_mask[:, None, None] == 0, operators.MASKED)
            probabilities = scores.softmax(-1)
            shares.append((probabilities.float() * object_tokens[:, None, None]).sum(-1).mean(1))
        return velocity, positions_of(torch.stack(shares).mean(0), self.latent, self.patch)


def fuse_observed(
    denoiser: nn.Module,
    fuse: Callable[[nn.Module], nn.Module],
    processor: Callable[[Marks], object],
    stage: Stage | None,
) -> nn.Module:
    """``fuse`` of a denoiser and, where it is observed, of its object map, by processors with marks."""
    if not isinstance(denoiser, ObservedDenoiser):
        return fuse(denoiser)
    fused, marks = fuse(denoiser.denoiser), Marks()
    for attention in denoiser.attentions:
        attention.set_processor(processor(marks))
    return MapDenoiser(fused, marks, denoiser.latent, denoiser.patch, stage)
