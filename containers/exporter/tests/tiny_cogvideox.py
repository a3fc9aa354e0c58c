"""CogVideoXPipelines of random weights, small enough for a CPU, saved by diffusers itself."""

from pathlib import Path

import tiny
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
from transformers import T5Config, T5EncoderModel

#: Two parts for the VAE: three latent frames, and then a pair.
WIDTH, HEIGHT, FRAMES = 24, 16, 17
MAX_TOKENS = 16
#: Of a latent.
CHANNELS, LATENT_FRAMES, LATENT_HEIGHT, LATENT_WIDTH = 4, 5, 4, 6


def scheduler(snr_shift: float) -> CogVideoXDDIMScheduler:
    """As those of CogVideoX are saved; 2B has an snr_shift of 3, 5B of 1."""
    return CogVideoXDDIMScheduler(
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        snr_shift_scale=snr_shift,
        timestep_spacing="trailing",
    )


def transformer(rotary: bool) -> CogVideoXTransformer3DModel:
    """With rotations, as 5B has, or with sines added to the tokens, as 2B; of other default sizes than the video's."""
    model = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        time_embed_dim=16,
        text_embed_dim=32,
        num_layers=2,
        sample_width=8,
        sample_height=8,
        sample_frames=9,
        max_text_seq_length=MAX_TOKENS,
        use_rotary_positional_embeddings=rotary,
    )
    model.patch_embed.text_proj.weight.data *= 4
    for block in model.transformer_blocks:
        block.norm1.linear.weight.data *= 4
    return model


def save(folder: Path, rotary: bool, snr_shift: float) -> None:
    """Writes the pipeline with seeded weights, large enough that prompts and times change what comes out."""
    torch.manual_seed(0)
    tokens = tiny.tokenizer()
    CogVideoXPipeline(
        tokenizer=tokens,
        text_encoder=tiny.text_encoder(T5EncoderModel, T5Config, len(tokens), layers=1),
        vae=AutoencoderKLCogVideoX(
            down_block_types=("CogVideoXDownBlock3D",) * 3,
            up_block_types=("CogVideoXUpBlock3D",) * 3,
            block_out_channels=(8, 8, 8),
            latent_channels=CHANNELS,
            layers_per_block=0,
            norm_num_groups=2,
        ),
        transformer=transformer(rotary),
        scheduler=scheduler(snr_shift),
    ).save_pretrained(folder)
