"""A PyTorch module -> an ONNX graph with its weights beside it, checked against PyTorch by onnxruntime."""

import logging
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn as nn
from torch.utils._pytree import tree_map

from .errors import CheckFailed, ExportError
from .model import Inputs, Network, given, outputs_of
from .operators import TRANSLATIONS
from .source import SAVE_AGAIN
from .storage import store_in_half

OPSET = 18
#: Numbers of rows that a network is checked with; the larger one is the example it is exported with.
ROWS = (1, 2)
#: Largest difference from PyTorch, relative to the output's largest value, by the type of the weights.
BOUNDS = {torch.float32: 1e-4, torch.float16: 2e-2}


@dataclass(frozen=True)
class Place:
    """Where a check runs: the device of PyTorch, and the execution provider of onnxruntime."""

    device: str
    provider: str


@dataclass(frozen=True)
class Finding:
    """What a check with some rows found: the difference from PyTorch, and the memory of the GPU that the network took."""

    difference: float
    #: Of its session, weights included, up to these rows; None where it ran on the CPU.
    gpu_bytes: int | None = None


#: By the name that the command has for them.
PLACES = {"cpu": Place("cpu", "CPUExecutionProvider"), "cuda": Place("cuda", "CUDAExecutionProvider")}


def bound_of(dtype: torch.dtype, half_weights: bool) -> float:
    """Largest relative difference that an export may show."""
    return BOUNDS[torch.float16 if half_weights else dtype]


def require_place(place: Place) -> None:
    """Raises ExportError where PyTorch has no such device, or onnxruntime no such provider."""
    if place.device == "cuda" and not torch.cuda.is_available():
        raise ExportError("--check-on", "PyTorch here has no CUDA device", "check on the cpu, or where there is a GPU")
    if place.provider not in onnxruntime.get_available_providers():
        raise ExportError("--check-on", f"onnxruntime here has no {place.provider}", "install onnxruntime-gpu")


def export_network(
    network: Network, dtype: torch.dtype, path: Path, place: Place, half_weights: bool = False
) -> dict[int, Finding]:
    """Writes ``path`` and ``path.data`` and checks them; what was found, by rows of the batch.

    With ``half_weights`` weights of float32 are stored as float16.

    Both sides of the check run at the place; the graph is made on the CPU. Raises CheckFailed where the graph takes or
    gives something else than the network, or differs by more than the bound, and ExportError where its weights cannot
    be read.
    """
    with torch.no_grad():
        reference = _load(network)
        examples = {rows: network.example(rows) for rows in ROWS}
        reference.to(place.device)
        expected = {rows: _computed(reference, inputs, place.device) for rows, inputs in examples.items()}
        # Traced on the CPU: graphs name no device.
        reference.to("cpu")
        if place.device == "cuda":
            # onnxruntime needs the memory that PyTorch keeps for later.
            torch.cuda.empty_cache()
        module = network.rewrite(reference).eval()
        traced = None if network.traced is None else network.traced(max(ROWS))
        if traced is not None:
            module.to(place.device)
            traced_expected = _computed(module, traced, place.device)
            module.to("cpu")
        _write(network, module, given(traced, examples[max(ROWS)]), path, half_weights)
    del reference, module
    check = _Check(network, path, place, bound_of(dtype, half_weights))
    findings = {rows: check.compare(inputs, expected[rows], f"{rows} rows") for rows, inputs in examples.items()}
    if traced is not None:
        check.compare(traced, traced_expected, "some tokens")
    return findings


def _computed(module: nn.Module, inputs: Inputs, device: str) -> list[np.ndarray]:
    return [y.cpu().numpy() for y in outputs_of(module(**tree_map(lambda x: x.to(device), inputs)))]


def _load(network: Network) -> nn.Module:
    try:
        return network.load().eval().requires_grad_(False)
    except OSError as error:
        raise ExportError(network.component, f"its weights cannot be read: {error}", SAVE_AGAIN) from error


def _write(network: Network, module: nn.Module, inputs: Inputs, path: Path, half_weights: bool) -> None:
    # It tells of its own deprecated calls, and of operators that are not there and not needed.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                module,
                (),
                kwargs=inputs,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(_flat(inputs)),
                output_names=list(network.outputs),
                dynamic_shapes=_dynamic_shapes(network, inputs),
                custom_translation_table=TRANSLATIONS,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(
                network.name,
                f"torch.onnx cannot export it: {error}",
                "install the versions of requirements.lock: others were not tried",
            ) from error
    # Paths and lines of the code that was traced: of no use to anybody who runs the graph.
    graph = program.model.graph
    program.model.metadata_props.clear()
    graph.metadata_props.clear()
    for node in graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*graph.inputs, *graph.initializers.values()):
        value.metadata_props.clear()
    if half_weights:
        store_in_half(graph)
    program.save(path, external_data=True)


def _dynamic_shapes(network: Network, inputs: Inputs) -> dict:
    """What differs from run to run."""
    batch = torch.export.Dim("batch", min=1)
    extents = {name: torch.export.Dim(name, min=0) for axes in network.extents.values() for name in axes.values()}

    def shapes(values: Inputs) -> dict:
        return {name: shapes(x) if isinstance(x, dict) else shape(name) for name, x in values.items()}

    def shape(name: str) -> dict:
        return {0: batch, **{axis: extents[extent] for axis, extent in network.extents.get(name, {}).items()}}

    return shapes(inputs)


def _flat(inputs: Inputs) -> dict[str, torch.Tensor]:
    """Tensors by the names that the graph has for them."""
    found = {}
    for name, x in inputs.items():
        found |= _flat(x) if isinstance(x, dict) else {name: x}
    return found


class _Check:
    """A graph in onnxruntime, beside PyTorch."""

    def __init__(self, network: Network, path: Path, place: Place, bound: float):
        self.network = network
        self.place = place
        self.bound = bound
        self.free_before = _free_gpu_bytes(place)
        self.session = onnxruntime.InferenceSession(path, providers=[place.provider])
        # It says no more than a warning where a provider does not start, and takes the CPU.
        if place.provider not in self.session.get_providers():
            raise ExportError(
                "--check-on",
                f"onnxruntime cannot start its {place.provider} and would check on the CPU",
                "install the CUDA and cuDNN that this onnxruntime-gpu needs; its warnings above name what is missing",
            )

    def compare(self, inputs: Inputs, expected: list[np.ndarray], what: str) -> Finding:
        """How the graph differs on these inputs; raises CheckFailed where it does by more than the bound, or in its names."""
        found = ([x.name for x in self.session.get_inputs()], [y.name for y in self.session.get_outputs()])
        feeds = {name: x.numpy() for name, x in _flat(inputs).items()}
        wanted = (list(feeds), list(self.network.outputs))
        if (sorted(found[0]), found[1]) != (sorted(wanted[0]), wanted[1]):
            raise CheckFailed(
                self.network.name,
                f"the graph takes {found[0]} and gives {found[1]}, expected {wanted[0]} and {wanted[1]}",
                "its module has to use every input and to give every output",
            )
        actual = self.session.run(None, feeds)
        difference = float(np.max([relative_difference(*pair) for pair in zip(actual, expected, strict=True)]))
        # Not `>`, which a NaN would pass.
        if not difference <= self.bound:
            raise CheckFailed(
                self.network.name,
                f"with {what} onnxruntime differs from PyTorch by {difference:.1e}, and {self.bound:.0e} is allowed",
                "export with --dtype fp32; if that differs too, these versions of torch and onnxruntime disagree",
            )
        # A session gives nothing back: what it has now is the most that it had.
        taken = None if self.free_before is None else self.free_before - _free_gpu_bytes(self.place)
        return Finding(difference, taken)


def _free_gpu_bytes(place: Place) -> int | None:
    return torch.cuda.mem_get_info()[0] if place.device == "cuda" else None


def relative_difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference over the largest absolute expected value; infinite where shapes differ, 0 without values."""
    if actual.shape != expected.shape:
        return float("inf")
    if expected.size == 0:
        return 0.0
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))


def move(temporary: Path, final: Path) -> list[Path]:
    """Gives the files of a finished graph their final names; the graph first in what is returned, its weights after."""
    moved = []
    # The graph last: where it is, its weights are.
    for suffix in (".data", ""):
        part = temporary.with_name(temporary.name + suffix)
        if part.exists():
            target = final.with_name(final.name + suffix)
            shutil.move(part, target)
            moved.insert(0, target)
    return moved
