"""A WanPipeline of random weights, small enough for a CPU, saved by diffusers itself."""

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

SHIFT = 3.0
WIDTH, HEIGHT, FRAMES = 48, 32, 9
MAX_TOKENS = 16


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


def save(folder: Path) -> None:
    """Writes the pipeline with seeded weights, large enough that prompts and times change what comes out."""
    torch.manual_seed(0)
    tokens = tokenizer()
    encoder = text_encoder(UMT5EncoderModel, UMT5Config, len(tokens))
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, text_dim=32, freq_dim=32, ffn_dim=32,
        num_layers=2,
    )
    for block in transformer.blocks:
        block.attn2.to_v.weight.data *= 8
    WanPipeline(
        tokenizer=tokens,
        text_encoder=encoder,
        vae=AutoencoderKLWan(base_dim=8, num_res_blocks=1),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        transformer=transformer,
    ).save_pretrained(folder)
