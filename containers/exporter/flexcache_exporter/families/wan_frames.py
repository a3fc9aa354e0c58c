"""Wan 2.2 TI2V with a time for each latent frame: a first image is the first of them, and its time is 0.

The pipeline gives the transformer a timestep for every token. Those of a frame are the same, so that the exported
transformer embeds a frame's time once: between attentions the frames of a latent are rows of the batch.
"""

from collections.abc import Callable

import torch
import torch.nn as nn
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention

from ..model import Latent


def timesteps_of_tokens(latent: Latent, patch: tuple[int, int, int]) -> Callable[[torch.Tensor], torch.Tensor]:
    """What turns times of frames, [B,T], into those of tokens, [B,N]."""
    _, rows, columns = patch
    tokens = (latent.height // rows) * (latent.width // columns)
    return lambda times: times.repeat_interleave(tokens, dim=1)


def timesteps_of_rows(times: torch.Tensor) -> torch.Tensor:
    """Times of frames, [B,T], as ``split_frames`` has a transformer take them: [B*T]."""
    return times.flatten()


def split_frames(transformer: WanTransformer3DModel, frames: int) -> None:
    """Makes the transformer work on frames as rows of the batch, but for its attention, in place."""
    transformer.patch_embedding = FramePatches(transformer.patch_embedding)
    for module in transformer.modules():
        if isinstance(module, WanAttention):
            module.set_processor(JoinedFrames(module.processor, frames))


class FramePatches(nn.Module):
    """A convolution that makes tokens of a latent [B,C,T,H,W], with the frames as rows: [B*T,D,1,h,w]."""

    def __init__(self, convolution: nn.Conv3d):
        super().__init__()
        self.convolution = convolution

    @property
    def weight(self) -> torch.Tensor:
        return self.convolution.weight

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.convolution(latent).transpose(1, 2).flatten(0, 1).unsqueeze(2)


class JoinedFrames:
    """A processor of attention over all frames for tokens [B*T,n,D] of each frame."""

    def __init__(self, processor: Callable[..., torch.Tensor], frames: int):
        self.processor = processor
        self.frames = frames

    def __call__(
        self, attn: WanAttention, hidden_states: torch.Tensor, *others: torch.Tensor | None
    ) -> torch.Tensor:
        tokens = hidden_states.unflatten(0, (-1, self.frames)).flatten(1, 2)
        return self.processor(attn, tokens, *others).unflatten(1, (self.frames, -1)).flatten(0, 1)


class ImageEncoder(nn.Module):
    """image [B,3,Hp,Wp] in 0..1 -> latent [B,C,1,H,W] of one frame, by an encoder of videos."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.encoder(image.unsqueeze(1))
