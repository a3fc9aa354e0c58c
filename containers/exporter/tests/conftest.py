import contextlib
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny
import torch

from flexcache_exporter.cli import main
from flexcache_exporter.families import open_model
from flexcache_exporter.model import Request
from flexcache_exporter.source import Source

ROOT = Path(__file__).parent.parent


def arguments(saved: Path, out: Path, *more: str) -> list[str]:
    """Arguments of the command for the tiny pipeline."""
    size = ("--width", tiny.WIDTH, "--height", tiny.HEIGHT, "--frames", tiny.FRAMES, "--max-tokens", tiny.MAX_TOKENS)
    return [str(part) for part in (saved, "--out", out, "--dtype", "fp32", *size, *more)]


@dataclass(frozen=True)
class Export:
    """A finished export, and what a run that was killed before had left in its folder."""

    out: Path
    manifest: dict
    left_by_killed_run: set[str]
    log: str


def change(path: Path, **fields) -> None:
    """Sets fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    """A saved pipeline that a test may change."""
    return shutil.copytree(saved, tmp_path / "saved")


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny-wan"
    tiny.save(folder)
    return folder


@pytest.fixture(scope="session")
def regional(saved, export, tmp_path_factory) -> Path:
    """The export once more, of a denoiser with regions and an object map: everything else is there already."""
    out = shutil.copytree(export.out, tmp_path_factory.mktemp("regional") / "out")
    assert main(arguments(saved, out, "--regions", "--object-map")) == 0
    return out


@pytest.fixture(scope="session")
def reference(saved):
    """The tiny pipeline's denoiser in diffusers' own code."""
    request = Request(tiny.WIDTH, tiny.HEIGHT, tiny.FRAMES, max_tokens=tiny.MAX_TOKENS, dtype=torch.float32)
    model = open_model(Source(saved), request)
    return next(network for network in model.networks if network.name == "denoiser").load().eval()


@pytest.fixture(scope="session")
def export(saved, tmp_path_factory) -> Export:
    """The tiny pipeline, exported by two runs: the first is killed while it exports the second network."""
    out = tmp_path_factory.mktemp("exported")
    command = [sys.executable, "-m", "flexcache_exporter", *arguments(saved, out)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as run:
        log = []
        for line in run.stderr:
            log.append(line)
            if line.startswith("denoiser: exporting"):
                run.kill()
                break
        else:
            pytest.fail("".join(log))
    (partial,) = out.glob(".partial-*")
    (partial / "denoiser.onnx").write_bytes(b"half a graph")
    left = {path.name for path in out.iterdir()}
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert main(arguments(saved, out)) == 0, said.getvalue()
    return Export(out, json.loads((out / "model.json").read_text()), left, said.getvalue())
