"""The folder that ``save_pretrained`` wrote."""

import hashlib
import json
import re
from pathlib import Path

from .errors import ExportError

INDEX_FILE = "model_index.json"
SAVE_AGAIN = "save the whole pipeline again with save_pretrained"


class Source:
    """A saved pipeline: its index, and a folder for each component."""

    def __init__(self, folder: Path):
        """Reads ``model_index.json``; raises ExportError where there is none or it is not one."""
        self.folder = folder
        path = folder / INDEX_FILE
        if not path.is_file():
            raise ExportError(
                str(folder),
                f"there is no {INDEX_FILE} in it",
                "name the folder that the pipeline's save_pretrained wrote",
            )
        self.index = _read_object(path)
        class_name = self.index.get("_class_name")
        if not isinstance(class_name, str):
            raise ExportError(str(path), "_class_name is missing", SAVE_AGAIN)
        self.class_name: str = class_name

    def component(self, name: str) -> Path:
        """Folder of a component; raises ExportError where it is missing."""
        path = self.folder / name
        if not path.is_dir():
            raise ExportError(str(path), f"the folder of the component {name} is missing", SAVE_AGAIN)
        return path

    def config(self, name: str) -> dict:
        """What a component was configured with; raises ExportError where the file is missing."""
        return _read_object(self.config_file(name))

    def config_file(self, name: str) -> Path:
        """Where that is written; raises ExportError where it is not."""
        folder = self.component(name)
        for file_name in ("config.json", f"{name}_config.json"):
            if (folder / file_name).is_file():
                return folder / file_name
        raise ExportError(str(folder / "config.json"), f"the configuration of {name} is missing", SAVE_AGAIN)

    def sha256_of(self, name: str) -> str:
        """Hexadecimal sha256 over the names and contents of a component's files."""
        digest = hashlib.sha256()
        folder = self.component(name)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n".encode())
        return digest.hexdigest()

    def license(self) -> str | None:
        """The ``license`` of the model card's front matter (README.md); None where it says none."""
        card = self.folder / "README.md"
        if not card.is_file():
            return None
        front = re.match(r"---\n(.*?)\n---", card.read_text(encoding="utf-8"), re.DOTALL)
        found = front and re.search(r"^license:\s*([^\s#]+)", front.group(1), re.MULTILINE)
        return found.group(1).strip("'\"") if found else None


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_object(path: Path) -> dict:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(str(path), f"it is not JSON: {error}", SAVE_AGAIN) from error
    if not isinstance(value, dict):
        raise ExportError(str(path), "it is not a JSON object", SAVE_AGAIN)
    return value
