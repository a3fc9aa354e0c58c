"""The folder that is written: manifest, resumption, and what is left where an export fails."""

import hashlib
import json
import shutil

import numpy as np
import onnx
import pytest
import tiny
import torch
import torch.nn as nn
from conftest import arguments

from flexcache_exporter import graph
from flexcache_exporter.cli import main
from flexcache_exporter.errors import CheckFailed
from flexcache_exporter.families import open_model
from flexcache_exporter.model import Network, Request
from flexcache_exporter.package import Record, fingerprint_of
from flexcache_exporter.source import Source
from flexcache_exporter.storage import LEAST_NUMBERS

NETWORKS = ("textEncoder", "denoiser", "vaeDecoder", "vaeEncoder")


@pytest.fixture
def copy(export, tmp_path):
    """A finished export that a test may change."""
    return shutil.copytree(export.out, tmp_path / "out")


def exported(log: str) -> list[str]:
    """Networks that a run exported, by what it said."""
    return [line.split(":")[0] for line in log.splitlines() if line.endswith(": exporting")]


def contents(folder) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_manifest_describes_the_model(export):
    manifest = {**export.manifest}
    files = manifest.pop("files")
    assert manifest == {
        "format": "flexcache-model/2",
        "name": "tiny-wan",
        "family": "wan",
        "video": {"frames": 9, "height": 32, "width": 48, "framesPerSecond": 16},
        "latent": {"channels": 16, "frames": 3, "height": 4, "width": 6},
        "text": {"maxTokens": 16, "hidden": 32, "padId": 0, "eosId": 1, "addsSpecialTokens": True},
        "scheduler": {"type": "rectified-flow", "shift": 3.0, "guidance": 5.0, "steps": 50},
    }
    assert {name: [file["path"] for file in entries] for name, entries in files.items()} == {
        "tokenizer": ["tokenizer.json"],
        "textEncoder": ["text-encoder.onnx", "text-encoder.onnx.data"],
        "denoiser": ["denoiser.onnx", "denoiser.onnx.data"],
        "vaeDecoder": ["vae-decoder.onnx", "vae-decoder.onnx.data"],
        "vaeEncoder": ["vae-encoder.onnx", "vae-encoder.onnx.data"],
    }
    for file in (file for entries in files.values() for file in entries):
        content = (export.out / file["path"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_differences_from_pytorch_are_recorded(export):
    record = json.loads((export.out / "export.json").read_text())
    assert set(record["networks"]) == set(NETWORKS)
    for entry in record["networks"].values():
        assert [difference["rows"] for difference in entry["differences"]] == [1, 2]
        assert all(0 <= difference["relative"] < 1e-4 for difference in entry["differences"])


def test_memory_of_a_gpu_is_told_for_the_rows_in_use_where_it_was_measured(tmp_path):
    record = Record(tmp_path / "export.json")
    measured = {rows: graph.Finding(1e-3, 100 * rows) for rows in graph.ROWS}
    for name, findings in (("denoiser", measured), ("vaeDecoder", measured), ("vaeEncoder", {1: graph.Finding(0.0)})):
        record.enter(name, "fingerprint", [], findings)
    assert Record(tmp_path / "export.json").gpu_bytes() == {"denoiser": 200, "vaeDecoder": 100}


def test_a_killed_run_leaves_finished_networks_and_no_half_ones(export):
    left = {name for name in export.left_by_killed_run if not name.startswith(".partial-")}
    assert left == {"text-encoder.onnx", "text-encoder.onnx.data", "export.json"}


def test_the_next_run_goes_on_and_cleans_up(export):
    assert exported(export.log) == ["denoiser", "vaeDecoder", "vaeEncoder"]
    assert not list(export.out.glob(".partial-*"))


def test_a_finished_package_stays_as_it_is(saved, export, copy, capfd):
    assert main(arguments(saved, copy)) == 0
    assert exported(capfd.readouterr().err) == []
    assert contents(copy) == contents(export.out)


def test_what_no_network_depends_on_changes_the_manifest_alone(saved, export, copy, capfd):
    more = ("--steps", "30", "--guidance", "4", "--shift", "5", "--frames-per-second", "24")
    names = ("--name", "ball", "--license", "apache-2.0", "--negative-prompt", "blurred")
    assert main(arguments(saved, copy, *more, *names)) == 0
    assert exported(capfd.readouterr().err) == []
    manifest = json.loads((copy / "model.json").read_text())
    assert manifest["scheduler"] == {"type": "rectified-flow", "shift": 5.0, "guidance": 4.0, "steps": 30}
    assert (manifest["name"], manifest["license"]) == ("ball", "apache-2.0")
    assert manifest["video"]["framesPerSecond"] == 24
    assert manifest["text"]["negativePrompt"] == "blurred"
    assert manifest["files"] == export.manifest["files"]


def test_weights_of_float32_are_stored_in_half_and_computed_with_as_they_were(saved, export, tmp_path):
    network = open_model(Source(saved), Request(dtype=torch.float32, max_tokens=tiny.MAX_TOKENS)).networks[0]
    path = tmp_path / "net.onnx"
    findings = graph.export_network(network, torch.float32, path, graph.PLACES["cpu"], half_weights=True)
    # Rounded weights differ, and by less than arithmetic of 16 bits would.
    assert all(1e-6 < finding.difference < 1e-3 for finding in findings.values())
    weights = (tmp_path / "net.onnx.data", export.out / "text-encoder.onnx.data")
    halved, whole = (file.stat().st_size for file in weights)
    assert halved < 0.6 * whole
    values = onnx.load(path, load_external_data=False).graph
    large = {tensor.data_type for tensor in values.initializer if np.prod(tensor.dims) >= LEAST_NUMBERS}
    assert large == {onnx.TensorProto.FLOAT16}
    assert {node.op_type for node in values.node if any(name.endswith(".half") for name in node.input)} == {"Cast"}
    assert {value.type.tensor_type.elem_type for value in values.output} == {onnx.TensorProto.FLOAT}


def damage(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [damage, lambda path: path.unlink()], ids=["damaged", "missing"])
@pytest.mark.parametrize("file", ["denoiser.onnx", "denoiser.onnx.data"])
def test_a_network_is_finished_only_with_the_files_of_its_record(copy, harm, file):
    record = Record(copy / "export.json")
    fingerprint = record.networks["denoiser"]["fingerprint"]
    assert record.files_of("denoiser", "of another size") is None
    assert record.files_of("denoiser", fingerprint) == record.networks["denoiser"]["files"]
    harm(copy / file)
    assert record.files_of("denoiser", fingerprint) is None


def test_a_damaged_network_is_exported_again(saved, export, copy, capfd):
    damage(copy / "text-encoder.onnx.data")
    assert main(arguments(saved, copy)) == 0
    assert exported(capfd.readouterr().err) == ["textEncoder"]
    assert contents(copy) == contents(export.out)


def test_a_network_that_differs_fails_the_command_and_gets_no_file(saved, copy, capfd, monkeypatch):
    monkeypatch.setitem(graph.BOUNDS, torch.float32, 1e-12)
    for path in copy.glob("text-encoder.*"):
        path.unlink()
    left = {name: content for name, content in contents(copy).items() if name != "model.json"}
    assert main(arguments(saved, copy)) == 1
    error = capfd.readouterr().err
    assert "flexcache-export: textEncoder: with 1 rows onnxruntime differs from PyTorch by" in error
    assert "fix: " in error
    assert contents(copy) == left


@pytest.mark.parametrize(
    "changed",
    [{"max_tokens": 17}, {"width": 64}, {"height": 48}, {"frames": 5}, {"dtype": torch.float16}],
    ids=lambda changed: next(iter(changed)),
)
def test_another_size_or_type_is_another_denoiser(saved, changed):
    asked = {"width": 48, "height": 32, "frames": 9, "max_tokens": 16, "dtype": torch.float32}

    def denoiser(request: Request) -> str:
        model = open_model(Source(saved), request)
        return fingerprint_of(model, model.networks[1], "sum", request.dtype)

    assert denoiser(Request(**asked)) == denoiser(Request(**asked, steps=30, frames_per_second=8))
    assert denoiser(Request(**asked)) != denoiser(Request(**{**asked, **changed}))


def test_a_text_encoder_serves_every_size_and_a_vae_is_of_its_tiles(saved):
    def fingerprints(**asked) -> dict[str, str]:
        model = open_model(Source(saved), Request(dtype=torch.float32, **asked))
        return {n.name: fingerprint_of(model, n, "sum", torch.float32) for n in model.networks}

    def differing(one: dict[str, str], other: dict[str, str]) -> set[str]:
        return {name for name in NETWORKS if one[name] != other[name]}

    small = fingerprints(width=48, height=32, frames=9)
    assert differing(small, fingerprints(width=64, height=32, frames=5)) == {"denoiser", "vaeDecoder", "vaeEncoder"}
    assert differing(small, fingerprints(width=48, height=32, frames=9, tile=256)) == set()
    wide = fingerprints(width=400, height=32, frames=9)
    assert differing(wide, fingerprints(width=400, height=32, frames=9, tile=256)) == {"vaeDecoder", "vaeEncoder"}


@pytest.mark.parametrize("weight", [2.001, float("nan")], ids=["another weight", "not a number"])
def test_a_network_that_is_rewritten_into_another_one_is_found_out(tmp_path, weight):
    def rewrite(_module: nn.Module) -> nn.Module:
        return Scale(weight)

    network = Network(
        name="scale",
        component="scale",
        outputs=("y",),
        load=lambda: Scale(2.0),
        rewrite=rewrite,
        example=lambda rows: {"x": torch.arange(1.0, 1 + 3 * rows).view(rows, 3)},
    )
    with pytest.raises(CheckFailed, match="scale: with 1 rows"):
        graph.export_network(network, torch.float32, tmp_path / "scale.onnx", graph.PLACES["cpu"])


class Scale(nn.Module):
    def __init__(self, factor: float):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


def test_the_license_is_the_model_cards(saved, copy, tmp_path):
    card = "---\nlanguage: en\nlicense: apache-2.0  # see LICENSE\n---\n# A model\nlicense: other\n"
    licensed = shutil.copytree(saved, tmp_path / "tiny-wan")
    (licensed / "README.md").write_text(card)
    assert main(arguments(licensed, copy)) == 0
    assert json.loads((copy / "model.json").read_text())["license"] == "apache-2.0"
