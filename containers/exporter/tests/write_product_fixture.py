"""Writes the exported package that the product's own tests run, ``test/models/exported-package``.

    PYTHONPATH=. python tests/write_product_fixture.py

``test_regions.py`` says when it is due: when the denoiser of an export takes or gives something else than the package's.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import tiny

from flexcache_exporter.cli import main

FOLDER = Path(__file__).parents[3] / "test/models/exported-package"
#: Of the tiny pipeline; weights of 16 bits, as packages for a GPU have them.
OPTIONS = ("--dtype", "fp16", "--regions", "--object-map", "--steps", "6", "--guidance", "3", "--name", "tiny-wan", "--license", "MIT")


def arguments(saved: Path, out: Path) -> list[str]:
    """Arguments of the command."""
    size = ("--width", tiny.WIDTH, "--height", tiny.HEIGHT, "--frames", tiny.FRAMES, "--max-tokens", tiny.MAX_TOKENS)
    return [str(part) for part in (saved, "--out", out, *size, *OPTIONS)]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as saved:
        tiny.save(Path(saved))
        shutil.rmtree(FOLDER, ignore_errors=True)
        status = main(arguments(Path(saved), FOLDER))
    (FOLDER / "export.json").unlink(missing_ok=True)
    sys.exit(status)
