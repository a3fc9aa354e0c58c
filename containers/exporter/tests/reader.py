"""A package as a reader uses it: the manifest, the tokenizer's file and onnxruntime."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from tokenizers import Tokenizer

from flexcache_exporter.graph import relative_difference


class Package:
    """The networks of a folder that was exported."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.manifest = json.loads((folder / "model.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(folder / self.manifest["files"]["tokenizer"][0]["path"]))
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / files[0]["path"])
            for name, files in self.manifest["files"].items()
            if name != "tokenizer"
        }

    def run(self, network: str, **inputs) -> np.ndarray:
        return self.sessions[network].run(None, inputs)[0]

    def signature(self, network: str) -> tuple[dict, dict]:
        """Inputs and outputs by name: type, then extents but that of the rows, which must be dynamic."""

        def described(values) -> dict:
            for value in values:
                assert isinstance(value.shape[0], str), "the number of rows is fixed"
            return {value.name: [value.type.removeprefix("tensor(").rstrip(")"), *value.shape[1:]] for value in values}

        session = self.sessions[network]
        return described(session.get_inputs()), described(session.get_outputs())

    def tokens(self, prompt: str) -> tuple[np.ndarray, np.ndarray]:
        text = self.manifest["text"]
        ids = self.tokenizer.encode(prompt, add_special_tokens=text["addsSpecialTokens"]).ids
        if len(ids) > text["maxTokens"]:
            ids = [*ids[: text["maxTokens"] - 1], text["eosId"]]
        padding = text["maxTokens"] - len(ids)
        mask = [1] * len(ids) + [0] * padding
        return np.array([ids + [text["padId"]] * padding]), np.array([mask])

    def noise_levels(self, steps: int) -> np.ndarray:
        """Those of a full generation: of steps + 1 even times from 1 to 0."""
        scheduler, times = self.manifest["scheduler"], np.linspace(1, 0, steps + 1)
        if "sigmas" in scheduler:
            grid = np.linspace(0, 1, len(scheduler["sigmas"]))
            return np.interp(1 - times, grid, scheduler["sigmas"]).astype(np.float32)
        shift = scheduler["shift"]
        return (shift * times / (1 + (shift - 1) * times)).astype(np.float32)

    def generate(
        self, prompt: str, start: np.ndarray, levels: np.ndarray, first: np.ndarray | None = None
    ) -> np.ndarray:
        """The latent of a guided Euler run over these noise levels; ``first`` is the latent [1,C,1,H,W] of a first image."""
        prompts = [self.tokens(text) for text in (prompt, self.manifest["text"].get("negativePrompt", ""))]
        ids, mask = (np.concatenate(rows) for rows in zip(*prompts, strict=True))
        states = self.run("textEncoder", input_ids=ids, attention_mask=mask)
        latent = with_first(start, first)
        for level, following in zip(levels, levels[1:], strict=False):
            asked, unasked = self.run(
                "denoiser",
                latent=np.repeat(latent, 2, axis=0),
                time=self.times(level, first is not None),
                text_states=states,
                text_mask=mask,
            )
            velocity = unasked + self.manifest["scheduler"]["guidance"] * (asked - unasked)
            latent = with_first(latent + (following - level) * velocity, first)
        return latent

    def times(self, level: float, has_first: bool) -> np.ndarray:
        """Of two rows, for each latent frame where the package takes first images, whose time is 0."""
        if "imageEncoder" not in self.sessions:
            return np.full(2, level, np.float32)
        times = np.full((2, self.manifest["latent"]["frames"]), level, np.float32)
        if has_first:
            times[:, 0] = 0
        return times


def with_first(latent: np.ndarray, first: np.ndarray | None) -> np.ndarray:
    """The latent with another first frame, where there is one."""
    return latent if first is None else np.concatenate([first, latent[:, :, 1:]], axis=2)


def wan_noise_levels(shift: float, steps: int) -> np.ndarray:
    """The grid of FlowMatchEulerDiscreteScheduler: even up to the least sigma it was trained with, and then 0."""

    def shifted(u):
        return shift * u / (1 + (shift - 1) * u)

    return np.append(shifted(np.linspace(1, shifted(1e-3), steps)), 0).astype(np.float32)


def operators_of(path: Path) -> list[str]:
    """Types of the operators of a graph, its functions and loops aside."""
    return [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]


def require_mask_decides(package: Package, latent: np.ndarray, tolerance: float) -> None:
    """Asserts that states beyond the mask change nothing in the denoiser, and that within it they do."""
    _, mask = package.tokens("a red ball")
    shape = (1, package.manifest["text"]["maxTokens"], package.manifest["text"]["hidden"])
    states = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    inputs = {"latent": latent, "time": np.array([0.5], np.float32), "text_mask": mask}
    masked = package.run("denoiser", text_states=states * mask[..., None].astype(np.float32), **inputs)
    np.testing.assert_array_equal(package.run("denoiser", text_states=states, **inputs), masked)
    unmasked = package.run("denoiser", text_states=states, **{**inputs, "text_mask": np.ones_like(mask)})
    assert relative_difference(unmasked, masked) > tolerance
