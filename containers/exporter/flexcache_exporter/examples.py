"""Inputs that networks are exported and checked with."""

from dataclasses import dataclass

import torch

from .model import Latent, Text, Video


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
