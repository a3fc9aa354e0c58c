"""The command ``flexcache-export``."""

import argparse
import sys
from pathlib import Path

import torch
import transformers.utils.logging

from .errors import CheckFailed, ExportError
from .graph import PLACES, require_place
from .model import REGIONS, Request
from .package import MANIFEST_FILE, Naming, export_package
from .source import Source

#: Type of the arithmetic, and whether weights are stored in half of it.
DTYPES = {"fp16": (torch.float16, False), "fp32": (torch.float32, False), "fp32-stored-fp16": (torch.float32, True)}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 0 when the package is written, 2 for a wrong request or folder, 1 for a failed check."""
    options = _parser().parse_args(arguments)
    transformers.utils.logging.disable_progress_bar()
    try:
        place = PLACES[options.check_on]
        require_place(place)
        dtype, half_weights = DTYPES[options.dtype]
        request = Request(
            width=options.width,
            height=options.height,
            frames=options.frames,
            frames_per_second=options.frames_per_second,
            max_tokens=options.max_tokens,
            tile=options.tile,
            steps=options.steps,
            guidance=options.guidance,
            shift=options.shift,
            dtype=dtype,
            half_weights=half_weights,
            regions=options.regions,
            object_map=None if options.object_map is None else tuple(options.object_map),
        )
        naming = Naming(options.name, options.license, options.negative_prompt)
        export_package(Source(options.folder), options.out, request, naming, place, log=_log)
    except ExportError as error:
        print(f"flexcache-export: {error}\n  fix: {error.fix}", file=sys.stderr)
        return 1 if isinstance(error, CheckFailed) else 2
    print(options.out / MANIFEST_FILE)
    return 0


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flexcache-export",
        description="Exports a pipeline saved by diffusers as ONNX networks of a FlexCache model package.",
        epilog="Sizes, steps and guidance that are not given are the pipeline's own.",
    )
    parser.add_argument("folder", type=Path, help="what save_pretrained wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; finished networks in it stay")
    parser.add_argument("--width", type=int, help="pixels")
    parser.add_argument("--height", type=int, help="pixels")
    parser.add_argument("--frames", type=int, help="frames of the video")
    parser.add_argument("--frames-per-second", type=float)
    parser.add_argument("--max-tokens", type=_positive, help="tokens of a prompt")
    parser.add_argument("--tile", type=int, help="side of the VAE's tiles in pixels; as large as the video: one tile")
    parser.add_argument("--dtype", choices=DTYPES, default="fp16", help="type of the weights and of the arithmetic (fp16)")
    parser.add_argument(
        "--regions",
        nargs="?",
        choices=REGIONS,
        const="untrained",
        help="let the denoiser evaluate some of its tokens, too; trained: its weights read a clean context",
    )
    parser.add_argument(
        "--object-map",
        type=int,
        nargs="*",
        metavar="BLOCK",
        help="let the denoiser tell where the prompt's object is, by the attention of these blocks (three in the middle)",
    )
    parser.add_argument("--steps", type=_positive, help="steps of a full generation")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--shift", type=float, help="of the flow's times, instead of the saved scheduler's")
    parser.add_argument("--negative-prompt", help="instead of the empty prompt")
    parser.add_argument("--name", help="of the model; the folder's unless given")
    parser.add_argument("--license", help="of the model; the model card's unless given")
    parser.add_argument("--check-on", choices=PLACES, default="cpu", help="where PyTorch and onnxruntime run the check (cpu)")
    return parser
