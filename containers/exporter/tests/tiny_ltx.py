"""An LTXPipeline of random weights, small enough for a CPU, saved by diffusers itself."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
)
from tiny import text_encoder, tokenizer
from transformers import T5Config, T5EncoderModel

WIDTH, HEIGHT, FRAMES = 96, 64, 5
MAX_TOKENS = 16
CHANNELS = 16

#: The schedule of LTX-Video 0.9.0 and 0.9.1.
SCHEDULE = {
    "use_dynamic_shifting": True,
    "base_shift": 0.95,
    "max_shift": 2.05,
    "base_image_seq_len": 1024,
    "max_image_seq_len": 4096,
    "shift_terminal": 0.1,
}

#: Kinds of VAEs by the first version of LTX-Video that had them, with one halving in time and space less, of larger patches.
VAES = {
    "0.9.0": {
        "block_out_channels": (8, 16, 16),
        "down_block_types": ("LTXVideoDownBlock3D",) * 3,
        "decoder_block_out_channels": (8, 16, 16),
        "spatio_temporal_scaling": (True, True, False),
        "decoder_spatio_temporal_scaling": (True, True, False),
        "decoder_inject_noise": (False, False, False, False),
        "layers_per_block": (1, 1, 1, 1),
        "decoder_layers_per_block": (1, 1, 1, 1),
    },
    "0.9.1": {
        "block_out_channels": (8, 16, 16),
        "down_block_types": ("LTXVideoDownBlock3D",) * 3,
        "decoder_block_out_channels": (16, 32),
        "spatio_temporal_scaling": (True, True, False),
        "decoder_spatio_temporal_scaling": (True, True),
        "decoder_inject_noise": (True, True, False),
        "layers_per_block": (1, 1, 1, 1),
        "decoder_layers_per_block": (1, 1, 1),
        "upsample_residual": (True, True),
        "upsample_factor": (2, 2),
        "timestep_conditioning": True,
    },
    "0.9.5": {
        "block_out_channels": (8, 16, 32, 32),
        "down_block_types": ("LTXVideo095DownBlock3D",) * 3,
        "decoder_block_out_channels": (16, 32),
        "spatio_temporal_scaling": (True, True, True),
        "decoder_spatio_temporal_scaling": (True, True),
        "decoder_inject_noise": (False, False, False),
        "downsample_type": ("spatial", "temporal", "spatiotemporal"),
        "layers_per_block": (1, 1, 1, 1),
        "decoder_layers_per_block": (1, 1, 1),
        "upsample_residual": (True, True),
        "upsample_factor": (2, 2),
        "timestep_conditioning": True,
        "spatial_compression_ratio": 32,
        "temporal_compression_ratio": 4,
    },
}


def vae(version: str) -> AutoencoderKLLTXVideo:
    """Seeded weights, with statistics and scales of noise that change what is decoded."""
    torch.manual_seed(1)
    model = AutoencoderKLLTXVideo(latent_channels=CHANNELS, patch_size=8, scaling_factor=0.8, **VAES[version])
    model.latents_mean.normal_()
    model.latents_std.uniform_(0.5, 2)
    for name, weight in model.named_parameters():
        if "per_channel_scale" in name:
            weight.data.normal_()
    return model


def save(folder: Path) -> None:
    """Writes the pipeline with seeded weights, large enough that prompts, times and places change what comes out."""
    torch.manual_seed(0)
    tokens = tokenizer()
    encoder = text_encoder(T5EncoderModel, T5Config, len(tokens))
    transformer = LTXVideoTransformer3DModel(
        in_channels=CHANNELS, out_channels=CHANNELS, num_attention_heads=2, attention_head_dim=16,
        cross_attention_dim=32, caption_channels=32, num_layers=1,
    )
    for block in transformer.transformer_blocks:
        block.attn1.to_v.weight.data *= 8
        block.attn2.to_v.weight.data *= 8
    LTXPipeline(
        tokenizer=tokens,
        text_encoder=encoder,
        vae=vae("0.9.1"),
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULE),
        transformer=transformer,
    ).save_pretrained(folder)
