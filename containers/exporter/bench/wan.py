"""Wan2.1-T2V-1.3B with random weights: makes the folder that diffusers saves, and times diffusers itself on it.

    python bench/wan.py make FOLDER [--tiny]
    python bench/wan.py time FOLDER [--steps 30] [--compile blocks whole] [--out FILE]

The transformer and the VAE have the released model's configuration; the text encoder has its width alone, and few layers.
``time`` prints JSON: milliseconds of an evaluation of the transformer in fp16, guided (two rows) and unguided, by SDPA as
diffusers calls it and by torch.compile, of the VAE's decoding, and seconds of a whole video; with the card's name. What the
same folder does in the product is measured by ``bench/gpu-steps.ts`` on its export. ``--tiny`` makes a small pipeline, to
rehearse all of it on a CPU.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from tiny import tokenizer

#: Of Wan-AI/Wan2.1-T2V-1.3B-Diffusers, its transformer's config.json.
TRANSFORMER = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 12,
    "attention_head_dim": 128,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 8960,
    "num_layers": 30,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "eps": 1e-6,
    "rope_max_seq_len": 1024,
}
TINY_TRANSFORMER = {
    **TRANSFORMER,
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "text_dim": 32,
    "freq_dim": 32,
    "ffn_dim": 32,
    "num_layers": 2,
}
#: Of the released pipeline's UMT5-XXL only the width of the states: its layers run once a prompt.
TEXT = {"d_model": 4096, "d_kv": 64, "d_ff": 1024, "num_layers": 2, "num_heads": 8}
TINY_TEXT = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
VAE = {"base_dim": 96, "z_dim": 16}
TINY_VAE = {"base_dim": 8, "z_dim": 16, "num_res_blocks": 1}
SCHEDULER = {
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "num_train_timesteps": 1000,
    "flow_shift": 3.0,
}
PROMPT = "a red ball on the beach"
GUIDANCE = 5.0
SEED = 0
DTYPE = torch.float16


def main() -> None:
    options = _parser().parse_args()
    if options.command == "make":
        make(options.folder, options.device, options.tiny)
        return
    report = json.dumps(measure(options), indent=2)
    print(report)
    if options.out is not None:
        options.out.write_text(report + "\n")


def make(folder: Path, device: str, is_tiny: bool) -> None:
    """Writes the pipeline with seeded weights of fp16, as diffusers initialises them."""
    torch.manual_seed(SEED)
    tokens = tokenizer()
    text = TINY_TEXT if is_tiny else TEXT
    with torch.device(device):
        transformer = WanTransformer3DModel(**(TINY_TRANSFORMER if is_tiny else TRANSFORMER))
        vae = AutoencoderKLWan(**(TINY_VAE if is_tiny else VAE))
        encoder = UMT5EncoderModel(UMT5Config(vocab_size=len(tokens), feed_forward_proj="gated-gelu", **text))
    pipeline = WanPipeline(
        tokenizer=tokens,
        text_encoder=encoder.to(DTYPE),
        vae=vae.to(DTYPE),
        scheduler=UniPCMultistepScheduler(**SCHEDULER),
        transformer=transformer.to(DTYPE),
    )
    pipeline.save_pretrained(folder)


def measure(options: argparse.Namespace) -> dict:
    """What ``time`` reports."""
    device = options.device
    pipeline = WanPipeline.from_pretrained(options.folder, torch_dtype=DTYPE).to(device)
    pipeline.set_progress_bar_config(disable=True)
    transformer, vae = pipeline.transformer, pipeline.vae
    frames = (options.frames - 1) // 4 + 1
    shape = (16, frames, options.height // 8, options.width // 8)
    clock = Clock(device, options.repeat)

    def inputs(rows: int) -> dict:
        generator = torch.Generator().manual_seed(SEED)
        states = (options.max_tokens, transformer.config.text_dim)
        return {
            "hidden_states": torch.randn(rows, *shape, generator=generator).to(device, DTYPE),
            "timestep": torch.full((rows,), 700.0, device=device),
            "encoder_hidden_states": torch.randn(rows, *states, generator=generator).to(device, DTYPE),
            "return_dict": False,
        }

    def evaluations(call: Callable) -> dict:
        found = {}
        for name, rows in (("guided", 2), ("unguided", 1)):
            given = inputs(rows)
            found[name] = clock.time(lambda given=given: call(**given)[0])
        return found

    with torch.inference_mode():
        report = {
            "card": torch.cuda.get_device_name() if device == "cuda" else "none",
            "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
            "size": {"width": options.width, "height": options.height, "frames": options.frames},
            "dtype": str(DTYPE).removeprefix("torch."),
            "parameters": sum(weight.numel() for weight in transformer.parameters()),
            "transformer": {"eager": evaluations(transformer)},
        }
        latents = inputs(1)["hidden_states"]
        report["vaeDecode"] = clock.time(lambda: vae.decode(latents, return_dict=False)[0])
        if options.steps > 0:
            seconds, _ = clock.once(lambda: whole_video(pipeline, options))
            report["wholeVideo"] = {"steps": options.steps, "seconds": seconds}
        if "whole" in options.compile:
            report["transformer"]["compiled"] = evaluations(torch.compile(transformer, dynamic=False))
        if "blocks" in options.compile:
            transformer.compile_repeated_blocks(dynamic=False)
            report["transformer"]["compiledBlocks"] = evaluations(transformer)
    return report


def whole_video(pipeline: WanPipeline, options: argparse.Namespace) -> torch.Tensor:
    """A call of the pipeline: text, steps and decoding; no media files."""
    video = pipeline(
        PROMPT,
        height=options.height,
        width=options.width,
        num_frames=options.frames,
        num_inference_steps=options.steps,
        guidance_scale=GUIDANCE,
        max_sequence_length=options.max_tokens,
        generator=torch.Generator().manual_seed(SEED),
        output_type="np",
    ).frames
    return torch.from_numpy(video)


class Clock:
    """Times work on a device, and the most memory that PyTorch had meanwhile."""

    def __init__(self, device: str, repeat: int):
        self.is_cuda = device == "cuda"
        self.repeat = repeat

    def time(self, work: Callable[[], torch.Tensor]) -> dict:
        """Seconds of the first call, median and least milliseconds of those after it, and bytes.

        Raises SystemExit where what comes out is not finite: random weights then say nothing of fp16's speed.
        """
        if self.is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        first, result = self.once(work)
        if not result.isfinite().all():
            raise SystemExit("bench/wan.py: the result is not finite: the weights overflow fp16")
        rounds = [1000 * self.once(work)[0] for _ in range(self.repeat)]
        peak = {"peakBytes": torch.cuda.max_memory_allocated()} if self.is_cuda else {}
        return {"firstSeconds": first, "milliseconds": statistics.median(rounds), "least": min(rounds), **peak}

    def once(self, work: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
        """Seconds of a call, and what it gives."""
        started = time.perf_counter()
        result = work()
        if self.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - started, result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    default_device = "cuda" if torch.cuda.is_available() else "cpu"
    making = commands.add_parser("make", help="write the pipeline")
    making.add_argument("--tiny", action="store_true", help="a small one, for a CPU")
    timing = commands.add_parser("time", help="time diffusers on it")
    timing.add_argument("--width", type=int, default=832)
    timing.add_argument("--height", type=int, default=480)
    timing.add_argument("--frames", type=int, default=81)
    timing.add_argument("--max-tokens", type=int, default=512)
    timing.add_argument("--repeat", type=int, default=5, help="calls that count, of each evaluation")
    timing.add_argument("--steps", type=int, default=0, help="of a whole video; none is made unless given")
    timing.add_argument("--compile", nargs="*", choices=("blocks", "whole"), default=(), help="torch.compile")
    timing.add_argument("--out", type=Path, help="file for the JSON")
    for command in (making, timing):
        command.add_argument("folder", type=Path)
        command.add_argument("--device", default=default_device)
    return parser


if __name__ == "__main__":
    main()
