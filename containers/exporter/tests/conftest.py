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

from flexcache_exporter.cli import main

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
