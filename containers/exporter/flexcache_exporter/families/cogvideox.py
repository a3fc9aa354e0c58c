"""CogVideoX 1.0 text-to-video: CogVideoXTransformer3DModel, T5 and AutoencoderKLCogVideoX.

The transformer predicts v of a variance-preserving diffusion at whole timesteps. Its x_vp = a clean + s noise, with
a^2 + s^2 = 1, has the signal-to-noise ratio of the rectified flow's x = (1 - t) clean + t noise where
a = (1 - t) / n and s = t / n with n = sqrt((1 - t)^2 + t^2): then x_vp = x / n. With v = a noise - s clean,
noise - clean = (a + s) v + (s - a) x_vp. One Euler step of the flow is one step of DDIM without added noise.
"""

import torch
import torch.nn as nn
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXSafeConv3d
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from transformers import T5EncoderModel

from .. import operators
from ..errors import ExportError
from ..examples import Examples
from ..model import Latent, Model, Request, Scheduler, Text, Video, given, latent_of, require_multiple, video_of
from ..networks import Part, networks_of, to_pixels, to_video
from ..regions import LiveOutput, Stage, positions_of, regions_of, with_regions
from ..source import Source

#: What the pipeline is called with where the request says nothing, and its transformer's configuration neither.
FRAMES_PER_SECOND, STEPS, GUIDANCE = 8, 50, 6.0
#: Both have the same noise levels.
SCHEDULERS = ("CogVideoXDDIMScheduler", "CogVideoXDPMScheduler")
#: Video frames to a latent frame.
IN_TIME = 4


def open_model(source: Source, request: Request) -> Model:
    """A saved CogVideoXPipeline; raises ExportError for parts that are missing, and for sizes and kinds it cannot have."""
    transformer, vae, text = (source.config(name) for name in ("transformer", "vae", "text_encoder"))
    _require_text_to_video_1_0(source, transformer, vae)
    if request.tile is not None:
        raise ExportError(
            "--tile",
            "tiles are not supported: the VAE normalises over whole frames, and a tile would come out otherwise",
            "leave the option out",
        )
    in_space = 2 ** (len(vae["block_out_channels"]) - 1)
    video = video_of(
        request,
        transformer["sample_frames"],
        transformer["sample_height"] * in_space,
        transformer["sample_width"] * in_space,
        FRAMES_PER_SECOND,
    )
    latent = _latent_of(video, in_space, transformer)
    texts = Text(max_tokens=_max_tokens_of(transformer, request), hidden=text["d_model"])
    levels = noise_levels(source)
    weights = {"torch_dtype": request.dtype, "local_files_only": True}

    def load_denoiser() -> nn.Module:
        path = source.component("transformer")
        return Denoiser(CogVideoXTransformer3DModel.from_pretrained(path, **weights), latent, levels)

    def load_vae() -> AutoencoderKLCogVideoX:
        return AutoencoderKLCogVideoX.from_pretrained(source.component("vae"), **weights)

    def load_text_encoder() -> nn.Module:
        path = source.component("text_encoder")
        return TextEncoder(T5EncoderModel.from_pretrained(path, dtype=request.dtype, local_files_only=True))

    examples = Examples(video, latent, texts, vocabulary=text["vocab_size"])
    steps = given(request.steps, STEPS)
    networks = networks_of(
        examples,
        text_encoder=Part(load_text_encoder),
        denoiser=Part(load_denoiser, lambda module: fuse_denoiser(module, texts), {"levels": tuple(levels.tolist())}),
        vae_decoder=Part(lambda: VaeDecoder(load_vae()), whole_convolutions),
        vae_encoder=Part(lambda: VaeEncoder(load_vae()), whole_convolutions),
    )
    regions = regions_of(request, transformer, (1, transformer["patch_size"], transformer["patch_size"]))
    networks = with_regions(networks, regions, latent, lambda module, stage: fuse_denoiser(module, texts, stage))
    return Model(
        family="cogvideox",
        video=video,
        latent=latent,
        text=texts,
        scheduler=Scheduler(
            shift=request.shift,
            sigmas=_sigmas_of(source, levels, steps) if request.shift is None else None,
            guidance=given(request.guidance, GUIDANCE),
            steps=steps,
        ),
        tokenizer=source.component("tokenizer"),
        networks=networks,
        regions=regions,
    )


def _require_text_to_video_1_0(source: Source, transformer: dict, vae: dict) -> None:
    def refuse(component: str, message: str) -> None:
        path = str(source.folder / component / "config.json")
        raise ExportError(path, message, "use a text-to-video pipeline of CogVideoX 1.0 (2B or 5B)")

    if transformer.get("patch_size_t") is not None:
        refuse(
            "transformer",
            "patch_size_t (CogVideoX 1.5) is not supported: its latents begin with frames that the VAE does not know",
        )
    if transformer.get("ofs_embed_dim") is not None or transformer.get("use_learned_positional_embeddings"):
        refuse("transformer", "ofs_embed_dim and learned positions (image to video) are not supported")
    if transformer["in_channels"] != vae["latent_channels"] or transformer["out_channels"] != vae["latent_channels"]:
        refuse("transformer", "channels that are not the latent's (image to video) are not supported")
    if {transformer["temporal_compression_ratio"], vae["temporal_compression_ratio"]} != {IN_TIME}:
        refuse("vae", f"a temporal_compression_ratio other than {IN_TIME} is not supported")


def _latent_of(video: Video, in_space: int, transformer: dict) -> Latent:
    # The VAE decodes frames in pairs, the first one together with the first pair: an even number would give another
    # length of the video, 4 frames for the first one too.
    require_multiple("--frames", video.frames, 2 * IN_TIME, 1)
    require_multiple("--height", video.height, in_space * transformer["patch_size"])
    require_multiple("--width", video.width, in_space * transformer["patch_size"])
    return latent_of(video, transformer["in_channels"], IN_TIME, in_space)


def _max_tokens_of(transformer: dict, request: Request) -> int:
    trained = transformer["max_text_seq_length"]
    if request.max_tokens not in (None, trained):
        raise ExportError(
            "--max-tokens",
            f"{request.max_tokens} is not supported: the transformer was trained with {trained} tokens, and attends to all",
            "leave the option out",
        )
    return trained


def noise_levels(source: Source) -> torch.Tensor:
    """The rectified flow's time of each timestep of the saved scheduler, float32, rising from its first to 1.

    Raises ExportError for a scheduler whose generations are none of the flow's from 1 to 0.
    """
    config = source.config("scheduler")

    def refuse(message: str, fix: str) -> None:
        raise ExportError(str(source.config_file("scheduler")), message, fix)

    if config.get("_class_name") not in SCHEDULERS:
        refuse(f"{config.get('_class_name')} is not supported", f"save the pipeline with a {' or '.join(SCHEDULERS)}")
    scheduler = CogVideoXDDIMScheduler.from_config(config)
    if scheduler.config.prediction_type != "v_prediction":
        refuse(
            f"prediction_type {scheduler.config.prediction_type} is not supported",
            "use a pipeline whose transformer predicts v (v_prediction)",
        )
    signal = scheduler.alphas_cumprod.double()
    if signal[-1] != 0:
        refuse(
            "rescale_betas_zero_snr false is not supported: generations start from pure noise, and the last timestep is none",
            "use a pipeline that was trained with rescale_betas_zero_snr",
        )
    if not scheduler.config.set_alpha_to_one:
        refuse(
            "set_alpha_to_one false is not supported: generations end without noise, and the first timestep has some",
            "save the scheduler with set_alpha_to_one",
        )
    noise = (1 - signal).sqrt()
    levels = (noise / (noise + signal.sqrt())).float()
    if not (levels.diff() > 0).all():
        refuse("its noise does not rise with each timestep", "use the scheduler that the transformer was trained with")
    return levels


def _sigmas_of(source: Source, levels: torch.Tensor, steps: int) -> tuple[float, ...]:
    """Levels of the timesteps that the pipeline takes, and 0."""
    scheduler = CogVideoXDDIMScheduler.from_config(source.config("scheduler"))
    if scheduler.config.timestep_spacing != "trailing":
        raise ExportError(
            str(source.config_file("scheduler")),
            f"timestep_spacing {scheduler.config.timestep_spacing} is not supported: its steps are none from pure noise to none",
            'set it to "trailing", or give a --shift',
        )
    divisors = [count for count in range(1, len(levels) + 1) if len(levels) % count == 0]
    if steps not in divisors:
        near = [max(count for count in divisors if count < steps), *[count for count in divisors if count > steps][:1]]
        raise ExportError(
            "--steps",
            f"{steps} does not divide the {len(levels)} timesteps: the pipeline steps to other levels than it goes on from",
            f"use {' or '.join(map(str, near))}, or give a --shift",
        )
    scheduler.set_timesteps(steps)
    return (*levels[scheduler.timesteps].tolist(), 0.0)


class TextEncoder(nn.Module):
    """input_ids, attention_mask int64 [B,L] -> states [B,L,D]; padding is text like any other, as in the pipeline."""

    def __init__(self, encoder: T5EncoderModel):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.encoder(input_ids=input_ids).last_hidden_state.float()


class Timestep(nn.Module):
    """time [B] of the rectified flow -> timestep [B] of the same signal-to-noise ratio, whole at the table's levels.

    Straight lines between them; below the first level it is 0.
    """

    def __init__(self, levels: torch.Tensor):
        super().__init__()
        self.register_buffer("lower", levels[:-1])
        self.register_buffer("distance", levels.diff())

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        # One of each line that ends below the time: exact, and no search, for which ONNX has no operator.
        return ((time.unsqueeze(1) - self.lower) / self.distance).clamp(0, 1).sum(dim=1)


class Denoiser(nn.Module):
    """latent [B,C,T,H,W], time [B] in 0..1, text_states [B,L,D], text_mask int64 [B,L] -> velocity [B,C,T,H,W].

    The transformer attends to every token, and no mask tells it which are padding: text_mask changes nothing.
    """

    def __init__(self, transformer: CogVideoXTransformer3DModel, latent: Latent, levels: torch.Tensor):
        super().__init__()
        self.transformer = transformer
        self.latent = latent
        self.timestep = Timestep(levels)
        #: Where live tokens are found; None where all tokens are.
        self.stage: Stage | None = None
        rotation = rotation_of(transformer.config, latent)
        for name, table in zip(("cos", "sin"), rotation or (None, None), strict=True):
            self.register_buffer(name, table)

    @property
    def rotation(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """What the transformer is given as ``image_rotary_emb``."""
        return None if self.cos is None else (self.cos, self.sin)

    def forward(
        self, latent: torch.Tensor, time: torch.Tensor, text_states: torch.Tensor, text_mask: torch.Tensor
    ) -> torch.Tensor:
        dtype = self.transformer.dtype
        level = time.view(-1, 1, 1, 1, 1)
        squared = (1 - level) ** 2 + level**2
        scaled = latent / squared.sqrt()
        v = self.transformer(
            scaled.transpose(1, 2).to(dtype),
            text_states.to(dtype),
            self.timestep(time),
            image_rotary_emb=self.rotation,
            return_dict=False,
        )[0]
        velocity = v.float().transpose(1, 2) / squared.sqrt() + latent * ((2 * level - 1) / squared)
        if self.stage is None:
            return velocity
        size = self.transformer.config.patch_size
        return velocity * positions_of(self.stage.evaluation.is_live(), self.latent, (1, size, size)).unsqueeze(1)


def rotation_of(config, latent: Latent) -> tuple[torch.Tensor, torch.Tensor] | None:
    """cos and sin [N,d] of a latent's tokens, as the pipeline makes them; None for a transformer without rotations."""
    if not config.use_rotary_positional_embeddings:
        return None
    patch = config.patch_size
    grid = (latent.height // patch, latent.width // patch)
    crop = get_resize_crop_region_for_grid(grid, config.sample_width // patch, config.sample_height // patch)
    return get_3d_rotary_pos_embed(
        embed_dim=config.attention_head_dim, crops_coords=crop, grid_size=grid, temporal_size=latent.frames
    )


class FusedProcessor:
    """Attention of CogVideoXAttnProcessor2_0 by the fused operators; rotations are of all tokens, those of text too.

    With a stage it is that of the text and the live tokens.
    """

    def __init__(self, stage: Stage | None = None):
        self.stage = stage

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = encoder_hidden_states.shape[1]
        states = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query = self._normalised(attn.norm_q, attn.to_q(states), attn.heads)
        key = self._normalised(attn.norm_k, attn.to_k(states), attn.heads)
        value = attn.to_v(states)
        if image_rotary_emb is not None:
            query, key = self._rotated((query, key), *image_rotary_emb, attn.heads, tokens)
        if self.stage is not None:
            others = self.stage.evaluation.readable(key[:, tokens:], value[:, tokens:], attn.heads)
            key, value = (torch.cat([x[:, :tokens], y], dim=1) for x, y in zip((key, value), others, strict=True))
        attended = attn.to_out[0](operators.attention(query, key, value, attn.heads))
        return attended[:, tokens:], attended[:, :tokens]

    def _rotated(
        self, both: tuple[torch.Tensor, ...], cos: torch.Tensor, sin: torch.Tensor, heads: int, tokens: int
    ) -> tuple[torch.Tensor, ...]:
        if self.stage is None:
            return tuple(operators.rotate(x, cos, sin, heads) for x in both)
        live = self.stage.evaluation.live
        text = torch.arange(tokens, device=live.device).expand(live.shape[0], -1)
        places = torch.cat([text, live + tokens], dim=1)
        return tuple(operators.rotate_at(x, places, cos, sin, heads) for x in both)

    @staticmethod
    def _normalised(norm: nn.Module, x: torch.Tensor, heads: int) -> torch.Tensor:
        return norm(x.unflatten(2, (heads, -1))).flatten(2)


class LivePatchEmbed(nn.Module):
    """The transformer's first layer, [B,L+N,D] of text and tokens, which gives of the tokens the live ones alone: [B,L+n,D]."""

    def __init__(self, patches: nn.Module, stage: Stage):
        super().__init__()
        self.patches = patches
        self.stage = stage

    def forward(self, text_states: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        embedded, tokens = self.patches(text_states, latent), text_states.shape[1]
        return torch.cat([embedded[:, :tokens], self.stage.evaluation.of_live(embedded[:, tokens:])], dim=1)


def fuse_denoiser(denoiser: Denoiser, text: Text, stage: Stage | None = None) -> Denoiser:
    """The same denoiser with fused operators and its positions as constants: of all tokens or, with a stage, of its live ones."""
    transformer, latent = denoiser.transformer, denoiser.latent
    if denoiser.rotation is None:
        _fix_positions(transformer.patch_embed, latent)
    else:
        # The operator rotates every token: text by no angle. Both tables have each angle twice, once for either number of a pair.
        cos, sin = (table[:, 0::2] for table in denoiser.rotation)
        cos = torch.cat([cos.new_ones(text.max_tokens, cos.shape[1]), cos])
        sin = torch.cat([sin.new_zeros(text.max_tokens, sin.shape[1]), sin])
        denoiser.cos, denoiser.sin = cos.to(transformer.dtype), sin.to(transformer.dtype)
    if stage is not None:
        denoiser.stage = stage
        transformer.patch_embed = LivePatchEmbed(transformer.patch_embed, stage)
        transformer.proj_out = LiveOutput(transformer.proj_out, stage)
    operators.fuse_transformer(transformer, Attention, FusedProcessor(stage))
    return denoiser


def _fix_positions(patches: nn.Module, latent: Latent) -> None:
    """Makes those of the latent's extents the ones that need no computation."""
    patches.sample_height, patches.sample_width = latent.height, latent.width
    patches.sample_frames = (latent.frames - 1) * patches.temporal_compression_ratio + 1
    patches.pos_embedding = patches._get_positional_embeddings(
        patches.sample_height, patches.sample_width, patches.sample_frames
    )


class VaeDecoder(nn.Module):
    """latent [B,C,T,H,W] -> video [B,F,3,8H,8W] in 0..1."""

    def __init__(self, vae: AutoencoderKLCogVideoX):
        super().__init__()
        self.vae = vae

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        latent = latent / self.vae.config.scaling_factor
        pixels = self.vae.decode(latent.to(self.vae.dtype), return_dict=False)[0]
        return to_video(pixels)


class VaeEncoder(nn.Module):
    """video [B,F,3,8H,8W] in 0..1 -> latent [B,C,T,H,W], the mean of the posterior."""

    def __init__(self, vae: AutoencoderKLCogVideoX):
        super().__init__()
        self.vae = vae

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        pixels = to_pixels(video, self.vae.dtype)
        mean = self.vae.encode(pixels, return_dict=False)[0].mode()
        return mean.float() * self.vae.config.scaling_factor


class WholeConv3d(nn.Module):
    """A CogVideoXSafeConv3d that does not divide large inputs: how it does depends on the number of rows."""

    def __init__(self, conv: CogVideoXSafeConv3d):
        super().__init__()
        self.conv = conv

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.Conv3d.forward(self.conv, x)


def whole_convolutions(module: nn.Module) -> nn.Module:
    """The same module of a VAE for any number of rows.

    Its loop over pairs of latent frames stays, and becomes part of the graph: normalisation is within each pair.
    """
    operators.replace_modules(
        module, lambda child: WholeConv3d(child) if isinstance(child, CogVideoXSafeConv3d) else None
    )
    return module
