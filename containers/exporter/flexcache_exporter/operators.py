"""Operators that onnxruntime runs in one kernel, for modules that are about to be exported.

A plain export of attention, rotation and normalisation runs many times slower on a GPU, and needs the memory of the
whole attention matrix. Each operator computes the same in PyTorch; ``TRANSLATIONS`` says what it is in a graph.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from diffusers.models.activations import GELU
from diffusers.models.normalization import RMSNorm
from onnx.defs import OpSchema
from onnxscript import opset18
from onnxscript.values import Op, Opset

#: What is added to the scores of masked keys.
MASKED = -10000.0
#: Numbers that the operator rotates at once: a thread of a CUDA block each.
ROTATED_AT_ONCE = 1024

_MICROSOFT = Opset("com.microsoft", 1)


def _operator(opset: Opset, name: str, inputs: dict[str, str], attributes: dict[str, OpSchema.AttrType]) -> Op:
    """An operator of onnxruntime: its inputs by name and type, and its attributes; the output is of the type T.

    Inputs whose type ends with ``?`` may be left out.
    """
    floats = ["tensor(float)", "tensor(float16)"]
    schema = OpSchema(
        name,
        opset.domain,
        opset.version,
        inputs=[_input(*item) for item in inputs.items()],
        outputs=[OpSchema.FormalParameter("output", "T")],
        type_constraints=[("T", floats, ""), ("M", ["tensor(int64)"], ""), ("I", ["tensor(int32)"], "")],
        attributes=[OpSchema.Attribute(attribute, kind, "") for attribute, kind in attributes.items()],
    )
    return Op(opset, name, schema)


def _input(name: str, kind: str) -> OpSchema.FormalParameter:
    options = OpSchema.FormalParameterOption
    option = options.Optional if kind.endswith("?") else options.Single
    return OpSchema.FormalParameter(name, kind.rstrip("?"), param_option=option)


_INT, _FLOAT = OpSchema.AttrType.INT, OpSchema.AttrType.FLOAT
_ATTENTION = _operator(
    _MICROSOFT,
    "MultiHeadAttention",
    {"query": "T", "key": "T", "value": "T", "bias": "T?", "key_padding_mask": "I?"},
    {"num_heads": _INT, "mask_filter_value": _FLOAT},
)
_ROTATION = _operator(
    _MICROSOFT,
    "RotaryEmbedding",
    {"input": "T", "position_ids": "M", "cos_cache": "T", "sin_cache": "T"},
    {"interleaved": _INT, "num_heads": _INT},
)
_NORM = _operator(
    opset18,
    "SimplifiedLayerNormalization",
    {"X": "T", "scale": "T"},
    {"axis": _INT, "epsilon": _FLOAT, "stash_type": _INT},
)
_GELU = _operator(_MICROSOFT, "FastGelu", {"X": "T", "bias": "T"}, {})


@torch.library.custom_op("flexcache::attention", mutates_args=())
def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention without a mask: query [B,N,heads*d], key and value [B,M,heads*d] -> [B,N,heads*d]."""
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).contiguous()


@torch.library.custom_op("flexcache::masked_attention", mutates_args=())
def masked_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, heads: int
) -> torch.Tensor:
    """Attention as above to the keys whose mask is 1, and not to those where it is 0: mask int32 [B,M]."""
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    bias = (1 - mask.to(query.dtype))[:, None, None] * MASKED
    return F.scaled_dot_product_attention(q, k, v, bias).transpose(1, 2).flatten(2).contiguous()


@torch.library.custom_op("flexcache::rotate", mutates_args=())
def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int) -> torch.Tensor:
    """Rotates neighbouring pairs of each head: x [B,N,heads*d] by angles whose cos and sin are [N,d/2]."""
    even, odd = x.unflatten(2, (heads, -1, 2)).unbind(-1)
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(2).type_as(x)


@torch.library.custom_op("flexcache::rotate_at", mutates_args=())
def rotate_at(
    x: torch.Tensor, places: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int
) -> torch.Tensor:
    """The same for tokens [B,n,heads*d] whose rows of the tables are at places int64 [B,n]."""
    even, odd = x.unflatten(2, (heads, -1, 2)).unbind(-1)
    cos, sin = cos[places].unsqueeze(2), sin[places].unsqueeze(2)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(2).type_as(x)


@torch.library.custom_op("flexcache::rms_norm", mutates_args=())
def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x over its root mean square along the last axis, times the weight of that axis."""
    return F.rms_norm(x, weight.shape, weight, eps)


@torch.library.custom_op("flexcache::fast_gelu", mutates_args=())
def fast_gelu(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """GELU of x + bias by its tanh approximation."""
    return F.gelu(x + bias, approximate="tanh")


for _custom in (attention, masked_attention, rotate, rotate_at, rms_norm, fast_gelu):
    _custom.register_fake(lambda x, *_others: torch.empty_like(x, memory_format=torch.contiguous_format))

#: What ``torch.onnx.export`` is to make of these operators.
TRANSLATIONS = {
    torch.ops.flexcache.attention.default: lambda query, key, value, heads: _ATTENTION(
        query, key, value, num_heads=heads
    ),
    torch.ops.flexcache.masked_attention.default: lambda query, key, value, mask, heads: _ATTENTION(
        query, key, value, None, mask, num_heads=heads, mask_filter_value=MASKED
    ),
    torch.ops.flexcache.rotate.default: lambda x, cos, sin, heads: _ROTATION(
        x, opset18.Constant(value_ints=[0]), cos, sin, interleaved=1, num_heads=heads
    ),
    torch.ops.flexcache.rotate_at.default: lambda x, places, cos, sin, heads: _ROTATION(
        x, places, cos, sin, interleaved=1, num_heads=heads
    ),
    torch.ops.flexcache.rms_norm.default: lambda x, weight, eps: _NORM(
        x, weight, axis=-1, epsilon=eps, stash_type=1
    ),
    torch.ops.flexcache.fast_gelu.default: lambda x, bias: _GELU(x, bias),
}


def rotate_each_head(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, places: torch.Tensor | None = None
) -> torch.Tensor:
    """Rotates neighbouring pairs of x [B,N,D], in every head by other angles: cos and sin are [N,D/2].

    With places int64 [B,n] x has tokens [B,n,D], whose rows of the tables are there.
    """
    tokens, width = cos.shape[0], 2 * cos.shape[1]
    parts = next(n for n in range(1, width) if width % (2 * n) == 0 and width // n <= ROTATED_AT_ONCE)
    # Each part of a token is a token to the operator: its tables are the same for all heads.
    cos, sin = (table.reshape(tokens * parts, -1) for table in (cos, sin))
    split = x.unflatten(2, (parts, -1)).flatten(1, 2)
    if places is None:
        rotated = rotate(split, cos, sin, heads=1)
    else:
        of_parts = (places.unsqueeze(2) * parts + torch.arange(parts, device=places.device)).flatten(1)
        rotated = rotate_at(split, of_parts, cos, sin, heads=1)
    return rotated.unflatten(1, (-1, parts)).flatten(2)


class RmsNorm(nn.Module):
    """A ``torch.nn.RMSNorm`` over the last axis, or diffusers' with or without a weight, by the fused operator."""

    def __init__(self, norm: nn.RMSNorm | RMSNorm):
        super().__init__()
        self.weight = norm.weight
        self.eps = torch.finfo(norm.weight.dtype).eps if norm.eps is None else norm.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Without a weight diffusers' norm does not tell the width: decoders of LTX-Video have one of 3 over many channels.
        weight = x.new_ones(x.shape[-1]) if self.weight is None else self.weight
        return rms_norm(x, weight, self.eps)


class LinearGelu(nn.Module):
    """A linear layer with a bias, and GELU by its tanh approximation, by the fused operator."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.linear = linear

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return fast_gelu(F.linear(x, self.linear.weight), self.linear.bias)


def fuse_transformer(transformer: nn.Module, attention_kind: type[nn.Module], processor: object) -> None:
    """Attention of this kind by the processor, and norms and GELU by the fused operators, in place."""
    for module in transformer.modules():
        if isinstance(module, attention_kind):
            module.set_processor(processor)
    replace_modules(transformer, _fused)


def _fused(module: nn.Module) -> nn.Module | None:
    if isinstance(module, (nn.RMSNorm, RMSNorm)):
        return RmsNorm(module)
    if isinstance(module, GELU) and module.approximate == "tanh":
        return LinearGelu(module.proj)
    return None


def replace_modules(root: nn.Module, replacement) -> None:
    """Puts ``replacement(module)`` in the place of every module below root for which it is not None."""
    for parent in list(root.modules()):
        for name, child in list(parent.named_children()):
            new = replacement(child)
            if new is not None:
                setattr(parent, name, new)
