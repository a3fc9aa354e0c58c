"""The networks of a package, read back from its ONNX files into PyTorch: how training and evaluation go on without checkpoints.

    python -m demo_model.restore --package package                     (compares every network with onnxruntime)
    python -m demo_model.restore --package package --checkpoints CK    (also writes CK for demo_model.train, evaluate and export)

The weights are the stored fp16 or int8 values, so nothing is lost against what is shipped. Not in a package, and therefore
fresh: the text encoder's ``projection``, which only its contrastive pre-training uses, and the optimizers' states.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn as nn
from onnx import numpy_helper

from . import checkpoints, export, networks

#: Largest difference from onnxruntime that a restored network may show, relative to the output's largest value.
TOLERANCE = 1e-3
#: Parameters that no exported graph holds.
NOT_EXPORTED = {"projection.weight", "projection.bias"}


def _stored_values(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Float weights by the name under which the graph reads them; undoes ``export.compress_weights``."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values = {name: array for name, array in stored.items() if array.dtype == np.float32}
    for name, array in stored.items():
        if name.endswith(".half"):
            values[name.removesuffix(".half")] = array.astype(np.float32)
        elif name.endswith(".int8"):
            base = name.removesuffix(".int8")
            values[base] = array.astype(np.float32) * stored[base + ".scale"]
    return values


def _module_weights(graph: onnx.GraphProto, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Linear weights that the exporter transposed and renamed, by the module whose bias is added to their product."""
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul" and node.input[1] in values}
    found = {}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        product = next((name for name in node.input if name in products), None)
        bias = next((name for name in node.input if name.endswith(".bias")), None)
        if product is not None and bias is not None:
            found[bias.removesuffix("bias") + "weight"] = values[products[product]].T
    return found


def _group_norms(graph: onnx.GraphProto, values: dict[str, np.ndarray], net: nn.Module) -> dict[str, np.ndarray]:
    """Scales and shifts of group norms, which stand in the graph in the order in which the modules were made."""
    normalised = {node.output[0] for node in graph.node if node.op_type == "InstanceNormalization"}
    reshaped = normalised | {node.output[0] for node in graph.node if node.op_type == "Reshape" and node.input[0] in normalised}
    scaled, pairs = {}, []
    for node in graph.node:
        weight = next((name for name in node.input if name in values), None)
        if node.op_type == "BatchNormalization":
            pairs.append((values[node.input[1]], values[node.input[2]]))
        elif node.op_type == "Mul" and weight is not None and any(name in reshaped for name in node.input):
            scaled[node.output[0]] = values[weight]
        elif node.op_type == "Add" and weight is not None and any(name in scaled for name in node.input):
            pairs.append((next(scaled[name] for name in node.input if name in scaled), values[weight]))
    modules = [name for name, module in net.named_modules() if isinstance(module, nn.GroupNorm)]
    if len(pairs) != len(modules):
        raise ValueError(f"the graph has {len(pairs)} group norms, the network {len(modules)}")
    found = {}
    for name, (scale, shift) in zip(modules, pairs):
        found[f"{name}.weight"], found[f"{name}.bias"] = scale.reshape(-1), shift.reshape(-1)
    return found


def _embeddings(graph: onnx.GraphProto, values: dict[str, np.ndarray], net: nn.Module) -> dict[str, np.ndarray]:
    """Token tables, which a gather reads."""
    tables = [values[node.input[0]] for node in graph.node if node.op_type in ("Gather", "GatherND") and node.input[0] in values]
    modules = [name for name, module in net.named_modules() if isinstance(module, nn.Embedding)]
    return {f"{name}.weight": table for name, table in zip(modules, tables)}


def restore_network(net: nn.Module, path: Path) -> None:
    """Loads the weights of an exported file into the network that it was exported from.

    Raises ``ValueError`` naming the parameters that the file does not hold.
    """
    graph = onnx.load(path).graph
    values = _stored_values(graph)
    state = net.state_dict()
    found = {
        **_module_weights(graph, values), **_group_norms(graph, values, net), **_embeddings(graph, values, net),
        **{name: value for name, value in values.items() if name in state},
    }
    missing = [name for name in state if name not in found and name not in NOT_EXPORTED]
    if missing:
        raise ValueError(f"{path}: no values for {', '.join(missing)}")
    net.load_state_dict({
        name: torch.from_numpy(np.array(found[name], dtype=np.float32)).reshape(value.shape) if name in found else value
        for name, value in state.items()
    })


def load_package(package: Path, device: str = "cpu") -> dict[str, nn.Module]:
    """All networks of a package by their name in ``model.json``, as ``export.load_networks`` gives them for checkpoints."""
    nets = export.load_networks(None)
    for name, net in nets.items():
        restore_network(export.as_exported(name, net), package / export.FILES[name])
    return {name: net.to(device).eval() for name, net in nets.items()}


def difference(name: str, net: nn.Module, path: Path, size: int = 2) -> float:
    """Largest difference between a network and an exported file, relative to each output's largest value."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = export.example(name, size, torch.Generator().manual_seed(11))
    with torch.no_grad():
        expected = export.outputs_of(name, net, feeds)
    mine = session.run(list(expected), export.onnx_feeds(feeds))
    return max(
        float(np.abs(a - b.numpy()).max() / max(1e-6, b.abs().max().item())) for a, b in zip(mine, expected.values())
    )


def save_checkpoints(nets: dict[str, nn.Module], directory: Path) -> None:
    """Writes the networks as the checkpoints that ``train``, ``evaluate`` and ``export`` read."""
    half = {name: checkpoints.half(net.state_dict()) for name, net in nets.items()}
    encoder, decoder = nets["vaeEncoder"], nets["vaeDecoder"]
    checkpoints.save(directory, "vae", {
        "encoder": checkpoints.half(encoder.encoder.state_dict()), "decoder": checkpoints.half(decoder.decoder.state_dict()),
    })
    checkpoints.save(directory, "norm", {"mean": encoder.mean.flatten(), "std": encoder.std.flatten()})
    checkpoints.save(directory, "text", {"text": half["textEncoder"]})
    checkpoints.save(directory, "denoiser", {"net": half["denoiser"]})
    checkpoints.save(directory, "aux", {
        "segmenter": half["segmenter"], "text_tower": half["textTower"], "video_tower": half["videoTower"], "judge": half["judge"],
    })


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--checkpoints", type=Path)
    args = parser.parse_args()
    nets = load_package(args.package)
    for name, net in nets.items():
        worst = difference(name, net, args.package / export.FILES[name])
        print(f"{name:12s} max relative difference {worst:.1e}", flush=True)
        if worst > TOLERANCE:
            raise AssertionError(f"{name} differs from {export.FILES[name]} by {worst:.1e} (limit {TOLERANCE:.0e})")
    if args.checkpoints:
        save_checkpoints(nets, args.checkpoints)


if __name__ == "__main__":
    main()
