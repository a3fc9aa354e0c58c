"""The networks that families have, and what their wrappers have in common."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn as nn

from .examples import Examples
from .model import Latent, Network, Request
from .object_map import OBJECT_MAP, ObservedDenoiser, blocks_of


def _as_it_is(module: nn.Module) -> nn.Module:
    return module


@dataclass(frozen=True)
class Part:
    """What a family says of one of its networks: the fields of ``Network`` in which families differ."""

    load: Callable[[], nn.Module]
    rewrite: Callable[[nn.Module], nn.Module] = _as_it_is
    settings: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)
    maps_object: bool = False


@dataclass(frozen=True)
class CrossAttention:
    """Where the object map of a denoiser is read."""

    #: Blocks, and the attention to the prompt of each.
    blocks: tuple[int, ...]
    of: Callable[[nn.Module], Sequence[nn.Module]]
    latent: Latent
    patch: tuple[int, int, int]
    #: Whether padding of the prompt is not attended to.
    masks_padding: bool


def cross_attention_of(
    request: Request,
    transformer: Mapping,
    blocks: Callable[[nn.Module], Iterable[nn.Module]],
    latent: Latent,
    patch: tuple[int, int, int],
    *,
    masks_padding: bool,
) -> CrossAttention | None:
    """Where the object map of a denoiser with these blocks is read, in their ``attn2``; None where the request has none.

    Raises ExportError for a block that the transformer does not have.
    """
    if request.object_map is None:
        return None
    return CrossAttention(
        blocks_of(request.object_map, transformer["num_layers"]),
        lambda denoiser: [block.attn2 for block in blocks(denoiser)],
        latent,
        patch,
        masks_padding,
    )


def denoiser_of(part: Part, attention: CrossAttention | None) -> Part:
    """The denoiser and, where its attention is read, its object map: ``rewrite`` is given an ``ObservedDenoiser`` then."""
    if attention is None:
        return part

    def load() -> ObservedDenoiser:
        denoiser = part.load()
        blocks = attention.of(denoiser)
        attentions = [blocks[block] for block in attention.blocks]
        return ObservedDenoiser(denoiser, attentions, attention.latent, attention.patch, attention.masks_padding)

    settings = {**part.settings, "object_map": tuple(map(float, attention.blocks))}
    return Part(load, part.rewrite, settings, maps_object=True)


def networks_of(
    examples: Examples,
    *,
    text_encoder: Part,
    denoiser: Part,
    vae_decoder: Part,
    vae_encoder: Part,
    image_encoder: Part | None = None,
) -> tuple[Network, ...]:
    """Networks of the names, components and outputs that a package promises; of first images only where they are taken."""
    table = (
        ("textEncoder", "text_encoder", "states", text_encoder, examples.of_text_encoder),
        ("denoiser", "transformer", "velocity", denoiser, examples.of_denoiser),
        ("vaeDecoder", "vae", "video", vae_decoder, examples.of_vae_decoder),
        ("vaeEncoder", "vae", "latent", vae_encoder, examples.of_vae_encoder),
        ("imageEncoder", "vae", "latent", image_encoder, examples.of_image_encoder),
    )
    return tuple(
        Network(
            name=name,
            component=component,
            outputs=(output, OBJECT_MAP) if part.maps_object else (output,),
            load=part.load,
            rewrite=part.rewrite,
            example=examples.with_object_tokens(example) if part.maps_object else example,
            settings=part.settings,
        )
        for name, component, output, part, example in table
        if part is not None
    )


def to_video(pixels: torch.Tensor) -> torch.Tensor:
    """What a VAE decodes, [B,3,F,H,W] in -1..1 -> video [B,F,3,H,W] in 0..1, float32."""
    return (pixels.float() / 2 + 0.5).clamp(0, 1).transpose(1, 2)


def to_pixels(video: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The reverse: video [B,F,3,H,W] in 0..1 -> what a VAE encodes, [B,3,F,H,W] in -1..1."""
    return (video.transpose(1, 2) * 2 - 1).to(dtype)
