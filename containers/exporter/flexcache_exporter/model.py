"""What a family says of a model: sizes for the manifest, and networks to export."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn as nn

from .errors import ExportError


@dataclass(frozen=True)
class Request:
    """What the caller asks for; None leaves the choice to the family."""

    width: int | None = None
    height: int | None = None
    frames: int | None = None
    frames_per_second: float | None = None
    max_tokens: int | None = None
    #: Side of the tiles in which the VAE works, in pixels.
    tile: int | None = None
    steps: int | None = None
    guidance: float | None = None
    shift: float | None = None
    dtype: torch.dtype = torch.float16
    #: Whether weights of float32 are stored as float16.
    half_weights: bool = False
    #: Whether the denoiser is to evaluate some of its tokens, too, and how its weights were trained: one of ``REGIONS``.
    regions: str | None = None
    #: Blocks whose attention tells where the object is, none for the family's choice; None for no object map.
    object_map: tuple[int, ...] | None = None


#: With a clean context, or as every released pipeline was.
REGIONS = ("trained", "untrained")


@dataclass(frozen=True)
class Video:
    """Extents of the decoded video, in frames and pixels."""

    frames: int
    height: int
    width: int
    frames_per_second: float


@dataclass(frozen=True)
class Latent:
    """Extents of the latent [channels, frames, height, width]."""

    channels: int
    frames: int
    height: int
    width: int


@dataclass(frozen=True)
class Text:
    """Length of a prompt in tokens, and width of its states."""

    max_tokens: int
    hidden: int


@dataclass(frozen=True)
class Scheduler:
    """Rectified flow: velocity = noise - clean, at noise levels that follow from evenly spaced times u from 1 to 0.

    They are shift * u / (1 + (shift - 1) * u), or ``sigmas``, which has the levels of a full generation from 1 to 0: one of the two.
    """

    guidance: float
    steps: int
    shift: float | None = None
    sigmas: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Regions:
    """What a denoiser that evaluates some of its tokens is made of."""

    #: Latent frames, rows and columns that a token stands for.
    patch: tuple[int, int, int]
    #: Blocks, each with keys and values of its own.
    blocks: int
    heads: int
    head_width: int
    #: Whether the weights were trained to read a clean context.
    is_trained: bool
    #: Of keys and values.
    dtype: torch.dtype


#: Of a network, by the names of its module's parameters. What a parameter has several tensors of, it has by their names in the graph.
Inputs = dict[str, torch.Tensor | dict[str, torch.Tensor]]


def outputs_of(value: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """What a network's module gave, be it one tensor or several."""
    return value if isinstance(value, tuple) else (value,)


@dataclass(frozen=True)
class Network:
    """One network to export.

    ``load`` gives the reference: the saved weights in diffusers' own code, behind FlexCache's inputs and outputs.
    ``rewrite`` turns that module into the one that is exported; the reference may be used up by it.
    ``example`` gives inputs of a number of rows by name, always the same ones; the first rows are those of fewer rows.
    ``traced`` does the same for inputs that the reference does not know: the graph is made from them, and is checked on them
    against the module that is exported, in PyTorch. ``extents`` names what differs from run to run beside the rows: by input
    and axis. ``settings`` are numbers inside the network that follow from neither its weights nor the extents of the model.
    """

    name: str
    component: str
    outputs: tuple[str, ...]
    load: Callable[[], nn.Module]
    rewrite: Callable[[nn.Module], nn.Module]
    example: Callable[[int], Inputs]
    settings: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)
    traced: Callable[[int], Inputs] | None = None
    extents: Mapping[str, Mapping[int, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A saved pipeline as its family understands it."""

    family: str
    video: Video
    latent: Latent
    text: Text
    scheduler: Scheduler
    #: Folder of the tokenizer.
    tokenizer: Path
    networks: tuple[Network, ...]
    #: Of a denoiser that evaluates some of its tokens; None where it takes whole latents only.
    regions: Regions | None = None
    #: Whether the denoiser tells where the prompt's object is.
    maps_object: bool = False


def given(asked, default):
    """What was asked for, or else the default."""
    return default if asked is None else asked


def video_of(request: Request, frames: int, height: int, width: int, frames_per_second: float) -> Video:
    """The video that was asked for, with these extents where the request says nothing."""
    return Video(
        frames=given(request.frames, frames),
        height=given(request.height, height),
        width=given(request.width, width),
        frames_per_second=given(request.frames_per_second, frames_per_second),
    )


def latent_of(video: Video, channels: int, in_time: int, in_space: int) -> Latent:
    """The latent of a causal VAE: the first frame by itself, then one of every ``in_time``; ``in_space`` pixels along a side."""
    return Latent(
        channels=channels,
        frames=(video.frames - 1) // in_time + 1,
        height=video.height // in_space,
        width=video.width // in_space,
    )


def require_multiple(field: str, value: int, step: int, remainder: int = 0) -> None:
    """Raises ExportError unless value is positive and ``value % step == remainder``; names the nearest values."""
    if value > 0 and value % step == remainder:
        return
    below = (value - remainder) // step * step + remainder
    near = [str(choice) for choice in (below, below + step) if choice > 0]
    rule = f"a multiple of {step}" if remainder == 0 else f"a multiple of {step} plus {remainder}"
    raise ExportError(field, f"{value} is not {rule}", f"use {' or '.join(near or [str(remainder or step)])}")
