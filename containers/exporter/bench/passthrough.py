"""A package whose networks compute next to nothing, of the sizes of a real one.

    python bench/passthrough.py PACKAGE [--width 832 --height 480 --frames 81 --max-tokens 512 --hidden 4096]

What a step on it takes is what the product adds to a network: ``node bench/gpu-steps.ts PACKAGE --provider cpu``.
"""

import argparse
import json
import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from flexcache_exporter.package import MANIFEST_FILE, MANIFEST_FORMAT, describe_file
from flexcache_exporter.tokenizer import write_tokenizer

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from tiny import tokenizer

CHANNELS = 16
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def main() -> None:
    options = _parser().parse_args()
    out, tokens, hidden = options.package, options.max_tokens, options.hidden
    out.mkdir(parents=True, exist_ok=True)
    latent = (CHANNELS, (options.frames - 1) // 4 + 1, options.height // 8, options.width // 8)
    video = (options.frames, 3, options.height, options.width)
    tokenizer().save_pretrained(out / "saved")
    special = write_tokenizer(out / "saved", out / "tokenizer.json")

    denoiser = [
        helper.make_node("ReduceMean", ["text_states", "all_states"], ["text"], keepdims=0),
        helper.make_node("Add", ["time", "text"], ["moved"]),
        helper.make_node("Unsqueeze", ["moved", "extents"], ["wide"]),
        helper.make_node("Mul", ["latent", "wide"], ["scaled"]),
        helper.make_node("Cast", ["text_mask"], ["mask"], to=FLOAT),
        helper.make_node("ReduceMean", ["mask", "all_tokens"], ["share"], keepdims=0),
        helper.make_node("Unsqueeze", ["share", "extents"], ["wide_share"]),
        helper.make_node("Mul", ["scaled", "wide_share"], ["velocity"]),
    ]
    graphs = {
        "textEncoder": (
            "text-encoder.onnx",
            [
                helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
                helper.make_node("Cast", ["kept"], ["numbers"], to=FLOAT),
                helper.make_node("Unsqueeze", ["numbers", "last"], ["column"]),
                helper.make_node("Expand", ["column", "states_shape"], ["states"]),
            ],
            {"input_ids": (INT64, (tokens,)), "attention_mask": (INT64, (tokens,))},
            {"states": (tokens, hidden)},
            {"last": [2], "states_shape": [1, tokens, hidden]},
        ),
        "denoiser": (
            "denoiser.onnx",
            denoiser,
            {
                "latent": (FLOAT, latent),
                "time": (FLOAT, ()),
                "text_states": (FLOAT, (tokens, hidden)),
                "text_mask": (INT64, (tokens,)),
            },
            {"velocity": latent},
            {"all_states": [1, 2], "all_tokens": [1], "extents": [1, 2, 3, 4]},
        ),
        "vaeDecoder": (
            "vae-decoder.onnx",
            [
                helper.make_node("ReduceMean", ["latent", "all"], ["mean"], keepdims=1),
                helper.make_node("Expand", ["mean", "video_shape"], ["video"]),
            ],
            {"latent": (FLOAT, latent)},
            {"video": video},
            {"all": [1, 2, 3, 4], "video_shape": [1, *video]},
        ),
    }
    files = {"tokenizer": [describe_file(out / "tokenizer.json")]}
    for network, (name, nodes, inputs, outputs, constants) in graphs.items():
        graph = helper.make_graph(
            nodes,
            network,
            [helper.make_tensor_value_info(key, kind, ("B", *extents)) for key, (kind, extents) in inputs.items()],
            [helper.make_tensor_value_info(key, FLOAT, ("B", *extents)) for key, extents in outputs.items()],
            [helper.make_tensor(key, INT64, [len(values)], values) for key, values in constants.items()],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), out / name)
        files[network] = [describe_file(out / name)]
    channels, frames, height, width = latent
    manifest = {
        "format": MANIFEST_FORMAT,
        "name": "passthrough",
        "video": {
            "frames": options.frames, "height": options.height, "width": options.width, "framesPerSecond": 16
        },
        "latent": {"channels": channels, "frames": frames, "height": height, "width": width},
        "text": {"maxTokens": tokens, "hidden": hidden, **special},
        "scheduler": {"type": "rectified-flow", "shift": 3.0, "guidance": 5.0, "steps": 50},
        "files": files,
    }
    (out / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--hidden", type=int, default=4096)
    return parser


if __name__ == "__main__":
    main()
