"""Denoisers that evaluate some of their tokens as the product runs them, and what PyTorch computes for the same."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn as nn

from flexcache_exporter.model import Network


class Session:
    """A graph in onnxruntime."""

    def __init__(self, path: Path):
        self.session = onnxruntime.InferenceSession(path)
        self.inputs = {value.name for value in self.session.get_inputs()}

    def __call__(self, outputs: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        return self.session.run(outputs, feeds)


class InPyTorch:
    """The module that a graph is made of."""

    def __init__(self, network: Network):
        self.outputs = network.outputs
        self.module = network.rewrite(network.load().eval()).eval()
        example = network.example(2)
        self.own = set(example["denoiser"])
        self.inputs = {*self.own, "live", "kept", *example["context"]}

    def __call__(self, outputs: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        given = {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in feeds.items()}
        context = {name: x for name, x in given.items() if name.startswith("context_")}
        own = {name: given[name] for name in self.own}
        with torch.no_grad():
            found = self.module(own, given["live"], given["kept"], context)
        by_name = dict(zip(self.outputs, found, strict=True))
        return [by_name[name].numpy() for name in outputs]


@dataclass(frozen=True)
class Regional:
    """A denoiser of live tokens: two rows are evaluated at once."""

    evaluate: Session | InPyTorch
    grid: tuple[int, int, int]
    patch: tuple[int, int, int]
    blocks: int
    heads: int
    width: int

    @property
    def tokens(self) -> int:
        return int(np.prod(self.grid))

    @property
    def names(self) -> list[str]:
        """Outputs of all blocks."""
        return [f"{kind}_{block}" for block in range(self.blocks) for kind in ("keys", "values")]

    @property
    def every(self) -> np.ndarray:
        return np.tile(np.arange(self.tokens), (2, 1))

    @property
    def no_context(self) -> dict[str, np.ndarray]:
        return {f"context_{name}": np.zeros((2, self.heads, 0, self.width), np.float32) for name in self.names}

    def others(self, live: np.ndarray) -> np.ndarray:
        """The tokens that are not live, of each row, in no order of theirs."""
        return np.stack([np.setdiff1d(np.arange(self.tokens), row)[::-1] for row in live])

    def run(self, given: dict, live: np.ndarray, kept: np.ndarray, context: dict) -> dict[str, np.ndarray]:
        marks = {"object_tokens": np.zeros_like(given["text_mask"], np.float32)}
        marks = {name: x for name, x in marks.items() if name in self.evaluate.inputs}
        outputs = ["velocity", *self.names]
        found = self.evaluate(outputs, {**marks, **given, "live": live, "kept": kept, **context})
        return dict(zip(outputs, found, strict=True))

    def whole(self, given: dict) -> dict[str, np.ndarray]:
        """An evaluation of all tokens that keeps all keys and values."""
        return self.run(given, self.every, self.every, self.no_context)

    def chosen(self, found: dict, tokens: np.ndarray) -> dict[str, np.ndarray]:
        """The context of these tokens, of keys and values of all."""
        return {
            f"context_{name}": np.take_along_axis(found[name], tokens[:, None, :, None], axis=2) for name in self.names
        }

    def at(self, tokens: np.ndarray) -> np.ndarray:
        """Where a latent [2,1,T,H,W] is that of these tokens."""
        marked = np.zeros((2, self.tokens), bool)
        np.put_along_axis(marked, tokens, True, axis=1)
        marked = marked.reshape(2, *self.grid)
        for axis, size in enumerate(self.patch):
            marked = marked.repeat(size, axis=axis + 1)
        return marked[:, None]


@dataclass(frozen=True)
class Stale:
    """What PyTorch computes."""

    #: Keys and values that the evaluation before had, in the order of the outputs: [2,heads,N,d].
    context: list[np.ndarray]
    #: Velocity of the evaluation after it where tokens that are not live have those, and where they have their own.
    velocity: np.ndarray
    fresh: np.ndarray


@dataclass(frozen=True)
class AttentionCall:
    """How diffusers' processors call attention: a function of a module, of tensors whose tokens lie along an axis."""

    module: ModuleType
    name: str = "dispatch_attention_fn"
    axis: int = 1
    #: Tokens of text before those of the latent.
    text: int = 0


def stale_reference(
    call: AttentionCall, reference: nn.Module, live: np.ndarray, tokens: int, before: dict, after: dict
) -> Stale:
    """Two evaluations by diffusers, the second with keys and values of the first outside the live tokens [2,n]."""
    axis, text = call.axis, call.text
    recorded: list[tuple[torch.Tensor, torch.Tensor]] = []
    is_live = torch.zeros(2, tokens, dtype=torch.bool).scatter(1, torch.from_numpy(live), True)
    is_live = torch.cat([torch.ones(2, text, dtype=torch.bool), is_live], dim=1)[:, :, None, None].transpose(1, axis)
    attend = getattr(call.module, call.name)

    def recording(query, key, value, **options):
        if key.shape[axis] == text + tokens:
            recorded.append((key, value))
        return attend(query, key, value, **options)

    def with_recorded(query, key, value, **options):
        if key.shape[axis] == text + tokens:
            old_key, old_value = left.pop(0)
            key, value = torch.where(is_live, key, old_key), torch.where(is_live, value, old_value)
        return attend(query, key, value, **options)

    def computed(given: dict, by: Callable) -> np.ndarray:
        with pytest.MonkeyPatch.context() as patch, torch.no_grad():
            patch.setattr(call.module, call.name, by)
            return reference(**{name: torch.from_numpy(x) for name, x in given.items()}).numpy()

    computed(before, recording)
    left = list(recorded)
    return Stale(
        context=[x.transpose(1, 3 - axis)[:, :, text:].numpy() for pair in recorded for x in pair],
        velocity=computed(after, with_recorded),
        fresh=computed(after, attend),
    )
