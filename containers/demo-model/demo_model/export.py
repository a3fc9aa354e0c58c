"""Writes the model package: ONNX files, tokenizer and ``model.json``; checks every file against PyTorch.

    python -m demo_model.export --checkpoints CK --package package
    python -m demo_model.export --checkpoints CK --package package --only denoiser --regions-trained   (the other files stay)
    python -m demo_model.export --untrained --package DIR      (random weights, for trying the plumbing)

Weights are stored as fp16, or as int8 per output channel for the files that only evaluation and look-up read; a Cast (and
a Mul) in the graph restores float32 when the session is made, so inputs, outputs and arithmetic are float32.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn as nn
from onnx import TensorProto, helper, numpy_helper

from . import captions, checkpoints, networks, recipes, rewrite_decoder, tokenization, world

VERSION = "1.0.0"
OPSET = 20
#: Largest difference from PyTorch that an exported file may show, relative to the output's largest value.
TOLERANCE = {"float16": 2e-3, "int8": 8e-2}


class NormalisedEncoder(nn.Module):
    """Clip -> normalised latent (the posterior's mean)."""

    def __init__(self, encoder: nn.Module, mean: torch.Tensor, std: torch.Tensor):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("mean", mean.view(1, -1, 1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1, 1))

    def forward(self, video):
        return (self.encoder(video)[0] - self.mean) / self.std


class NormalisedDecoder(nn.Module):
    """Normalised latent -> clip in 0..1."""

    def __init__(self, decoder: nn.Module, mean: torch.Tensor, std: torch.Tensor):
        super().__init__()
        self.decoder = decoder
        self.register_buffer("mean", mean.view(1, -1, 1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1, 1))

    def forward(self, latent):
        return self.decoder(latent * self.std + self.mean)


#: Networks of look-up, by their name in checkpoints.
LOOKUP = {"segmenter": "segmenter", "textTower": "text_tower", "videoTower": "video_tower", "judge": "judge"}


def load_networks(directory: Path | None, device: str = "cpu", recipe: recipes.Recipe = recipes.OWN) -> dict[str, nn.Module]:
    """All networks by their name in ``model.json``; ``None`` gives random weights."""
    encoder, decoder = recipe.make_vae()
    lookup = recipe.make_lookup()
    nets: dict[str, nn.Module] = {
        "textEncoder": recipe.make_text_encoder(), "denoiser": recipe.make_denoiser(),
        **{name: lookup[key] for name, key in LOOKUP.items()},
    }
    mean, std = torch.zeros(networks.CHANNELS), torch.ones(networks.CHANNELS)
    if directory is None:
        if recipe is recipes.OWN:
            nn.init.normal_(nets["denoiser"].patch_out.weight, std=0.02)
    else:
        vae, aux, norm = (checkpoints.load(directory, name) for name in ("vae", "aux", "norm"))
        encoder.load_state_dict(checkpoints.full(vae["encoder"])), decoder.load_state_dict(checkpoints.full(vae["decoder"]))
        nets["textEncoder"].load_state_dict(checkpoints.full(checkpoints.load(directory, "text")["text"]))
        nets["denoiser"].load_state_dict(checkpoints.full(checkpoints.load(directory, "denoiser")["net"]))
        for name, key in LOOKUP.items():
            nets[name].load_state_dict(checkpoints.full(aux[key]))
        mean, std = norm["mean"], norm["std"]
    nets["vaeEncoder"] = NormalisedEncoder(encoder, mean, std)
    nets["vaeDecoder"] = NormalisedDecoder(decoder, mean, std)
    return {name: net.to(device).eval() for name, net in nets.items()}


class RegionDenoiser(nn.Module):
    """The denoiser's one exported graph: a full evaluation is one in which all tokens are live and the context is empty."""

    def __init__(self, denoiser: networks.Denoiser):
        super().__init__()
        self.denoiser = denoiser

    def forward(self, latent, time, text_states, text_mask, live, context_keys, context_values):
        velocity, keys, values = self.denoiser.region(latent, time, text_states, text_mask, live, context_keys, context_values)
        return (velocity, *keys, *values)


def example(
    name: str, batch: int, generator: torch.Generator, live: int = 130, layout: recipes.Layout = recipes.OWN.layout,
) -> dict[str, torch.Tensor | list[torch.Tensor]]:
    """Random inputs of a network, by input name; ``live`` of the denoiser's tokens are live, the others its context."""
    latent = torch.randn(batch, *layout.latent, generator=generator)
    ids = torch.randint(1, layout.vocabulary, (batch, tokenization.MAX_TOKENS), generator=generator)
    ids[:, 12:] = 0
    mask = networks.text_mask(ids)
    match name:
        case "textEncoder" | "textTower":
            return {"input_ids": ids, "attention_mask": mask}
        case "denoiser":
            states = torch.randn(batch, tokenization.MAX_TOKENS, networks.TEXT_WIDTH, generator=generator)
            tokens = torch.stack([torch.randperm(networks.TOKENS, generator=generator) for _ in range(batch)])
            shape = (batch, networks.DENOISER_HEADS, networks.TOKENS - live, networks.DENOISER_WIDTH // networks.DENOISER_HEADS)
            context = [[torch.randn(shape, generator=generator) for _ in range(networks.DENOISER_DEPTH)] for _ in range(2)]
            return {
                "latent": latent, "time": torch.rand(batch, generator=generator), "text_states": states, "text_mask": mask,
                "live": tokens[:, :live], "context_keys": context[0], "context_values": context[1],
            }
        case "vaeEncoder":
            return {"video": torch.rand(batch, world.FRAMES, 3, world.HEIGHT, world.WIDTH, generator=generator)}
        case _:
            return {"latent": latent}


def onnx_feeds(feeds: dict) -> dict[str, np.ndarray]:
    """What onnxruntime is fed: the tensors of a list under their number."""
    flat = {}
    for name, value in feeds.items():
        if isinstance(value, list):
            flat.update({f"{name}_{index}": tensor.numpy() for index, tensor in enumerate(value)})
        else:
            flat[name] = value.numpy()
    return flat


def as_exported(name: str, net: nn.Module) -> nn.Module:
    """The module whose graph is the network's file."""
    return RegionDenoiser(net) if name == "denoiser" else net


def outputs_of(name: str, net: nn.Module, feeds: dict) -> dict[str, torch.Tensor]:
    """What a network gives, by output name."""
    result = as_exported(name, net)(*feeds.values())
    return dict(zip(OUTPUTS[name], result if isinstance(result, tuple) else (result,)))


def _dynamic_shapes(name: str, feeds: dict) -> tuple:
    batch = torch.export.Dim("batch", min=1, max=64)
    if name != "denoiser":
        return tuple({0: batch} for _ in feeds)
    live, context = torch.export.Dim("live", min=1, max=networks.TOKENS), torch.export.Dim("context", min=0, max=networks.TOKENS)
    others = [{0: batch, 2: context}] * networks.DENOISER_DEPTH
    return (*({0: batch} for _ in range(4)), {0: batch, 1: live}, others, others)


def _block_names(name: str) -> list[str]:
    return [f"{name}_{index}" for index in range(networks.DENOISER_DEPTH)]


OUTPUTS = {
    "textEncoder": ["states"], "denoiser": ["velocity", *_block_names("keys"), *_block_names("values")], "vaeDecoder": ["video"], "vaeEncoder": ["latent"],
    "segmenter": ["mask_logits"], "textTower": ["embedding", "part_logits"], "videoTower": ["embedding"],
    "judge": ["logits", "features"],
}
#: Attributes that tell where the object is in the course of a clip.
PLACE_FIELDS = ("size", "motion")
FILES = {
    "textEncoder": "text-encoder.onnx", "denoiser": "denoiser.onnx", "vaeDecoder": "vae-decoder.onnx",
    "vaeEncoder": "vae-encoder.onnx", "segmenter": "segmenter.onnx", "textTower": "text-tower.onnx",
    "videoTower": "video-tower.onnx", "judge": "judge.onnx",
}
INT8 = {"vaeEncoder", "videoTower", "judge"}


def compress_weights(model: onnx.ModelProto, int8: bool) -> None:
    """Stores large float32 initializers as fp16 (or int8 with one scale per first axis) and restores them in the graph."""
    graph, nodes = model.graph, []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < 1024:
            continue
        name = tensor.name
        graph.initializer.remove(tensor)
        if int8 and values.ndim > 1:
            axes = tuple(range(1, values.ndim))
            scale = np.maximum(np.abs(values).max(axis=axes, keepdims=True), 1e-12) / 127
            stored = np.clip(np.round(values / scale), -127, 127).astype(np.int8)
            graph.initializer.extend([
                numpy_helper.from_array(stored, name + ".int8"),
                numpy_helper.from_array(scale.astype(np.float32), name + ".scale"),
            ])
            nodes.append(helper.make_node("Cast", [name + ".int8"], [name + ".cast"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [name + ".cast", name + ".scale"], [name]))
        else:
            graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), name + ".half"))
            nodes.append(helper.make_node("Cast", [name + ".half"], [name], to=TensorProto.FLOAT))
    for index, node in enumerate(nodes):
        graph.node.insert(index, node)


def export_network(
    name: str, net: nn.Module, path: Path, generator: torch.Generator, layout: recipes.Layout = recipes.OWN.layout,
) -> float:
    """Writes one ONNX file and returns its largest relative difference from PyTorch over batches of 1 and 2."""
    feeds = example(name, 2, generator, layout=layout)
    program = torch.onnx.export(
        as_exported(name, net), tuple(feeds.values()), input_names=list(onnx_feeds(feeds)),
        output_names=OUTPUTS[name], opset_version=OPSET, dynamic_shapes=_dynamic_shapes(name, feeds), dynamo=True,
        external_data=False, optimize=True, verbose=False,
    )
    model = program.model_proto
    compress_weights(model, name in INT8)
    if name == "vaeDecoder":
        rewrite_decoder.rewrite(model)
    del model.metadata_props[:]
    model.doc_string = ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in model.graph.value_info:
        del value.metadata_props[:]
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    # The denoiser with a region and with all tokens live, which leaves its context empty.
    for size, live in ((1, 77), (2, networks.TOKENS)):
        feeds = example(name, size, generator, live, layout)
        with torch.no_grad():
            expected = outputs_of(name, net, feeds)
        for mine, theirs in zip(session.run(list(expected), onnx_feeds(feeds)), expected.values()):
            worst = max(worst, float(np.abs(mine - theirs.numpy()).max() / max(1e-6, theirs.abs().max().item())))
    limit = TOLERANCE["int8" if name in INT8 else "float16"]
    if worst > limit:
        raise AssertionError(f"{path.name} differs from PyTorch by {worst:.1e} (limit {limit:.0e})")
    return worst


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lookup_fields(thresholds: dict) -> dict:
    """What ``model.json`` says of the networks of look-up."""
    return {
        "embedding": {"dimensions": networks.EMBEDDING},
        "splitter": {"labels": captions.SPLIT_LABELS},
        "lookup": {"thresholds": thresholds},
        "judge": {"attributes": [
            {
                "name": name, "part": "object" if index in captions.OBJECT_FIELDS else "background",
                **({"place": True} if name in PLACE_FIELDS else {}), "values": values, "words": captions.other_words(values),
            }
            for index, (name, values) in enumerate(captions.FIELDS)
        ]},
    }


def describe_file(package: Path, path: str) -> dict:
    """A file as ``model.json`` names it."""
    return {"path": path, "sha256": sha256(package / path), "bytes": (package / path).stat().st_size}


def measured(quality_file: Path | None, package: Path) -> tuple[dict, dict]:
    """Scheduler and thresholds of a ``quality.json``, which is copied into the package; without one those of plumbing."""
    if quality_file is None:
        return {"solver": "ab2", "steps": 7, "referenceSteps": 50, "guidance": 3.0}, {"whole": 0.8, "object": 0.8, "background": 0.8}
    quality = json.loads(quality_file.read_text())
    (package / "quality.json").write_text(json.dumps(quality, indent=2) + "\n")
    return quality["scheduler"], quality["thresholds"]


def require_small(package: Path) -> None:
    """Raises AssertionError where the files of a package together are larger than a repository should carry."""
    total = sum(path.stat().st_size for path in package.iterdir())
    print(f"package {total / 1e6:.1f} MB")
    if total > 40e6:
        raise AssertionError("the package is larger than 40 MB")


def write_manifest(package: Path, scheduler: dict, thresholds: dict, regions_trained: bool = False) -> None:
    """Writes ``model.json`` over the files that lie in the package; ``regions_trained`` as in ``train regions``."""
    files = {"tokenizer": "tokenizer.json", **FILES}
    manifest = {
        "format": "flexcache-model/2", "name": "demo-world", "version": VERSION, "license": "MIT",
        "video": {"frames": world.FRAMES, "height": world.HEIGHT, "width": world.WIDTH, "framesPerSecond": 8},
        "latent": dict(zip(("channels", "frames", "height", "width"), networks.LATENT_SHAPE)),
        "text": {"maxTokens": tokenization.MAX_TOKENS, "hidden": networks.TEXT_WIDTH},
        "scheduler": {"type": "rectified-flow", **scheduler},
        "regions": {
            "patch": list(networks.PATCH), "blocks": networks.DENOISER_DEPTH, "heads": networks.DENOISER_HEADS,
            "headWidth": networks.DENOISER_WIDTH // networks.DENOISER_HEADS, "trained": regions_trained,
        },
        **lookup_fields(thresholds),
        "files": {key: [describe_file(package, path)] for key, path in files.items()},
    }
    (package / "model.json").write_text(json.dumps(manifest, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--untrained", action="store_true")
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--only", choices=list(FILES), help="write this network's file; the package has the others")
    parser.add_argument("--regions-trained", action="store_true", help="the denoiser went through `train regions`")
    parser.add_argument("--quality", type=Path, help="quality.json of demo_model.evaluate: sets steps, guidance and thresholds")
    args = parser.parse_args()
    if not args.untrained and args.checkpoints is None:
        parser.error("give --checkpoints DIR, or --untrained for random weights")
    args.package.mkdir(parents=True, exist_ok=True)
    nets = load_networks(None if args.untrained else args.checkpoints)
    generator = torch.Generator().manual_seed(7)
    for name, path in FILES.items():
        if args.only not in (None, name):
            continue
        worst = export_network(name, nets[name], args.package / path, generator)
        print(f"{path:20s} {(args.package / path).stat().st_size / 1e6:6.2f} MB  max relative difference {worst:.1e}", flush=True)
    tokenization.build_tokenizer().save(str(args.package / "tokenizer.json"))
    write_manifest(args.package, *measured(args.quality, args.package), args.regions_trained)
    require_small(args.package)


if __name__ == "__main__":
    main()
