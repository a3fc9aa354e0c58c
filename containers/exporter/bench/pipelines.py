"""Pipelines of random weights in the sizes of released models: makes the folder that diffusers saves, and times diffusers itself on it.

    python bench/pipelines.py make FOLDER [--family wan] [--tiny]
    python bench/pipelines.py time FOLDER [--steps 30] [--compile blocks whole] [--out FILE]

The families are those of Wan2.1-T2V-1.3B (``wan``), LTX-Video 2B (``ltx``) and CogVideoX-2B (``cogvideox``). Transformer and VAE have
the released model's configuration; the text encoder has its width alone, and few layers. ``time`` prints JSON: milliseconds of an evaluation
of the transformer in fp16, guided (two rows) and unguided, by SDPA as diffusers calls it and by torch.compile, of the VAE's
decoding, and seconds of a whole video; with the card's name. What the same folder does in the product is measured by
``bench/gpu-steps.ts`` on its export. ``--tiny`` makes a small pipeline, to rehearse all of it on a CPU.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import diffusers
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from tiny import tokenizer
from tiny_cogvideox import scheduler as cogvideox_scheduler
from tiny_ltx import SCHEDULE as LTX_SCHEDULE

#: Of the released pipelines' text encoders (UMT5-XXL, T5-XXL) only the width of the states: their layers run once a prompt.
TEXT = {"d_model": 4096, "d_kv": 64, "d_ff": 1024, "num_layers": 2, "num_heads": 8}
TINY_TEXT = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
PROMPT = "a red ball on the beach"
SEED = 0
DTYPE = torch.float16


@dataclass(frozen=True)
class Family:
    """A released model's configuration, what its pipeline is called with, and how its transformer is."""

    pipeline: type
    #: Kind and configuration of the transformer and the VAE; what ``--tiny`` changes of them.
    transformer: tuple[type, dict, dict]
    vae: tuple[type, dict, dict]
    text: tuple[type, type]
    scheduler: Callable[[], object]
    width: int
    height: int
    frames: int
    max_tokens: int
    guidance: float
    #: Latent channels, and video frames and pixels to a position.
    channels: int
    in_time: int
    in_space: int
    #: Keyword arguments of an evaluation: of latents [rows,C,T,H,W], states [rows,L,D] and the timestep.
    inputs: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], dict]
    #: Of the transformer, the list of its blocks.
    blocks: str


def wan_inputs(latents: torch.Tensor, states: torch.Tensor, timestep: torch.Tensor) -> dict:
    return {"hidden_states": latents, "encoder_hidden_states": states, "timestep": timestep}


def ltx_inputs(latents: torch.Tensor, states: torch.Tensor, timestep: torch.Tensor) -> dict:
    frames, height, width = latents.shape[2:]
    return {
        "hidden_states": latents.flatten(2).transpose(1, 2),
        "encoder_hidden_states": states,
        "timestep": timestep,
        "encoder_attention_mask": torch.ones(states.shape[:2], device=states.device),
        "num_frames": frames,
        "height": height,
        "width": width,
        "rope_interpolation_scale": (8 / 25, 32, 32),
    }


def cogvideox_inputs(latents: torch.Tensor, states: torch.Tensor, timestep: torch.Tensor) -> dict:
    return {"hidden_states": latents.transpose(1, 2), "encoder_hidden_states": states, "timestep": timestep}


FAMILIES = {
    # Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    "wan": Family(
        pipeline=WanPipeline,
        transformer=(
            WanTransformer3DModel,
            {"num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30},
            {"num_attention_heads": 2, "attention_head_dim": 12, "text_dim": 32, "freq_dim": 32, "ffn_dim": 32, "num_layers": 2},
        ),
        vae=(AutoencoderKLWan, {"base_dim": 96, "z_dim": 16}, {"base_dim": 8, "num_res_blocks": 1}),
        text=(UMT5EncoderModel, UMT5Config),
        scheduler=lambda: UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
        ),
        width=832, height=480, frames=81, max_tokens=512, guidance=5.0,
        channels=16, in_time=4, in_space=8,
        inputs=wan_inputs, blocks="blocks",
    ),
    # Lightricks/LTX-Video, whose first version has diffusers' defaults
    "ltx": Family(
        pipeline=LTXPipeline,
        transformer=(
            LTXVideoTransformer3DModel, {},
            {"num_attention_heads": 2, "attention_head_dim": 16, "cross_attention_dim": 32, "caption_channels": 32, "num_layers": 1},
        ),
        vae=(
            AutoencoderKLLTXVideo, {},
            {"block_out_channels": (8, 16, 16, 16), "decoder_block_out_channels": (8, 16, 16, 16), "layers_per_block": (1,) * 5,
             "decoder_layers_per_block": (1,) * 5},
        ),
        text=(T5EncoderModel, T5Config),
        scheduler=lambda: FlowMatchEulerDiscreteScheduler(**LTX_SCHEDULE),
        width=704, height=512, frames=161, max_tokens=128, guidance=3.0,
        channels=128, in_time=8, in_space=32,
        inputs=ltx_inputs, blocks="transformer_blocks",
    ),
    # THUDM/CogVideoX-2b, which has diffusers' defaults
    "cogvideox": Family(
        pipeline=CogVideoXPipeline,
        transformer=(
            CogVideoXTransformer3DModel, {},
            {"num_attention_heads": 2, "attention_head_dim": 16, "time_embed_dim": 16, "text_embed_dim": 32, "num_layers": 2,
             "sample_width": 6, "sample_height": 4, "sample_frames": 9},
        ),
        vae=(
            AutoencoderKLCogVideoX, {},
            {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 0, "norm_num_groups": 2},
        ),
        text=(T5EncoderModel, T5Config),
        scheduler=lambda: cogvideox_scheduler(snr_shift=3.0),
        width=720, height=480, frames=49, max_tokens=226, guidance=6.0,
        channels=16, in_time=4, in_space=8,
        inputs=cogvideox_inputs, blocks="transformer_blocks",
    ),
}


def main() -> None:
    options = _parser().parse_args()
    if options.command == "make":
        make(options.folder, FAMILIES[options.family], options.device, options.tiny)
        return
    report = json.dumps(measure(options), indent=2)
    print(report)
    if options.out is not None:
        options.out.write_text(report + "\n")


def make(folder: Path, family: Family, device: str, is_tiny: bool) -> None:
    """Writes the pipeline with seeded weights of fp16, as diffusers initialises them."""
    torch.manual_seed(SEED)
    tokens = tokenizer()

    def made(part: tuple[type, dict, dict]) -> torch.nn.Module:
        kind, released, tiny = part
        return kind(**{**released, **(tiny if is_tiny else {})})

    encoder_kind, configuration = family.text
    with torch.device(device):
        transformer, vae = made(family.transformer), made(family.vae)
        text = TINY_TEXT if is_tiny else TEXT
        encoder = encoder_kind(configuration(vocab_size=len(tokens), feed_forward_proj="gated-gelu", **text))
    family.pipeline(
        tokenizer=tokens,
        text_encoder=encoder.to(DTYPE),
        vae=vae.to(DTYPE),
        scheduler=family.scheduler(),
        transformer=transformer.to(DTYPE),
    ).save_pretrained(folder)


def measure(options: argparse.Namespace) -> dict:
    """What ``time`` reports."""
    device = options.device
    pipeline = DiffusionPipeline.from_pretrained(options.folder, torch_dtype=DTYPE).to(device)
    pipeline.set_progress_bar_config(disable=True)
    family = next(family for family in FAMILIES.values() if family.pipeline is type(pipeline))
    transformer, vae = pipeline.transformer, pipeline.vae
    width, height, frames, max_tokens = (
        getattr(family, name) if getattr(options, name) is None else getattr(options, name)
        for name in ("width", "height", "frames", "max_tokens")
    )
    shape = (family.channels, (frames - 1) // family.in_time + 1, height // family.in_space, width // family.in_space)
    clock = Clock(device, options.repeat)

    def noise(*extents: int) -> torch.Tensor:
        return torch.randn(*extents, generator=torch.Generator().manual_seed(SEED)).to(device, DTYPE)

    def inputs(rows: int) -> dict:
        states = noise(rows, max_tokens, pipeline.text_encoder.config.d_model)
        given = family.inputs(noise(rows, *shape), states, torch.full((rows,), 700.0, device=device))
        return {**given, "return_dict": False}

    def evaluations(call: Callable) -> dict:
        found = {}
        for name, rows in (("guided", 2), ("unguided", 1)):
            given = inputs(rows)
            found[name] = clock.time(lambda given=given: call(**given)[0])
        return found

    def whole_video() -> torch.Tensor:
        """A call of the pipeline: text, steps and decoding; no media files."""
        video = pipeline(
            PROMPT, height=height, width=width, num_frames=frames, num_inference_steps=options.steps,
            guidance_scale=family.guidance, max_sequence_length=max_tokens, generator=torch.Generator().manual_seed(SEED),
            output_type="np",
        ).frames
        return torch.from_numpy(video)

    with torch.inference_mode():
        report = {
            "card": torch.cuda.get_device_name() if device == "cuda" else "none",
            "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
            "pipeline": type(pipeline).__name__,
            "size": {"width": width, "height": height, "frames": frames},
            "dtype": str(DTYPE).removeprefix("torch."),
            "parameters": sum(weight.numel() for weight in transformer.parameters()),
            "transformer": {"eager": evaluations(transformer)},
        }
        latents = noise(1, *shape)
        report["vaeDecode"] = clock.time(lambda: vae.decode(latents, return_dict=False)[0])
        if options.steps > 0:
            seconds, _ = clock.once(whole_video)
            report["wholeVideo"] = {"steps": options.steps, "seconds": seconds}
        if "whole" in options.compile:
            report["transformer"]["compiled"] = evaluations(torch.compile(transformer, dynamic=False))
        if "blocks" in options.compile:
            for block in getattr(transformer, family.blocks):
                block.compile(dynamic=False)
            report["transformer"]["compiledBlocks"] = evaluations(transformer)
    return report


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
            raise SystemExit("bench/pipelines.py: the result is not finite: the weights overflow fp16")
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
    making.add_argument("--family", choices=FAMILIES, default="wan")
    making.add_argument("--tiny", action="store_true", help="a small one, for a CPU")
    timing = commands.add_parser("time", help="time diffusers on it")
    for name in ("width", "height", "frames", "max-tokens"):
        timing.add_argument(f"--{name}", type=int, help="what the released pipeline is called with unless given")
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
