"""Inputs that networks are exported and checked with."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .model import Inputs, Latent, Text, Video
from .object_map import OBJECT_TOKENS


@dataclass(frozen=True)
class Examples:
    """Seeded inputs of each network, a row at a time: more rows begin with those of fewer."""

    video: Video
    latent: Latent
    text: Text
    vocabulary: int
    #: Whether the denoiser takes a time for each latent frame.
    has_frame_times: bool = False

    def of_text_encoder(self, rows: int) -> dict[str, torch.Tensor]:
        mask = self._masks(rows)
        ids = self._rows(rows, lambda g: torch.randint(2, self.vocabulary, (self.text.max_tokens,), generator=g))
        return {"input_ids": ids * mask, "attention_mask": mask}

    def of_denoiser(self, rows: int) -> dict[str, torch.Tensor]:
        states = (self.text.max_tokens, self.text.hidden)
        times = (self.latent.frames,) if self.has_frame_times else ()
        return {
            **self.of_vae_decoder(rows),
            "time": self._rows(rows, lambda g: torch.rand(times, generator=g)),
            "text_states": self._rows(rows, lambda g: 0.5 * torch.randn(states, generator=g)),
            "text_mask": self._masks(rows),
        }

    def with_object_tokens(self, example: Callable[[int], Inputs]) -> Callable[[int], Inputs]:
        """The same inputs, with every other token of the prompt marked."""
        alternate = torch.arange(self.text.max_tokens) % 2
        return lambda rows: {**example(rows), OBJECT_TOKENS: (self._masks(rows) * alternate).float()}

    def of_vae_decoder(self, rows: int) -> dict[str, torch.Tensor]:
        latent = self.latent
        shape = (latent.channels, latent.frames, latent.height, latent.width)
        return {"latent": self._rows(rows, lambda g: torch.randn(shape, generator=g))}

    def of_vae_encoder(self, rows: int) -> dict[str, torch.Tensor]:
        shape = (self.video.frames, 3, self.video.height, self.video.width)
        return {"video": self._rows(rows, lambda g: torch.rand(shape, generator=g))}

    def of_image_encoder(self, rows: int) -> dict[str, torch.Tensor]:
        shape = (3, self.video.height, self.video.width)
        return {"image": self._rows(rows, lambda g: torch.rand(shape, generator=g))}

    def _masks(self, rows: int) -> torch.Tensor:
        tokens = self.text.max_tokens
        return torch.stack([(torch.arange(tokens) < max(1, tokens // (2 + row))).long() for row in range(rows)])

    @staticmethod
    def _rows(rows: int, draw) -> torch.Tensor:
        return torch.stack([draw(torch.Generator().manual_seed(row)) for row in range(rows)])
