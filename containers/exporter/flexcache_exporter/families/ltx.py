"""LTX-Video text-to-video: LTXVideoTransformer3DModel, T5 and AutoencoderKLLTXVideo."""

import math

import numpy as np
import torch
import torch.nn as nn
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXVideoTransformer3DModel
from diffusers.models.autoencoders.autoencoder_kl_ltx import LTXVideoCausalConv3d
from diffusers.models.normalization import RMSNorm
from diffusers.models.transformers.transformer_ltx import LTXAttention
from torch.overrides import TorchFunctionMode
from transformers import T5EncoderModel

from .. import operators
from ..errors import ExportError
from ..examples import Examples
from ..model import Latent, Model, Request, Scheduler, Text, Video, given, latent_of, require_multiple, video_of
from ..networks import Part, cross_attention_of, denoiser_of, networks_of, to_pixels, to_video
from ..object_map import Marks, ObservedDenoiser, fuse_observed
from ..regions import LiveOutput, LiveTokens, Stage, regions_of, with_regions
from ..source import Source

#: What the pipeline is called with where the request says nothing.
FRAMES, HEIGHT, WIDTH, FRAMES_PER_SECOND = 161, 512, 704, 25
MAX_TOKENS, STEPS, GUIDANCE = 128, 50, 3.0
#: The pipeline takes no other rows and columns, whatever the VAE.
PIXELS = 32
#: Latent frames, rows and columns of a token.
PATCH = (1, 1, 1)
#: Of which the noise is that decoders of LTX-Video 0.9.1 add in their layers: the pipeline draws it anew for each video.
NOISE_SEED = 0


def open_model(source: Source, request: Request) -> Model:
    """A saved LTXPipeline; raises ExportError for parts that are missing, and for sizes and kinds it cannot have."""
    transformer, vae, text, scheduler = (
        source.config(name) for name in ("transformer", "vae", "text_encoder", "scheduler")
    )
    _require_no_patches(source, transformer, vae)
    video = video_of(request, FRAMES, HEIGHT, WIDTH, FRAMES_PER_SECOND)
    if request.tile is not None and request.tile < max(video.height, video.width):
        raise ExportError("--tile", "tiles of LTX-Video's VAE are not supported", "leave it out")
    in_time, in_space = _compression_of(vae)
    latent = _latent_of(video, transformer, in_time, in_space)
    steps = given(request.steps, STEPS)
    levels = _levels_of(source, scheduler, latent, steps) if request.shift is None else {"shift": request.shift}
    texts = Text(max_tokens=given(request.max_tokens, MAX_TOKENS), hidden=text["d_model"])
    weights = {"torch_dtype": request.dtype, "local_files_only": True}
    #: Seconds and pixels that a step along the latent is, and the transformer's count of a time of 1.
    spacing = (in_time / video.frames_per_second, in_space, in_space)
    time_scale = scheduler.get("num_train_timesteps", 1000)

    def load_vae() -> AutoencoderKLLTXVideo:
        return AutoencoderKLLTXVideo.from_pretrained(source.component("vae"), **weights)

    def load_transformer() -> LTXVideoTransformer3DModel:
        return LTXVideoTransformer3DModel.from_pretrained(source.component("transformer"), **weights)

    def load_text_encoder() -> nn.Module:
        path = source.component("text_encoder")
        return TextEncoder(T5EncoderModel.from_pretrained(path, dtype=request.dtype, local_files_only=True))

    examples = Examples(video, latent, texts, vocabulary=text["vocab_size"])
    denoiser = Part(
        lambda: Denoiser(load_transformer(), spacing, time_scale),
        lambda module: fuse(module, latent),
        {"frames_per_second": video.frames_per_second, "time_scale": time_scale},
    )
    attention = cross_attention_of(
        request, transformer, lambda module: module.transformer.transformer_blocks, latent, PATCH, masks_padding=True
    )
    networks = networks_of(
        examples,
        text_encoder=Part(load_text_encoder),
        denoiser=denoiser_of(denoiser, attention),
        vae_decoder=Part(lambda: SeededVaeDecoder(load_vae()), lambda module: fuse_vae(fix_noise(module, latent))),
        vae_encoder=Part(lambda: VaeEncoder(load_vae()), fuse_vae),
    )
    regions = regions_of(request, transformer, PATCH)
    networks = with_regions(networks, regions, latent, lambda module, stage: fuse(module, latent, stage))
    return Model(
        family="ltx",
        video=video,
        latent=latent,
        text=texts,
        scheduler=Scheduler(guidance=given(request.guidance, GUIDANCE), steps=steps, **levels),
        tokenizer=source.component("tokenizer"),
        networks=networks,
        regions=regions,
        maps_object=request.object_map is not None,
    )


def _require_no_patches(source: Source, transformer: dict, vae: dict) -> None:
    for component, config, field in (
        ("transformer", transformer, "patch_size"),
        ("transformer", transformer, "patch_size_t"),
        ("vae", vae, "patch_size_t"),
    ):
        if config.get(field, 1) != 1:
            raise ExportError(
                str(source.folder / component),
                f"{field} is {config[field]}, with which the pipeline miscounts the tokens or frames",
                f"use a {component} whose {field} is 1, as in all versions of LTX-Video",
            )


def _compression_of(vae: dict) -> tuple[int, int]:
    """Frames and pixels along a step of the latent, as AutoencoderKLLTXVideo has them."""
    halved = 2 ** sum(vae.get("spatio_temporal_scaling", (True, True, True, False)))
    in_time, in_space = vae.get("temporal_compression_ratio"), vae.get("spatial_compression_ratio")
    return given(in_time, halved), given(in_space, vae.get("patch_size", 4) * halved)


def _latent_of(video: Video, transformer: dict, in_time: int, in_space: int) -> Latent:
    require_multiple("--frames", video.frames, in_time, 1)
    require_multiple("--height", video.height, math.lcm(in_space, PIXELS))
    require_multiple("--width", video.width, math.lcm(in_space, PIXELS))
    return latent_of(video, transformer.get("in_channels", 128), in_time, in_space)


def _levels_of(source: Source, config: dict, latent: Latent, steps: int) -> dict:
    """``shift`` or ``sigmas`` of a Scheduler: the noise levels that the pipeline runs over for this number of tokens."""
    path, fix = str(source.config_file("scheduler")), "give the shift with --shift"
    if config.get("_class_name") != "FlowMatchEulerDiscreteScheduler":
        raise ExportError(path, f"{config.get('_class_name')} is not supported", fix)
    for field in ("invert_sigmas", "stochastic_sampling"):
        if config.get(field):
            raise ExportError(path, f"{field} is not supported", fix)
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(config)
    config = scheduler.config
    tokens = latent.frames * latent.height * latent.width
    slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
    mu = config.base_shift + slope * (tokens - config.base_image_seq_len)
    bent = ("shift_terminal", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
    if not any(config[field] for field in bent):
        if not config.use_dynamic_shifting:
            return {"shift": float(config.shift)}
        return {"shift": math.exp(mu) if config.time_shift_type == "exponential" else mu}
    # A terminal makes no number of the only sigma of one step.
    with np.errstate(invalid="ignore"):
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), mu=mu)
    # The shortest decimals that are these numbers in 32 bits.
    sigmas = tuple(float(str(sigma)) for sigma in scheduler.sigmas.numpy())
    if not (sigmas[0] == 1 and all(after < before for before, after in zip(sigmas, sigmas[1:], strict=False))):
        raise ExportError(path, f"its {steps} sigmas do not fall from 1 to 0", f"give other --steps, or {fix}")
    return {"sigmas": sigmas}


class TextEncoder(nn.Module):
    """input_ids, attention_mask int64 [B,L] -> states [B,L,D], 0 beyond the prompt, where the transformer does not look.

    The pipeline masks nothing in the encoder: tokens of the prompt attend to the padding.
    """

    def __init__(self, encoder: T5EncoderModel):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states = self.encoder(input_ids=input_ids).last_hidden_state
        return states.float() * attention_mask.unsqueeze(-1)


class Denoiser(nn.Module):
    """latent [B,C,T,H,W], time [B] in 0..1, text_states [B,L,D], text_mask int64 [B,L] -> velocity [B,C,T,H,W].

    ``spacing``: seconds and pixels from one latent frame, row and column to the next.
    """

    def __init__(self, transformer: LTXVideoTransformer3DModel, spacing: tuple[float, float, float], time_scale: float):
        super().__init__()
        self.transformer = transformer
        self.spacing = spacing
        self.time_scale = time_scale

    def forward(
        self, latent: torch.Tensor, time: torch.Tensor, text_states: torch.Tensor, text_mask: torch.Tensor
    ) -> torch.Tensor:
        # An export has to know before the transformer divides one number of rows by another.
        for x in (time, text_states, text_mask):
            torch._check(x.shape[0] == latent.shape[0])
        dtype = self.transformer.proj_in.weight.dtype
        frames, rows, columns = latent.shape[2:]
        velocity = self.transformer(
            hidden_states=latent.to(dtype).flatten(2).transpose(1, 2),
            encoder_hidden_states=text_states.to(dtype),
            timestep=time * self.time_scale,
            encoder_attention_mask=text_mask,
            num_frames=frames,
            height=rows,
            width=columns,
            rope_interpolation_scale=self.spacing,
            return_dict=False,
        )[0]
        return velocity.float().transpose(1, 2).unflatten(2, (frames, rows, columns))


class FixedRotation(nn.Module):
    """Rotations of all tokens of a latent of fixed extents: cos and sin, [N,D/2] each, D all heads together."""

    def __init__(self, rope: nn.Module, latent: Latent, spacing: tuple[float, float, float], dtype: torch.dtype):
        super().__init__()
        tables = rope(torch.empty(1), latent.frames, latent.height, latent.width, spacing)
        # Both tables have each angle twice, once for either number of a pair.
        cos, sin = (table[0, :, 0::2].to(dtype).contiguous() for table in tables)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(self, *_latent) -> tuple[torch.Tensor, torch.Tensor]:
        return self.cos, self.sin


class FusedProcessor:
    """Attention of LTXAttention by the fused operators: of all tokens or, with a stage, of its live ones.

    With marks it notes what share of cross-attention the marked tokens get.
    """

    def __init__(self, stage: Stage | None = None, marks: Marks | None = None):
        self.stage = stage
        self.marks = marks

    def __call__(
        self,
        attn: LTXAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.norm_q(attn.to_q(hidden_states))
        key = attn.norm_k(attn.to_k(context))
        value = attn.to_v(context)
        if image_rotary_emb is not None:
            evaluation = None if self.stage is None else self.stage.evaluation
            live = None if evaluation is None else evaluation.live
            query = operators.rotate_each_head(query, *image_rotary_emb, live)
            key = operators.rotate_each_head(key, *image_rotary_emb, live)
            if evaluation is not None:
                key, value = evaluation.readable(key, value, attn.heads)
        # The transformer has made a bias [B,1,M] of its mask, 0 where a token counts.
        if attention_mask is None:
            attended = operators.attention(query, key, value, attn.heads)
        else:
            mask = (attention_mask[:, 0] == 0).int()
            attended = operators.masked_attention(query, key, value, mask, attn.heads)
            if self.marks is not None:
                self.marks.observe(query, key, attn.heads, mask)
        return attn.to_out[0](attended)


def fuse(denoiser: Denoiser | ObservedDenoiser, latent: Latent, stage: Stage | None = None) -> nn.Module:
    """The same denoiser as it is exported: ``fuse_denoiser``, and its object map."""
    return fuse_observed(
        denoiser, lambda module: fuse_denoiser(module, latent, stage), lambda marks: FusedProcessor(stage, marks), stage
    )


def fuse_denoiser(denoiser: Denoiser, latent: Latent, stage: Stage | None = None) -> Denoiser:
    """The same denoiser for latents of these extents, with fused operators: of all tokens or, with a stage, of its live ones."""
    transformer = denoiser.transformer
    dtype = transformer.proj_in.weight.dtype
    transformer.rope = FixedRotation(transformer.rope, latent, denoiser.spacing, dtype)
    if stage is not None:
        transformer.proj_in = LiveTokens(transformer.proj_in, stage)
        transformer.proj_out = LiveOutput(transformer.proj_out, stage)
    operators.fuse_transformer(transformer, LTXAttention, FusedProcessor(stage))
    return denoiser


class _Vae(nn.Module):
    """An AutoencoderKLLTXVideo; means and deviations of its latents are among its weights."""

    def __init__(self, vae: AutoencoderKLLTXVideo):
        super().__init__()
        self.vae = vae

    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What is subtracted from a latent of the VAE, and then divided by: [1,C,1,1,1] each."""
        mean, std = (x.float().view(1, -1, 1, 1, 1) for x in (self.vae.latents_mean, self.vae.latents_std))
        return mean, std / self.vae.config.scaling_factor


class VaeDecoder(_Vae):
    """latent [B,C,T,H,W] -> video [B,F,3,Hp,Wp] in 0..1.

    A decoder that is conditioned on a time (LTX-Video 0.9.1 and later) gets the pipeline's default for its
    ``decode_timestep``, 0, at which the pipeline adds no noise to the latent.
    """

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        mean, std = self.statistics()
        dtype = self.vae.dtype
        time = latent.new_zeros(latent.shape[0], dtype=dtype) if self.vae.config.timestep_conditioning else None
        pixels = self.vae.decode((latent * std + mean).to(dtype), time, return_dict=False)[0]
        return to_video(pixels)


class DrawnOnCpu(TorchFunctionMode):
    """Normal numbers are those of the CPU's generator on every device."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        device = kwargs.pop("device", None) if function is torch.randn else None
        drawn = function(*args, **kwargs)
        return drawn if device is None else drawn.to(device)


class SeededVaeDecoder(VaeDecoder):
    """The same with noise from a seed of its own where the decoder's layers draw any."""

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        with torch.random.fork_rng(devices=()), DrawnOnCpu():
            torch.manual_seed(NOISE_SEED)
            return super().forward(latent)


class VaeEncoder(_Vae):
    """video [B,F,3,Hp,Wp] in 0..1 -> latent [B,C,T,H,W], the mean of the posterior."""

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        mean, std = self.statistics()
        pixels = to_pixels(video, self.vae.dtype)
        return (self.vae.encode(pixels, return_dict=False)[0].mode().float() - mean) / std


class NoisyConvolution(nn.Module):
    """A convolution and the noise after it: [H,W], the same in every frame, times the scale of each channel [C,1,1]."""

    def __init__(self, convolution: nn.Module, scale: torch.Tensor, noise: torch.Tensor):
        super().__init__()
        self.convolution = convolution
        self.scale = nn.Parameter(scale[:, None], requires_grad=False)
        self.register_buffer("noise", noise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(x) + self.scale * self.noise


def fix_noise(seeded: SeededVaeDecoder, latent: Latent) -> VaeDecoder:
    """The same decoder for latents of these extents, with that noise among its weights."""
    decoder, dtype = seeded.vae.decoder, seeded.vae.dtype
    rows, columns = latent.height, latent.width
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(NOISE_SEED)
        # In the order in which the decoder draws it.
        for block in (decoder.mid_block, *decoder.up_blocks):
            for upsampler in getattr(block, "upsamplers", None) or ():
                rows, columns = rows * upsampler.stride[1], columns * upsampler.stride[2]
            for resnet in block.resnets:
                if resnet.per_channel_scale1 is None:
                    continue
                for number in (1, 2):
                    scale = getattr(resnet, f"per_channel_scale{number}")
                    noise = torch.randn(rows, columns, dtype=dtype)
                    convolution = getattr(resnet, f"conv{number}")
                    setattr(resnet, f"conv{number}", NoisyConvolution(convolution, scale, noise))
                    setattr(resnet, f"per_channel_scale{number}", None)
    return VaeDecoder(seeded.vae)


class PaddedConvolution(nn.Module):
    """LTXVideoCausalConv3d: the first frame, and the last where it looks ahead, stand for those beyond the ends."""

    def __init__(self, convolution: LTXVideoCausalConv3d):
        super().__init__()
        self.conv = convolution.conv
        around = convolution.kernel_size[0] - 1
        self.before, self.after = (around, 0) if convolution.is_causal else (around // 2, around // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.cat([x[:, :, :1]] * self.before + [x] + [x[:, :, -1:]] * self.after, dim=2))


def fuse_vae(vae: _Vae) -> _Vae:
    """The same half of a VAE of fewer and fused operators."""

    def fused(module: nn.Module) -> nn.Module | None:
        if isinstance(module, RMSNorm):
            return operators.RmsNorm(module)
        return PaddedConvolution(module) if isinstance(module, LTXVideoCausalConv3d) else None

    operators.replace_modules(vae, fused)
    return vae
