"""What one set of generating networks and another differ in. Stages of training, evaluation and look-up are the same for all."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn as nn

from . import networks, tokenization, world


@dataclass(frozen=True)
class Layout:
    """What clips, latents and prompts look like."""

    #: Of a clip.
    frames: int = world.FRAMES
    #: Channels, frames, rows and columns.
    latent: tuple[int, int, int, int] = networks.LATENT_SHAPE
    #: Whether prompts end with a token of their own.
    ends: bool = False

    @property
    def tokens(self) -> int:
        """Of a latent, as the denoiser reads it."""
        _, *extents = self.latent
        return extents[0] // networks.PATCH[0] * (extents[1] // networks.PATCH[1]) * (extents[2] // networks.PATCH[2])

    @property
    def vocabulary(self) -> int:
        return tokenization.size(self.ends)


def layout_of(manifest: dict) -> Layout:
    """The layout of a package, of its ``model.json``."""
    latent = tuple(manifest["latent"][name] for name in ("channels", "frames", "height", "width"))
    return Layout(manifest["video"]["frames"], latent, manifest["text"].get("addsSpecialTokens", False))


@dataclass(frozen=True)
class Recipe:
    """A layout and its networks, not trained.

    ``make_vae`` gives an encoder (clip -> mean and log-variance of the latent, not normalised) and a decoder (that latent -> clip).
    Text encoders have ``forward(ids, mask)`` -> states and ``embed(ids, mask)`` -> unit vector; denoisers ``forward(latent, time, states,
    mask, hidden_block)`` and ``two_clocks``, as those of ``networks``.
    """

    layout: Layout
    make_vae: Callable[[], tuple[nn.Module, nn.Module]]
    make_text_encoder: Callable[[], nn.Module]
    make_denoiser: Callable[[], nn.Module]

    def make_lookup(self) -> dict[str, nn.Module]:
        """Segmenter, towers and judge for its latents and prompts, by their names in checkpoints."""
        frames = self.layout.latent[1]
        return {
            "text_tower": networks.TextTower(vocabulary=self.layout.vocabulary), "video_tower": networks.VideoTower(frames),
            "judge": networks.Judge(frames), "segmenter": networks.Segmenter(),
        }


#: The networks of demo_model.networks.
OWN = Recipe(Layout(), lambda: (networks.VaeEncoder(), networks.VaeDecoder()), networks.TextEncoder, networks.Denoiser)
#: ``wan`` and its variants are diffusers' architectures (demo_model.wan has their sizes).
NAMES = ("own", "wan", "wan-short", "wan-own-vae", "wan-tiny")


def recipe_of(name: str) -> Recipe:
    """A recipe by its name; those of Wan need diffusers and transformers."""
    if name == "own":
        return OWN
    from . import wan

    return wan.RECIPES[name]()
