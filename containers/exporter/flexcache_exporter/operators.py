"""Operators that onnxruntime runs in one kernel, for modules that are about to be exported.

A plain export of attention, rotation and normalisation runs many times slower on a GPU, and needs the memory of the
whole attention matrix. Each function computes the same with PyTorch where nothing is being exported.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

MICROSOFT = "com.microsoft"


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention without a mask: query [B,N,heads*d], key and value [B,M,heads*d] -> [B,N,heads*d]."""
    if not torch.compiler.is_exporting():
        q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return torch.onnx.ops.symbolic(
        f"{MICROSOFT}::MultiHeadAttention",
        (query, key, value),
        attrs={"num_heads": heads},
        dtype=query.dtype,
        shape=query.shape,
        version=1,
    )


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int) -> torch.Tensor:
    """Rotates neighbouring pairs of each head: x [B,N,heads*d] by angles whose cos and sin are [N,d/2]."""
    if not torch.compiler.is_exporting():
        even, odd = x.unflatten(2, (heads, -1, 2)).unbind(-1)
        cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(2).type_as(x)
    return torch.onnx.ops.symbolic(
        f"{MICROSOFT}::RotaryEmbedding",
        (x, torch.zeros(1, dtype=torch.int64), cos, sin),
        attrs={"interleaved": 1, "num_heads": heads},
        dtype=x.dtype,
        shape=x.shape,
        version=1,
    )


class RmsNorm(nn.Module):
    """A ``torch.nn.RMSNorm`` over the last axis."""

    def __init__(self, norm: nn.RMSNorm):
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_exporting():
            return self.norm(x)
        eps = torch.finfo(x.dtype).eps if self.norm.eps is None else self.norm.eps
        return torch.onnx.ops.symbolic(
            "SimplifiedLayerNormalization",
            (x, self.norm.weight),
            attrs={"axis": -1, "epsilon": float(eps), "stash_type": 1},
            dtype=x.dtype,
            shape=x.shape,
        )


class LinearGelu(nn.Module):
    """A linear layer with a bias, and GELU by its tanh approximation."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.linear = linear

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_exporting():
            return F.gelu(self.linear(x), approximate="tanh")
        y = F.linear(x, self.linear.weight)
        return torch.onnx.ops.symbolic(
            f"{MICROSOFT}::FastGelu", (y, self.linear.bias), dtype=y.dtype, shape=y.shape, version=1
        )


def replace_modules(root: nn.Module, replacement) -> None:
    """Puts ``replacement(module)`` in the place of every module below root for which it is not None."""
    for parent in list(root.modules()):
        for name, child in list(parent.named_children()):
            new = replacement(child)
            if new is not None:
                setattr(parent, name, new)
