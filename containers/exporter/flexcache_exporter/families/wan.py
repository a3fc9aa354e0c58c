"""Wan 2.1 and Wan 2.2 TI2V text-to-video: WanTransformer3DModel, UMT5 and AutoencoderKLWan."""

from collections.abc import Callable

import torch
import torch.nn as nn
import torch.nn.functional as F
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanAttentionBlock,
    WanResample,
    WanRMS_norm,
    WanUpsample,
    patchify,
    unpatchify,
)
from diffusers.models.transformers.transformer_wan import WanAttention
from transformers import UMT5EncoderModel

from .. import operators
from ..errors import ExportError
from ..examples import Examples
from ..model import Latent, Model, Request, Scheduler, Text, Video, given, latent_of, require_multiple, video_of
from ..networks import Part, cross_attention_of, denoiser_of, networks_of, to_pixels, to_video
from ..object_map import Marks, ObservedDenoiser, fuse_observed
from ..regions import LiveOutput, LivePatches, Stage, regions_of, with_regions
from ..source import INDEX_FILE, Source
from ..tiles import Axis, Tiles
from .wan_frames import ImageEncoder, split_frames, timesteps_of_rows, timesteps_of_tokens

#: What the pipeline is called with where the request says nothing.
MAX_TOKENS, STEPS, GUIDANCE = 512, 50, 5.0
#: Frames, height, width and frames per second by ``expand_timesteps``: those of Wan 2.1, and what TI2V was trained for.
VIDEO, EXPANDED_VIDEO = (81, 480, 832, 16), (121, 704, 1280, 24)
#: Patches of the transformer that the pipeline counts tokens by where it expands timesteps.
EXPANDED_PATCH = [1, 2, 2]
#: Side and least overlap of the VAE's tiles, in pixels.
TILE, OVERLAP = 192, 64
#: The transformer counts time in thousandths.
TIME_SCALE = 1000.0


def open_model(source: Source, request: Request) -> Model:
    """A saved WanPipeline; raises ExportError for parts that are missing, and for sizes and kinds it cannot have."""
    transformer, vae, text = (source.config(name) for name in ("transformer", "vae", "text_encoder"))
    _require_one_text_to_video_transformer(source, transformer)
    expands = _expands_timesteps(source)
    video = video_of(request, *(EXPANDED_VIDEO if expands else VIDEO))
    # Tokens of a region have one time: such a denoiser makes videos of text alone.
    has_frame_times = expands and request.regions is None
    latent = _latent_of(video, transformer, vae)
    tiles = _tiles_of(given(request.tile, TILE), latent, vae)
    max_tokens = given(request.max_tokens, MAX_TOKENS)
    texts = Text(max_tokens=max_tokens, hidden=text["d_model"])
    weights = {"torch_dtype": request.dtype, "local_files_only": True}

    def load_denoiser() -> nn.Module:
        denoiser = Denoiser(WanTransformer3DModel.from_pretrained(source.component("transformer"), **weights))
        if has_frame_times:
            denoiser.timesteps = timesteps_of_tokens(latent, EXPANDED_PATCH)
        return denoiser

    def load_vae() -> AutoencoderKLWan:
        return AutoencoderKLWan.from_pretrained(source.component("vae"), **weights)

    def load_text_encoder() -> nn.Module:
        path = source.component("text_encoder")
        return TextEncoder(UMT5EncoderModel.from_pretrained(path, dtype=request.dtype, local_files_only=True))

    # One frame needs no tiles: the pipeline encodes a first image as a whole, too.
    whole = _tiles_of(max(video.height, video.width), latent, vae)
    image_encoder = Part(
        lambda: ImageEncoder(VaeEncoder(load_vae(), whole)),
        lambda module: ImageEncoder(WholeEncoder(module.encoder.vae, whole)),
    )
    examples = Examples(video, latent, texts, text["vocab_size"], has_frame_times)
    denoiser = Part(
        load_denoiser,
        lambda module: fuse(module, latent, has_frame_times=has_frame_times),
        {"frame_times": 1.0} if has_frame_times else {},
    )
    patch = tuple(transformer["patch_size"])
    attention = cross_attention_of(
        request, transformer, lambda module: module.transformer.blocks, latent, patch, masks_padding=False
    )
    networks = networks_of(
        examples,
        text_encoder=Part(load_text_encoder),
        denoiser=denoiser_of(denoiser, attention),
        vae_decoder=Part(
            lambda: VaeDecoder(load_vae(), tiles), lambda module: WholeDecoder(module.vae, tiles), tiles.settings()
        ),
        vae_encoder=Part(
            lambda: VaeEncoder(load_vae(), tiles), lambda module: WholeEncoder(module.vae, tiles), tiles.settings()
        ),
        image_encoder=image_encoder if has_frame_times else None,
    )
    regions = regions_of(request, transformer, patch)
    networks = with_regions(networks, regions, latent, lambda module, stage: fuse(module, latent, stage))
    return Model(
        family="wan",
        video=video,
        latent=latent,
        text=texts,
        scheduler=Scheduler(
            shift=request.shift if request.shift is not None else _shift_of(source),
            guidance=given(request.guidance, GUIDANCE),
            steps=given(request.steps, STEPS),
        ),
        tokenizer=source.component("tokenizer"),
        networks=networks,
        regions=regions,
        maps_object=request.object_map is not None,
    )


def _expands_timesteps(source: Source) -> bool:
    """Whether the pipeline gives the transformer a timestep for every token, and so takes a first image."""
    return bool(source.index.get("expand_timesteps"))


def _require_one_text_to_video_transformer(source: Source, transformer: dict) -> None:
    supported = "use a pipeline of Wan 2.1, or of Wan 2.2 TI2V: one transformer, text to video"
    index = source.index
    if index.get("boundary_ratio") is not None or index.get("transformer_2", [None])[0] is not None:
        raise ExportError(str(source.folder / INDEX_FILE), "transformer_2 is not supported", supported)
    if transformer.get("image_dim") is not None or transformer.get("added_kv_proj_dim") is not None:
        raise ExportError(str(source.folder / "transformer"), "image conditions are not supported", supported)
    if _expands_timesteps(source) and list(transformer["patch_size"]) != EXPANDED_PATCH:
        raise ExportError(
            str(source.folder / "transformer"),
            f"patch_size is {transformer['patch_size']}, and expand_timesteps counts tokens of {EXPANDED_PATCH}",
            supported,
        )


def _latent_of(video: Video, transformer: dict, vae: dict) -> Latent:
    frame_patch, row_patch, column_patch = transformer["patch_size"]
    in_time = vae.get("scale_factor_temporal", 4)
    in_space = vae.get("scale_factor_spatial", 8)
    require_multiple("--frames", video.frames, in_time * frame_patch, 1)
    require_multiple("--height", video.height, in_space * row_patch)
    require_multiple("--width", video.width, in_space * column_patch)
    latent = latent_of(video, transformer["in_channels"], in_time, in_space)
    positions = transformer["rope_max_seq_len"]
    extents = {
        "--frames": latent.frames // frame_patch,
        "--height": latent.height // row_patch,
        "--width": latent.width // column_patch,
    }
    for field, extent in extents.items():
        if extent > positions:
            raise ExportError(
                field, f"gives {extent} tokens along it, and the transformer has {positions} positions", "use less"
            )
    return latent


def _tiles_of(tile: int, latent: Latent, vae: dict) -> Tiles:
    factor = vae.get("scale_factor_spatial", 8)
    require_multiple("--tile", tile, factor)
    piece, overlap = tile // factor, OVERLAP // factor
    if piece <= overlap and piece < max(latent.height, latent.width):
        raise ExportError("--tile", f"{tile} is not more than the overlap, {OVERLAP}", "use 128 or more")
    return Tiles(Axis(latent.height, piece, overlap), Axis(latent.width, piece, overlap), factor)


def _shift_of(source: Source) -> float:
    config = source.config("scheduler")
    shift = config.get("flow_shift", config.get("shift"))
    is_flow = config.get("use_flow_sigmas", config.get("_class_name") == "FlowMatchEulerDiscreteScheduler")
    if shift is None or not is_flow or config.get("use_dynamic_shifting"):
        raise ExportError(
            str(source.config_file("scheduler")),
            f"{config.get('_class_name')} gives no fixed shift of flow sigmas",
            "give the shift with --shift (Wan 2.1: 3 for 480 rows, 5 for 720)",
        )
    return float(shift)


class TextEncoder(nn.Module):
    """input_ids, attention_mask int64 [B,L] -> states [B,L,D], 0 beyond the prompt, as the transformer was trained."""

    def __init__(self, encoder: UMT5EncoderModel):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states.float() * attention_mask.unsqueeze(-1)


class Denoiser(nn.Module):
    """latent [B,C,T,H,W], time [B] in 0..1, text_states [B,L,D], text_mask int64 [B,L] -> velocity [B,C,T,H,W].

    The transformer attends to every token: those beyond the prompt are 0. Where it expands timesteps, time is [B,T].
    """

    def __init__(self, transformer: WanTransformer3DModel):
        super().__init__()
        self.transformer = transformer
        #: What the transformer takes of times.
        self.timesteps: Callable[[torch.Tensor], torch.Tensor] = lambda times: times

    def forward(
        self, latent: torch.Tensor, time: torch.Tensor, text_states: torch.Tensor, text_mask: torch.Tensor
    ) -> torch.Tensor:
        dtype = self.transformer.patch_embedding.weight.dtype
        states = (text_states * text_mask.unsqueeze(-1)).to(dtype)
        timesteps = self.timesteps(time * TIME_SCALE)
        return self.transformer(latent.to(dtype), timesteps, states, return_dict=False)[0].float()


class FixedRotation(nn.Module):
    """Rotations of all tokens of a latent of fixed extents: cos and sin, [N,d/2] each."""

    def __init__(self, rope: nn.Module, latent: Latent, dtype: torch.dtype):
        super().__init__()
        cos, sin = rope(torch.empty(1, 1, latent.frames, latent.height, latent.width))
        # Both tables have each angle twice, once for either number of a pair.
        self.register_buffer("cos", cos[0, :, 0, 0::2].to(dtype).contiguous())
        self.register_buffer("sin", sin[0, :, 0, 0::2].to(dtype).contiguous())

    def forward(self, _latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.cos, self.sin


class FusedProcessor:
    """Attention of WanAttention by the fused operators: of all tokens or, with a stage, of its live ones.

    With marks it notes what share of cross-attention the marked tokens get.
    """

    def __init__(self, stage: Stage | None = None, marks: Marks | None = None):
        self.stage = stage
        self.marks = marks

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.norm_q(attn.to_q(hidden_states))
        key = attn.norm_k(attn.to_k(context))
        value = attn.to_v(context)
        if rotary_emb is not None and self.stage is None:
            query = operators.rotate(query, *rotary_emb, attn.heads)
            key = operators.rotate(key, *rotary_emb, attn.heads)
        elif rotary_emb is not None:
            evaluation = self.stage.evaluation
            query = operators.rotate_at(query, evaluation.live, *rotary_emb, attn.heads)
            key = operators.rotate_at(key, evaluation.live, *rotary_emb, attn.heads)
            key, value = evaluation.readable(key, value, attn.heads)
        if self.marks is not None:
            self.marks.observe(query, key, attn.heads)
        return attn.to_out[0](operators.attention(query, key, value, attn.heads))


def fuse(
    denoiser: Denoiser | ObservedDenoiser, latent: Latent, stage: Stage | None = None, has_frame_times: bool = False
) -> nn.Module:
    """The same denoiser as it is exported: ``fuse_denoiser``, its object map, and frames as rows where each has a time."""
    inner = denoiser.denoiser if isinstance(denoiser, ObservedDenoiser) else denoiser
    fused = fuse_observed(
        denoiser, lambda module: fuse_denoiser(module, latent, stage), lambda marks: FusedProcessor(stage, marks), stage
    )
    if has_frame_times:
        split_frames(inner.transformer, latent.frames)
        inner.timesteps = timesteps_of_rows
    return fused


def fuse_denoiser(denoiser: Denoiser, latent: Latent, stage: Stage | None = None) -> Denoiser:
    """The same denoiser for latents of these extents, with fused operators: of all tokens or, with a stage, of its live ones."""
    transformer = denoiser.transformer
    dtype = transformer.patch_embedding.weight.dtype
    transformer.rope = FixedRotation(transformer.rope, latent, dtype)
    if stage is not None:
        transformer.patch_embedding = LivePatches(transformer.patch_embedding, stage)
        transformer.proj_out = LiveOutput(transformer.proj_out, stage)
    operators.fuse_transformer(transformer, WanAttention, FusedProcessor(stage))
    return denoiser


class _Vae(nn.Module):
    """An AutoencoderKLWan with the means and deviations of its latents; works on one tile after another."""

    def __init__(self, vae: AutoencoderKLWan, tiles: Tiles):
        super().__init__()
        self.vae = vae
        self.tiles = tiles
        self.register_buffer("mean", torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1))
        self.register_buffer("std", torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1))


class VaeDecoder(_Vae):
    """latent [B,C,T,H,W] -> video [B,F,3,fH,fW] in 0..1; f pixels are one position: 8 of Wan 2.1, 16 of Wan 2.2 TI2V."""

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        pixels = self.tiles.decode((latent * self.std + self.mean).to(self.vae.dtype), self.decode)
        return to_video(pixels)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Latent as the VAE knows it -> pixels [B,3,F,fH,fW] in -1..1."""
        return self.vae.decode(latent, return_dict=False)[0]


class VaeEncoder(_Vae):
    """video [B,F,3,fH,fW] in 0..1 -> latent [B,C,T,H,W], the mean of the posterior."""

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        latent = self.tiles.encode(to_pixels(video, self.vae.dtype), self.encode)
        return (latent.float() - self.mean) / self.std

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels [B,3,F,fH,fW] in -1..1 -> latent as the VAE knows it."""
        return self.vae.encode(pixels, return_dict=False)[0].mode()


class WholeDecoder(VaeDecoder):
    """The same without the loop over latent frames and its cache, which an export would unroll."""

    def __init__(self, vae: AutoencoderKLWan, tiles: Tiles):
        super().__init__(vae, tiles)
        operators.replace_modules(vae.decoder, _without_cache)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        # The whole begins with the first frame, in which residual blocks make no frames in between.
        pixels = self.vae.decoder(self.vae.post_quant_conv(latent), first_chunk=True)
        return unpatchify(pixels, self.vae.config.patch_size or 1).clamp(-1, 1)


class WholeEncoder(VaeEncoder):
    """The same without the loop over groups of frames and its cache."""

    def __init__(self, vae: AutoencoderKLWan, tiles: Tiles):
        super().__init__(vae, tiles)
        operators.replace_modules(vae.encoder, _without_cache)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        patches = patchify(pixels, self.vae.config.patch_size or 1)
        return self.vae.quant_conv(self.vae.encoder(patches)).chunk(2, dim=1)[0]


def _without_cache(module: nn.Module) -> nn.Module | None:
    if isinstance(module, WanResample):
        return WholeResample(module)
    if isinstance(module, WanAttentionBlock):
        return FusedAttentionBlock(module)
    if isinstance(module, WanRMS_norm):
        return ChannelNorm(module)
    return None


class WholeResample(nn.Module):
    """WanResample of a whole sequence: x [B,C,T,H,W]; the first frame has no part in any resampling in time."""

    def __init__(self, resample: WanResample):
        super().__init__()
        self.mode = resample.mode
        self.resample = resample.resample
        if resample.mode.endswith("3d"):
            self.time_conv = resample.time_conv
        operators.replace_modules(self.resample, lambda module: Twice() if isinstance(module, WanUpsample) else None)

    def forward(self, x: torch.Tensor, feat_cache: None = None, feat_idx: None = None) -> torch.Tensor:
        if self.mode == "upsample3d" and x.shape[2] > 1:
            first, rest = x[:, :, :1], self.time_conv(x[:, :, 1:])
            pairs = torch.stack(rest.chunk(2, dim=1), dim=3)
            x = torch.cat([first, pairs.flatten(2, 3)], dim=2)
        frames = x.shape[2]
        x = self.resample(x.transpose(1, 2).flatten(0, 1))
        x = x.unflatten(0, (-1, frames)).transpose(1, 2)
        if self.mode == "downsample3d" and frames > 1:
            x = torch.cat([x[:, :, :1], self.time_conv(x)], dim=2)
        return x


class Twice(nn.Module):
    """Each pixel of [B,C,H,W] four times: what WanUpsample does, without its detour over float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


class ChannelNorm(nn.Module):
    """WanRMS_norm over the channels, without the norms repeated for every channel."""

    def __init__(self, norm: WanRMS_norm):
        super().__init__()
        self.weight = nn.Parameter(norm.scale * norm.gamma, requires_grad=False)
        self.bias = norm.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        return (wide / wide.norm(dim=1, keepdim=True).clamp_min(1e-12)).to(x.dtype) * self.weight + self.bias


class FusedAttentionBlock(nn.Module):
    """WanAttentionBlock by the fused operator."""

    def __init__(self, block: WanAttentionBlock):
        super().__init__()
        block.norm = ChannelNorm(block.norm)
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames, rows = x.shape[2], x.shape[3]
        images = x.transpose(1, 2).flatten(0, 1)
        qkv = self.block.to_qkv(self.block.norm(images)).flatten(2).transpose(1, 2)
        attended = operators.attention(*qkv.chunk(3, dim=-1), heads=1)
        attended = self.block.proj(attended.transpose(1, 2).unflatten(2, (rows, -1)))
        return attended.unflatten(0, (-1, frames)).transpose(1, 2) + x
