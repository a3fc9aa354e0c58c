"""Denoisers that evaluate some of their tokens, which read each other and the keys and values of the others.

The same graph does both: a full evaluation is one in which every token is live and the context is empty. A family puts
``LivePatches`` or ``LiveTokens``, and ``LiveOutput``, around the first and the last layer of its transformer and reads, in the attention of
tokens to themselves, ``Evaluation.live`` and ``Evaluation.readable``; everything between works on tokens one by one.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn as nn

from .model import Inputs, Latent, Network, Regions, Request, outputs_of

#: Of the tokens, how many are live and how many are the context where a graph is traced: neither all nor none.
TRACED_LIVE, TRACED_CONTEXT = 1 / 2, 1 / 4


def rows_of(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Tokens of x [B,N,D] at places int64 [B,n], each row its own -> [B,n,D]."""
    return x.flatten(0, 1).index_select(0, _flat(places, x.shape[1])).unflatten(0, places.shape)


def positions_of(of_tokens: torch.Tensor, latent: Latent, patch: tuple[int, int, int]) -> torch.Tensor:
    """Numbers of tokens [B,N] at every position of a latent that they stand for: [B,T,H,W]."""
    extents = (latent.frames, latent.height, latent.width)
    grid = [extent // size for extent, size in zip(extents, patch, strict=True)]
    apart = of_tokens.unflatten(1, (grid[0], 1, grid[1], 1, grid[2], 1))
    return apart.expand(-1, grid[0], patch[0], grid[1], patch[1], grid[2], patch[2]).reshape(-1, *extents)


def _flat(places: torch.Tensor, tokens: int) -> torch.Tensor:
    """Indices into rows that lie one after the other, int64 [B*n]."""
    rows = torch.arange(places.shape[0], device=places.device).unsqueeze(1)
    return (places + rows * tokens).flatten()


class Evaluation:
    """One evaluation: its live tokens, and the keys and values that they read and leave, block after block."""

    def __init__(
        self, live: torch.Tensor, kept: torch.Tensor, context: list[tuple[torch.Tensor, torch.Tensor]], tokens: int
    ):
        #: int64 [B,n]: what each live token's position is looked up by.
        self.live = live
        self.left: list[torch.Tensor] = []
        self._tokens = tokens
        self._kept = kept
        self._context = iter(context)

    def of_live(self, x: torch.Tensor) -> torch.Tensor:
        """Live tokens of all tokens [B,N,D] -> [B,n,D]."""
        return rows_of(x, self.live)

    def everywhere(self, x: torch.Tensor) -> torch.Tensor:
        """The reverse: live tokens [B,n,D] in their places among all, and 0 elsewhere -> [B,N,D]."""
        nothing = x.new_zeros(x.shape[0] * self._tokens, x.shape[2])
        placed = nothing.index_put((_flat(self.live, self._tokens),), x.flatten(0, 1))
        return placed.unflatten(0, (x.shape[0], self._tokens))

    def is_live(self) -> torch.Tensor:
        """1 for tokens that are live and 0 for others, float32 [B,N]."""
        ones = torch.ones(self.live.shape, device=self.live.device)
        return self.everywhere(ones.unsqueeze(2)).squeeze(2)

    def readable(self, key: torch.Tensor, value: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
        """All that the live tokens of the next block read: their own keys and values [B,n,heads*d], and the context's."""
        for own in (key, value):
            self.left.append(rows_of(own, self._kept).unflatten(2, (heads, -1)).transpose(1, 2))
        context_key, context_value = (x.transpose(1, 2).flatten(2) for x in next(self._context))
        return torch.cat([key, context_key], dim=1), torch.cat([value, context_value], dim=1)


class Stage:
    """Where the layers of a transformer find the evaluation that they are part of."""

    evaluation: Evaluation


class LivePatches(nn.Module):
    """A convolution that makes tokens of a latent, which gives the live ones alone: [B,D,n]."""

    def __init__(self, convolution: nn.Module, stage: Stage):
        super().__init__()
        self.convolution = convolution
        self.stage = stage

    @property
    def weight(self) -> torch.Tensor:
        return self.convolution.weight

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        tokens = self.convolution(latent).flatten(2).transpose(1, 2)
        return self.stage.evaluation.of_live(tokens).transpose(1, 2)


class LiveTokens(nn.Module):
    """A first layer that takes tokens [B,N,D], which it does of the live ones alone: [B,n,D]."""

    def __init__(self, layer: nn.Module, stage: Stage):
        super().__init__()
        self.layer = layer
        self.stage = stage

    @property
    def weight(self) -> torch.Tensor:
        return self.layer.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.stage.evaluation.of_live(x))


class LiveOutput(nn.Module):
    """The last layer of a transformer, which puts the live tokens in their places among all: [B,N,D]."""

    def __init__(self, layer: nn.Module, stage: Stage):
        super().__init__()
        self.layer = layer
        self.stage = stage

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stage.evaluation.everywhere(self.layer(x))


class RegionDenoiser(nn.Module):
    """A denoiser of live tokens: its inputs, ``live``, ``kept`` and the context -> its outputs, and keys and values of each block."""

    def __init__(self, denoiser: nn.Module, stage: Stage, regions: Regions, tokens: int):
        super().__init__()
        self.denoiser = denoiser
        self.stage = stage
        self.regions = regions
        self.tokens = tokens

    def forward(
        self, denoiser: Inputs, live: torch.Tensor, kept: torch.Tensor, context: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        pairs = [(context[f"context_{key}"], context[f"context_{value}"]) for key, value in names_of(self.regions)]
        evaluation = self.stage.evaluation = Evaluation(live, kept, pairs, self.tokens)
        return *outputs_of(self.denoiser(**denoiser)), *evaluation.left


class WholeLatents(nn.Module):
    """A denoiser of whole latents behind the same inputs, for evaluations in which every token is live and none is kept."""

    def __init__(self, denoiser: nn.Module):
        super().__init__()
        self.denoiser = denoiser

    def forward(
        self, denoiser: Inputs, live: torch.Tensor, kept: torch.Tensor, context: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        return *outputs_of(self.denoiser(**denoiser)), *context.values()


def names_of(regions: Regions) -> list[tuple[str, str]]:
    """Outputs of each block: its keys and its values. The inputs of the context begin with ``context_``."""
    return [(f"keys_{block}", f"values_{block}") for block in range(regions.blocks)]


def regions_of(request: Request, transformer: Mapping, patch: tuple[int, int, int]) -> Regions | None:
    """The regions of a transformer by its configuration; None where the request has none."""
    if request.regions is None:
        return None
    return Regions(
        patch=patch,
        blocks=transformer["num_layers"],
        heads=transformer["num_attention_heads"],
        head_width=transformer["attention_head_dim"],
        is_trained=request.regions == "trained",
        dtype=request.dtype,
    )


def with_regions(
    networks: Iterable[Network], regions: Regions | None, latent: Latent, fuse: Callable[[nn.Module, Stage], nn.Module]
) -> tuple[Network, ...]:
    """The networks, the denoiser among them with regions where there are any; ``fuse`` is its ``rewrite`` for live tokens."""
    if regions is None:
        return tuple(networks)
    extents = (latent.frames, latent.height, latent.width)
    tokens = math.prod(extent // patch for extent, patch in zip(extents, regions.patch, strict=True))
    return tuple(_regional(each, regions, tokens, fuse) if each.name == "denoiser" else each for each in networks)


def _regional(
    network: Network, regions: Regions, tokens: int, fuse: Callable[[nn.Module, Stage], nn.Module]
) -> Network:
    names = [name for pair in names_of(regions) for name in pair]

    def rewrite(whole: WholeLatents) -> RegionDenoiser:
        stage = Stage()
        return RegionDenoiser(fuse(whole.denoiser, stage), stage, regions, tokens)

    def context_of(rows: int, count: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        shape = (rows, regions.heads, count, regions.head_width)
        return {f"context_{name}": torch.randn(shape, generator=generator).to(regions.dtype) for name in names}

    def whole(rows: int) -> dict[str, torch.Tensor]:
        every = torch.arange(tokens).expand(rows, -1).contiguous()
        return {"denoiser": network.example(rows), "live": every, "kept": every[:, :0], "context": context_of(rows, 0)}

    def traced(rows: int) -> dict[str, torch.Tensor]:
        live = int(tokens * TRACED_LIVE)
        chosen = [torch.randperm(tokens, generator=torch.Generator().manual_seed(row))[:live] for row in range(rows)]
        kept = torch.arange(1, live).flip(0).expand(rows, -1).contiguous()
        context = context_of(rows, int(tokens * TRACED_CONTEXT))
        return {"denoiser": network.example(rows), "live": torch.stack(chosen), "kept": kept, "context": context}

    return replace(
        network,
        outputs=(*network.outputs, *names),
        load=lambda: WholeLatents(network.load()),
        rewrite=rewrite,
        example=whole,
        traced=traced,
        extents={"live": {1: "live"}, "kept": {1: "kept"}, **{f"context_{name}": {2: "context"} for name in names}},
        settings={**network.settings, "regions": (float(regions.blocks), float(regions.heads))},
    )
