"""Videos in overlapping tiles, one after another, so that a network needs the memory of one tile."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch._higher_order_ops.scan import scan


@dataclass(frozen=True)
class Axis:
    """Equal pieces that cover ``extent`` positions; where there are several, they overlap by ``overlap`` or more.

    A position is one of the latent; the methods count in ``fine`` parts of it.
    """

    extent: int
    piece: int
    overlap: int

    def starts(self, fine: int = 1) -> list[int]:
        """Where each piece begins, as evenly spread as whole positions allow."""
        if self.piece >= self.extent:
            return [0]
        left = self.extent - self.piece
        count = 1 + -(-left // (self.piece - self.overlap))
        return [index * left // (count - 1) * fine for index in range(count)]

    def length(self, fine: int = 1) -> int:
        """How long each piece is."""
        return min(self.piece, self.extent) * fine

    def shares(self, fine: int = 1) -> list[torch.Tensor]:
        """Share of each piece along it: it fades out where it overlaps, and shares add up to 1."""
        length = self.length(fine)
        place = torch.arange(length) + 0.5
        ramp = torch.minimum(place, length - place).clamp(max=self.overlap * fine)
        total = torch.zeros(self.extent * fine)
        for start in self.starts(fine):
            total[start : start + length] += ramp
        return [ramp / total[start : start + length] for start in self.starts(fine)]


@dataclass(frozen=True)
class Tiles:
    """Tiles of rows and columns in latent positions; ``factor`` pixels are one position."""

    rows: Axis
    columns: Axis
    factor: int

    def settings(self) -> dict[str, float]:
        """The numbers that results follow from, beside the extents of the whole."""
        rows, columns = self.rows, self.columns
        return {"tile_rows": rows.length(), "tile_columns": columns.length(), "overlap": rows.overlap}

    def decode(self, latent: torch.Tensor, one: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """``one``, which turns latents [B,C,T,h,w] into pixels, of each tile, blended to all pixels."""
        return self._each(latent, one, 1, self.factor)

    def encode(self, pixels: torch.Tensor, one: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """``one``, which turns pixels [B,C,F,h,w] into latents, of each tile, blended to the whole latent."""
        return self._each(pixels, one, self.factor, 1)

    def _each(self, x: torch.Tensor, one, taken: int, given: int) -> torch.Tensor:
        height, width = self.rows.length(taken), self.columns.length(taken)
        tiles = [
            x[..., row : row + height, column : column + width]
            for row in self.rows.starts(taken)
            for column in self.columns.starts(taken)
        ]
        if len(tiles) == 1:
            return one(x)
        return self._blend(_one_by_one(tiles, one), given)

    def _blend(self, tiles: list[torch.Tensor], fine: int) -> torch.Tensor:
        rows, columns, rest = self.rows, self.columns, iter(tiles)
        below, after = (axis.extent * fine - axis.length(fine) for axis in (rows, columns))
        whole = 0
        for row, row_share in zip(rows.starts(fine), rows.shares(fine), strict=True):
            band = 0
            for column, share in zip(columns.starts(fine), columns.shares(fine), strict=True):
                tile = next(rest).float()
                band = band + F.pad(tile * share.to(tile.device), (column, after - column))
            whole = whole + F.pad(band * row_share.to(band.device).unsqueeze(1), (0, 0, row, below - row))
        return whole


def _one_by_one(tiles: list[torch.Tensor], one) -> list[torch.Tensor]:
    if not torch.compiler.is_exporting():
        return [one(tile) for tile in tiles]
    # A graph with a loop: unrolled, it would be as many times as large, and in no certain order.
    _, results = scan(lambda carry, tile: (carry.clone(), one(tile)), torch.zeros(1), torch.stack(tiles))
    return list(results.unbind(0))
