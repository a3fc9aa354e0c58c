"""The folder that is written: networks one after another, then the manifest."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from . import __version__, graph
from .families import open_model
from .model import Model, Network, Regions, Request
from .source import Source, sha256_of
from .tokenizer import write_tokenizer

MANIFEST_FILE = "model.json"
MANIFEST_FORMAT = "flexcache-model/2"
RECORD_FILE = "export.json"
RECORD_FORMAT = "flexcache-export/1"
TOKENIZER_FILE = "tokenizer.json"
#: Rows that a network is run with for one video, where it is not one: guidance has two.
ROWS_IN_USE = {"denoiser": 2}
#: Files are written in a folder of this name first.
PARTIAL_PREFIX = ".partial-"


@dataclass(frozen=True)
class Naming:
    """What the manifest says that no network depends on; None leaves it to the saved folder."""

    name: str | None = None
    license: str | None = None
    negative_prompt: str | None = None


def export_package(
    source: Source,
    out: Path,
    request: Request,
    naming: Naming,
    place: graph.Place = graph.PLACES["cpu"],
    log: Callable[[str], None] = print,
) -> dict:
    """Exports what is not there yet and writes the manifest, which is returned.

    A network whose files have the recorded sums, and were made from the same weights in the same way, stays as it is.
    Raises ExportError, before anything is written where the request or the saved folder is at fault.
    """
    model = open_model(source, request)
    out.mkdir(parents=True, exist_ok=True)
    for left in out.glob(f"{PARTIAL_PREFIX}*"):
        shutil.rmtree(left)
    record = Record(out / RECORD_FILE)
    sums: dict[str, str] = {}
    files = {}
    with tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=out) as partial:
        for network in model.networks:
            if network.component not in sums:
                sums[network.component] = source.sha256_of(network.component)
            fingerprint = fingerprint_of(model, network, sums[network.component], request.dtype, request.half_weights)
            files[network.name] = record.files_of(network.name, fingerprint)
            if files[network.name] is not None:
                log(f"{network.name}: is there")
                continue
            # It would name files that are about to change.
            (out / MANIFEST_FILE).unlink(missing_ok=True)
            log(f"{network.name}: exporting")
            name = f"{_file_name(network.name)}.onnx"
            path = Path(partial) / name
            findings = graph.export_network(network, request.dtype, path, place, request.half_weights)
            files[network.name] = [describe_file(path) for path in graph.move(path, out / name)]
            record.enter(network.name, fingerprint, files[network.name], findings)
            found = ", ".join(f"{finding.difference:.1e} with {rows} rows" for rows, finding in findings.items())
            bound = graph.bound_of(request.dtype, request.half_weights)
            log(f"{network.name}: differs from PyTorch by {found} (allowed {bound:.0e})")
        written = Path(partial) / TOKENIZER_FILE
        special = write_tokenizer(model.tokenizer, written)
        os.replace(written, out / TOKENIZER_FILE)
    files = {"tokenizer": [describe_file(out / TOKENIZER_FILE)], **files}
    manifest = _manifest(model, source, naming, special, files, record.gpu_bytes())
    write_json(out / MANIFEST_FILE, manifest)
    return manifest


class Record:
    """``export.json``: the finished networks, what each was made from, and how much it differs from PyTorch."""

    def __init__(self, path: Path):
        self.path = path
        self.networks: dict[str, dict] = {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] == RECORD_FORMAT:
                self.networks = content["networks"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            # Nothing is known to be finished, and everything is exported again.
            pass

    def files_of(self, name: str, fingerprint: str) -> list[dict] | None:
        """The recorded files of a network; None unless it was made in the same way and all have their sums."""
        entry = self.networks.get(name)
        if entry is None or entry["fingerprint"] != fingerprint:
            return None
        for file in entry["files"]:
            path = self.path.parent / file["path"]
            if not path.is_file() or path.stat().st_size != file["bytes"] or sha256_of(path) != file["sha256"]:
                return None
        return entry["files"]

    def enter(self, name: str, fingerprint: str, files: list[dict], findings: dict[int, graph.Finding]) -> None:
        """Records a finished network."""
        self.networks[name] = {
            "fingerprint": fingerprint,
            "files": files,
            "differences": [
                {
                    "rows": rows,
                    "relative": finding.difference,
                    **({} if finding.gpu_bytes is None else {"gpuBytes": finding.gpu_bytes}),
                }
                for rows, finding in findings.items()
            ],
        }
        write_json(self.path, {"format": RECORD_FORMAT, "networks": self.networks})

    def gpu_bytes(self) -> dict[str, int]:
        """Memory of a GPU that each network takes with the rows that it is run with, where this was measured."""
        return {
            name: found["gpuBytes"]
            for name, entry in self.networks.items()
            for found in entry["differences"]
            if found["rows"] == ROWS_IN_USE.get(name, 1) and "gpuBytes" in found
        }


def fingerprint_of(
    model: Model, network: Network, component: str, dtype: torch.dtype, half_weights: bool = False
) -> str:
    """What a finished network is recognised by: all that its files follow from; ``component`` is the sum of its weights."""
    parts = {
        "exporter": __version__,
        "network": network.name,
        "component": component,
        "dtype": str(dtype),
        **({"halfWeights": True} if half_weights else {}),
        "text": asdict(model.text),
        "settings": dict(network.settings),
    }
    # The text encoder, often the largest of them, serves videos of every size.
    if network.name != "textEncoder":
        parts |= {"video": asdict(model.video), "latent": asdict(model.latent)}
        # Most networks know nothing of it: one that does has it among its settings.
        del parts["video"]["frames_per_second"]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _file_name(network: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"-{letter[0].lower()}", network)


def describe_file(path: Path) -> dict:
    """A file as the manifest names it: path inside the folder, sha256, bytes."""
    return {"path": path.name, "sha256": sha256_of(path), "bytes": path.stat().st_size}


def write_json(path: Path, value: dict) -> None:
    """Writes a file whole or not at all."""
    temporary = path.with_name(f"{PARTIAL_PREFIX}{path.name}")
    temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


#: How the manifest calls types of keys and values.
CONTEXT_TYPES = {torch.float16: "float16", torch.float32: "float32"}


def _described(regions: Regions) -> dict:
    return {
        "patch": list(regions.patch),
        "blocks": regions.blocks,
        "heads": regions.heads,
        "headWidth": regions.head_width,
        "trained": regions.is_trained,
        "contextType": CONTEXT_TYPES[regions.dtype],
        "readsKept": True,
    }


def _manifest(model: Model, source: Source, naming: Naming, special: dict, files: dict, gpu_bytes: dict) -> dict:
    license_name = naming.license or source.license()
    return {
        "format": MANIFEST_FORMAT,
        "name": naming.name or source.folder.resolve().name,
        **({} if license_name is None else {"license": license_name}),
        "family": model.family,
        "video": {
            "frames": model.video.frames,
            "height": model.video.height,
            "width": model.video.width,
            "framesPerSecond": model.video.frames_per_second,
        },
        "latent": asdict(model.latent),
        "text": {
            "maxTokens": model.text.max_tokens,
            "hidden": model.text.hidden,
            **special,
            **({} if naming.negative_prompt is None else {"negativePrompt": naming.negative_prompt}),
        },
        "scheduler": {
            "type": "rectified-flow",
            **{name: value for name, value in asdict(model.scheduler).items() if value is not None},
        },
        **({} if model.regions is None else {"regions": _described(model.regions)}),
        **({"objectMask": {"source": "attention"}} if model.maps_object else {}),
        **({"gpuBytes": gpu_bytes} if gpu_bytes else {}),
        "files": files,
    }
