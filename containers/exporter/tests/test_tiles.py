"""Tiles: what covers a video, and how their results become one."""

import onnx
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from flexcache_exporter import graph, operators
from flexcache_exporter.model import Network
from flexcache_exporter.tiles import Axis, Tiles

AXES = [Axis(60, 24, 8), Axis(104, 24, 8), Axis(25, 24, 8), Axis(24, 24, 8), Axis(6, 24, 8), Axis(7, 3, 2)]


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("fine", [1, 8])
def test_pieces_cover_an_axis_and_their_shares_add_up_to_1(axis, fine):
    starts, length = axis.starts(fine), axis.length(fine)
    assert (starts[0], starts[-1] + length) == (0, axis.extent * fine)
    for start, following in zip(starts, starts[1:], strict=False):
        assert start < following <= start + length - axis.overlap * fine
    total = torch.zeros(axis.extent * fine)
    for start, share in zip(starts, axis.shares(fine), strict=True):
        assert (share > 0).all()
        total[start : start + length] += share
    torch.testing.assert_close(total, torch.ones_like(total))


TILES = Tiles(Axis(7, 4, 2), Axis(9, 4, 1), factor=2)


def test_what_needs_no_neighbours_is_the_same_in_tiles():
    latent = torch.randn(2, 3, 2, 7, 9, generator=torch.Generator().manual_seed(0))

    def larger(x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)

    def smaller(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool3d(x, (1, 2, 2))

    pixels = TILES.decode(latent, larger)
    torch.testing.assert_close(pixels, larger(latent))
    torch.testing.assert_close(TILES.encode(pixels, smaller), latent)


def test_a_function_is_given_one_tile_at_a_time():
    seen = []
    TILES.decode(torch.zeros(1, 1, 1, 7, 9), lambda x: seen.append(x.shape) or x.repeat(1, 1, 1, 2, 2))
    assert seen == [(1, 1, 1, 4, 4)] * 9


class Tiled(nn.Module):
    """A convolution and an attention over each tile."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv3d(3, 4, 3, padding=1)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return TILES.decode(latent, self.one)

    def one(self, x: torch.Tensor) -> torch.Tensor:
        x = self.convolution(x.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4))
        tokens = x.flatten(2).transpose(1, 2)
        return x + operators.attention(tokens, tokens, tokens, 1).transpose(1, 2).reshape(x.shape)


def test_a_graph_runs_tiles_in_a_loop(tmp_path):
    def example(rows: int) -> dict[str, torch.Tensor]:
        draws = [torch.randn(3, 2, 7, 9, generator=torch.Generator().manual_seed(row)) for row in range(rows)]
        return {"latent": torch.stack(draws)}

    network = Network("tiled", "tiled", ("video",), Tiled, lambda module: module, example)
    path = tmp_path / "tiled.onnx"
    findings = graph.export_network(network, torch.float32, path, graph.PLACES["cpu"])
    assert max(finding.difference for finding in findings.values()) < 1e-5
    (loop,) = [node for node in onnx.load(path).graph.node if node.op_type == "Scan"]
    (body,) = [attribute.g for attribute in loop.attribute if attribute.name == "body"]
    assert [node.op_type for node in body.node].count("MultiHeadAttention") == 1
