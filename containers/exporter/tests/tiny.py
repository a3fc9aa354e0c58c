"""WanPipelines of random weights, small enough for a CPU, saved by diffusers itself."""

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

SHIFT = 3.0
WIDTH, HEIGHT, FRAMES = 48, 32, 9
MAX_TOKENS = 16
TI2V_WIDTH, TI2V_HEIGHT, TI2V_CHANNELS = 96, 64, 48


def tokenizer() -> PreTrainedTokenizerFast:
    """A Unigram tokenizer that ends every text with </s>, as those of T5 do."""
    words = [(f"▁{word}", -3.0) for word in "a red ball on the beach".split()]
    letters = [(letter, -6.0) for letter in "▁abcdefghijklmnopqrstuvwxyz"]
    backend = Tokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), *words, *letters], unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def text_encoder(kind: type, configuration: type, vocabulary: int, layers: int = 2):
    """An encoder of the T5 family, of the weights that are drawn next."""
    return kind(
        configuration(
            vocab_size=vocabulary, d_model=32, d_kv=8, d_ff=64, num_layers=layers, num_heads=4,
            feed_forward_proj="gated-gelu",
        )
    )


def transformer(channels: int) -> WanTransformer3DModel:
    """One of the weights that are drawn next, in which the prompt changes what comes out."""
    made = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=channels, out_channels=channels,
        text_dim=32, freq_dim=32, ffn_dim=32, num_layers=2,
    )
    for block in made.blocks:
        block.attn2.to_v.weight.data *= 8
    return made


def save(folder: Path) -> None:
    """Writes a pipeline of Wan 2.1's kind with seeded weights."""
    torch.manual_seed(0)
    tokens = tokenizer()
    encoder = text_encoder(UMT5EncoderModel, UMT5Config, len(tokens))
    WanPipeline(
        tokenizer=tokens,
        text_encoder=encoder,
        transformer=transformer(16),
        vae=AutoencoderKLWan(base_dim=8, num_res_blocks=1),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
    ).save_pretrained(folder)


def save_ti2v(folder: Path) -> None:
    """Writes a pipeline of Wan 2.2 TI2V's kind: timesteps for every token, and a residual VAE of 16 pixels a position."""
    torch.manual_seed(0)
    tokens = tokenizer()
    encoder = text_encoder(UMT5EncoderModel, UMT5Config, len(tokens))
    denoiser = transformer(TI2V_CHANNELS)
    # Frames change each other, too.
    for block in denoiser.blocks:
        block.attn1.to_v.weight.data *= 8
    WanPipeline(
        tokenizer=tokens,
        text_encoder=encoder,
        transformer=denoiser,
        vae=AutoencoderKLWan(
            base_dim=8, decoder_base_dim=12, z_dim=TI2V_CHANNELS, num_res_blocks=1, in_channels=12, out_channels=12,
            is_residual=True, patch_size=2, scale_factor_spatial=16,
            latents_mean=torch.linspace(-1, 1, TI2V_CHANNELS).tolist(),
            latents_std=torch.linspace(0.5, 3, TI2V_CHANNELS).tolist(),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        expand_timesteps=True,
    ).save_pretrained(folder)
