"""The demo model as diffusers' own architecture: a small WanTransformer3DModel, UMT5EncoderModel and AutoencoderKLWan.

    python -m demo_model.wan --recipe wan --checkpoints CK --out FOLDER     (a WanPipeline, as ``save_pretrained`` writes it)

Modules here hold diffusers' modules and run them as training needs it: tokens with times of their own, masks of who may read whom,
whole clips in place of diffusers' loop over frames. What they compute is what diffusers computes; the weights have its names.
Needs what containers/exporter needs, and its package ``flexcache_exporter``.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from diffusers.models.autoencoders.autoencoder_kl_wan import WanResample, patchify, unpatchify
from diffusers.models.transformers.transformer_wan import WanAttention
from flexcache_exporter import operators
from flexcache_exporter.families import wan as family
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from . import checkpoints, networks, recipes, tokenization

#: Rows and columns of a latent position, in pixels.
IN_SPACE = 8
#: Side of the squares of pixels that the VAE takes as one, of the eight that are a latent position.
VAE_PATCH = 2


@dataclass(frozen=True)
class Sizes:
    """Of all networks. The denoiser's are those of ``networks.Denoiser``, so that an evaluation costs the same."""

    width: int = 256
    heads: int = 4
    layers: int = 8
    text_layers: int = 3
    text_feed_forward: int = 640
    #: Channels at the highest resolution of the VAE's encoder and decoder, their multiples at the lower ones.
    encoder_width: int = 24
    decoder_width: int = 32
    multiples: tuple[int, ...] = (1, 2, 3)
    #: Levels that halve the frames, from the highest resolution: two of them give 5 latent frames of 17, one 9.
    halves_time: tuple[bool, ...] = (False, True)
    frames: int = 17

    @property
    def in_time(self) -> int:
        return 2 ** sum(self.halves_time)

    @property
    def layout(self) -> recipes.Layout:
        _, _, height, width = networks.LATENT_SHAPE
        return recipes.Layout(self.frames, (networks.CHANNELS, (self.frames - 1) // self.in_time + 1, height, width), ends=True)


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Neighbouring pairs of ``x [B,heads,n,d]`` by the angles of WanRotaryPosEmbed, which has each twice: ``[1,n,1,d]``."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = (table[0, :, 0, 0::2] for table in (cos, sin))
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).type_as(x)


class MaskedProcessor:
    """Attention of WanAttention with masks that diffusers' blocks have no argument for.

    ``tokens`` bool ``[B,1,n,n]`` is true where a token may read another one, ``words`` ``[B,1,n,L]`` where it may read a word's
    state; None lets it read all.
    """

    def __init__(self):
        self.tokens: torch.Tensor | None = None
        self.words: torch.Tensor | None = None

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        readable = self.tokens if encoder_hidden_states is None else self.words
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(context)), attn.to_v(context)
        query, key, value = (x.unflatten(2, (attn.heads, -1)).transpose(1, 2) for x in (query, key, value))
        if rotary_emb is not None:
            query, key = rotated(query, *rotary_emb), rotated(key, *rotary_emb)
        read = F.scaled_dot_product_attention(query.type_as(value), key.type_as(value), value, attn_mask=readable)
        return attn.to_out[0](read.transpose(1, 2).flatten(2))


class Denoiser(nn.Module):
    """A WanTransformer3DModel that predicts the rectified-flow velocity eps - x0."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.width = sizes.width
        self.transformer = WanTransformer3DModel(
            patch_size=networks.PATCH, num_attention_heads=sizes.heads, attention_head_dim=sizes.width // sizes.heads,
            in_channels=networks.CHANNELS, out_channels=networks.CHANNELS, text_dim=networks.TEXT_WIDTH, freq_dim=256,
            ffn_dim=4 * sizes.width, num_layers=sizes.layers,
        )
        self.processor = MaskedProcessor()
        for module in self.transformer.modules():
            if isinstance(module, WanAttention):
                module.set_processor(self.processor)
        for layer in (self.transformer.proj_out, *(block.attn2.to_out[0] for block in self.transformer.blocks)):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, latent, time, text_states, text_mask, hidden_block: int | None = None):
        """Velocity ``[B,C,T,H,W]`` at ``time [B]`` in 0..1; ``hidden_block`` also returns the tokens after that block (training only).

        Tokens read every state, as Wan's do: those beyond the prompt are 0.
        """
        self.processor.tokens = self.processor.words = None
        states = text_states * text_mask.unsqueeze(-1)
        embedding, modulation, context, _ = self.transformer.condition_embedder(time * family.TIME_SCALE, states, None)
        velocity, hidden = self._run(latent, embedding, modulation.unflatten(1, (6, -1)), context, hidden_block)
        return velocity if hidden_block is None else (velocity, hidden)

    def two_clocks(self, latent, time, text_states, text_mask, live, unconditional):
        """Velocity where live tokens stand at ``time`` and all others, the context, are clean (training; all tokens are computed).

        The context reads itself and the unconditional prompt only, so that its keys and values depend on neither the prompt nor
        the time. ``live [B,n]`` is true in the region, ``latent`` noisy there and clean elsewhere, ``unconditional [1,L,D]`` the states
        of the empty prompt. It is the transformer with a timestep for every token, as the pipeline gives it for first images.
        """
        batch, length = text_states.shape[:2]
        states = torch.cat([text_states * text_mask.unsqueeze(-1), unconditional.expand(batch, -1, -1)], 1)
        # Two times in all: embedded once each, and not for every token.
        times = torch.cat([time, torch.zeros_like(time[:1])]) * family.TIME_SCALE
        embedding, modulation, context, _ = self.transformer.condition_embedder(times, states, None)
        modulation = modulation.unflatten(1, (6, -1))
        asked = torch.arange(states.shape[1], device=live.device) < length
        self.processor.tokens = (live[:, :, None] | ~live[:, None, :]).unsqueeze(1)
        self.processor.words = (live[:, :, None] == asked).unsqueeze(1)
        velocity, _ = self._run(
            latent, torch.where(live[:, :, None], embedding[:batch, None], embedding[batch:, None]),
            torch.where(live[:, :, None, None], modulation[:batch, None], modulation[batch:, None]), context,
        )
        self.processor.tokens = self.processor.words = None
        return velocity

    def _run(self, latent, embedding, modulation, context, hidden_block=None):
        """WanTransformer3DModel.forward after its embeddings; the tokens stay float32 between blocks under autocast."""
        model, hidden = self.transformer, None
        rotation = model.rope(latent)
        x = model.patch_embedding(latent).flatten(2).transpose(1, 2).float()
        for index, block in enumerate(model.blocks):
            x = block(x, context, modulation, rotation)
            if index == hidden_block:
                hidden = x
        # One embedding a row, or one a token.
        shift, scale = (model.scale_shift_table + embedding.unsqueeze(-2)).unbind(-2)
        if shift.ndim == 2:
            shift, scale = shift.unsqueeze(1), scale.unsqueeze(1)
        x = model.proj_out(model.norm_out(x) * (1 + scale) + shift)
        grid = [extent // patch for extent, patch in zip(latent.shape[2:], networks.PATCH)]
        x = x.view(len(x), *grid, *networks.PATCH, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
        return x.reshape(latent.shape), hidden


class TextEncoder(family.TextEncoder):
    """A UMT5EncoderModel: ids and mask ``[B,L]`` -> states ``[B,L,D]``, 0 beyond the prompt."""

    def __init__(self, sizes: Sizes):
        width = networks.TEXT_WIDTH
        super().__init__(UMT5EncoderModel(UMT5Config(
            vocab_size=sizes.layout.vocabulary, d_model=width, d_kv=width // 4, num_heads=4, d_ff=sizes.text_feed_forward,
            num_layers=sizes.text_layers, relative_attention_max_distance=2 * tokenization.MAX_TOKENS, dropout_rate=0.0,
            feed_forward_proj="gated-gelu", pad_token_id=tokenization.PAD, eos_token_id=tokenization.END,
        )))
        #: Used only while pre-training against the video tower.
        self.projection = nn.Linear(width, networks.EMBEDDING)

    def embed(self, ids, mask):
        return F.normalize(self.projection(networks.pooled(self(ids, mask), mask)).float(), dim=-1)


class VaeEncoder(nn.Module):
    """Clip -> mean and log-variance of the (not yet normalised) latent."""

    def __init__(self, vae: AutoencoderKLWan):
        super().__init__()
        self.encoder, self.quant_conv = vae.encoder, vae.quant_conv

    def forward(self, video):
        patches = patchify(video.transpose(1, 2) * 2 - 1, VAE_PATCH)
        mean, log_variance = self.quant_conv(self.encoder(patches)).chunk(2, 1)
        return mean, log_variance.clamp(-12, 4)


class VaeDecoder(nn.Module):
    """(Not normalised) latent -> clip; in training it may leave 0..1, where a clamp would have no gradient."""

    def __init__(self, vae: AutoencoderKLWan):
        super().__init__()
        self.decoder, self.post_quant_conv = vae.decoder, vae.post_quant_conv

    def forward(self, latent):
        video = unpatchify(self.decoder(self.post_quant_conv(latent)), VAE_PATCH).transpose(1, 2) / 2 + 0.5
        return video if self.training else video.clamp(0, 1)


def autoencoder(sizes: Sizes) -> AutoencoderKLWan:
    """diffusers' VAE of these sizes, not trained."""
    pixels = 3 * VAE_PATCH**2
    return AutoencoderKLWan(
        base_dim=sizes.encoder_width, decoder_base_dim=sizes.decoder_width, z_dim=networks.CHANNELS,
        dim_mult=list(sizes.multiples), num_res_blocks=1, temperal_downsample=list(sizes.halves_time),
        in_channels=pixels, out_channels=pixels, patch_size=VAE_PATCH, scale_factor_temporal=sizes.in_time,
        scale_factor_spatial=IN_SPACE,
    )


def make_vae(sizes: Sizes) -> tuple[VaeEncoder, VaeDecoder]:
    """Encoder and decoder of whole clips, without the loop over frames and its cache."""
    vae = autoencoder(sizes)
    for part in (vae.encoder, vae.decoder):
        operators.replace_modules(part, lambda module: family.WholeResample(module) if isinstance(module, WanResample) else None)
    return VaeEncoder(vae), VaeDecoder(vae)


def recipe(sizes: Sizes) -> recipes.Recipe:
    return recipes.Recipe(sizes.layout, lambda: make_vae(sizes), lambda: TextEncoder(sizes), lambda: Denoiser(sizes))


SIZES = {
    "wan": Sizes(),
    "wan-short": Sizes(halves_time=(True, True)),
    "wan-tiny": Sizes(
        width=32, heads=1, layers=4, text_layers=1, text_feed_forward=64, encoder_width=8, decoder_width=8, multiples=(1, 1, 2),
        halves_time=(True, True), frames=5,
    ),
}


def own_vae() -> recipes.Recipe:
    """The denoiser and text encoder of ``wan`` with the VAE, and therefore the latents, of demo_model.networks."""
    sizes = SIZES["wan"]
    return replace(recipe(sizes), layout=replace(recipes.OWN.layout, ends=True), make_vae=recipes.OWN.make_vae)


RECIPES = {**{name: lambda sizes=sizes: recipe(sizes) for name, sizes in SIZES.items()}, "wan-own-vae": own_vae}


def tokenizer() -> PreTrainedTokenizerFast:
    """The prompts' tokenizer as transformers saves it."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenization.build_tokenizer(ends=True), pad_token="[PAD]", unk_token="[UNK]", eos_token=tokenization.END_TOKEN,
        model_max_length=tokenization.MAX_TOKENS,
    )


def save_pipeline(directory: Path, sizes: Sizes, out: Path) -> None:
    """Writes the trained networks of these checkpoints as a WanPipeline folder, weights in fp16."""
    state, norm = checkpoints.load(directory, "vae"), checkpoints.load(directory, "norm")
    vae = autoencoder(sizes)
    vae.load_state_dict({**state["encoder"], **state["decoder"]})
    vae.register_to_config(latents_mean=norm["mean"].tolist(), latents_std=norm["std"].tolist())
    text, denoiser = TextEncoder(sizes), Denoiser(sizes)
    text.load_state_dict(checkpoints.load(directory, "text")["text"])
    denoiser.load_state_dict(checkpoints.load(directory, "denoiser")["net"])
    WanPipeline(
        tokenizer=tokenizer(), text_encoder=text.encoder.half(), vae=vae.half(),
        # Evenly spaced times, as all that is measured of this model.
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0), transformer=denoiser.transformer.half(),
        # It stands for first images, which training does not know; a region's times are the denoiser's own affair.
        expand_timesteps=False,
    ).save_pretrained(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=list(SIZES), default="wan")
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    save_pipeline(args.checkpoints, SIZES[args.recipe], args.out)


if __name__ == "__main__":
    main()
