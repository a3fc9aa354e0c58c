"""The networks. Latents are ``[B, C, T, H, W]``, clips ``[B, F, 3, 128, 128]`` in 0..1.

The VAE and the denoiser here work on clips of 16 frames and latents ``[B, 16, 8, 16, 16]`` alone; the networks of look-up take others too.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from . import captions
from .tokenization import MAX_TOKENS

CHANNELS, LATENT_FRAMES, LATENT_HEIGHT, LATENT_WIDTH = 16, 8, 16, 16
LATENT_SHAPE = (CHANNELS, LATENT_FRAMES, LATENT_HEIGHT, LATENT_WIDTH)
#: Tokens of the denoiser: patches of 1x2x2 latent positions.
PATCH = (1, 2, 2)
TOKENS = LATENT_FRAMES * (LATENT_HEIGHT // 2) * (LATENT_WIDTH // 2)
DENOISER_WIDTH, DENOISER_DEPTH, DENOISER_HEADS = 256, 8, 4
TEXT_WIDTH = 256
VOCABULARY = len(captions.vocabulary())
EMBEDDING = 128


class Residual2d(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


class Residual3d(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


class VaeEncoder(nn.Module):
    """Clip -> mean and log-variance of the (not yet normalised) latent."""

    def __init__(self):
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), Residual2d(32), nn.Conv2d(32, 64, 4, 2, 1), Residual2d(64),
            nn.Conv2d(64, 96, 4, 2, 1), Residual2d(96), nn.Conv2d(96, 96, 4, 2, 1),
        )
        self.clip = nn.Sequential(
            Residual3d(96), nn.Conv3d(96, 96, (4, 3, 3), (2, 1, 1), (1, 1, 1)), Residual3d(96),
            nn.GroupNorm(8, 96), nn.SiLU(), nn.Conv3d(96, 2 * CHANNELS, 1),
        )

    def forward(self, video):
        batch, frames = video.shape[:2]
        h = self.frames((video * 2 - 1).flatten(0, 1))
        h = h.view(batch, frames, *h.shape[1:]).transpose(1, 2)
        mean, log_variance = self.clip(h).chunk(2, 1)
        return mean, log_variance.clamp(-12, 4)


class VaeDecoder(nn.Module):
    """(Not normalised) latent -> clip."""

    def __init__(self):
        super().__init__()

        def up(a: int, b: int) -> list[nn.Module]:
            return [nn.Upsample(scale_factor=2), nn.Conv2d(a, b, 3, padding=1)]

        self.clip = nn.Sequential(
            nn.Conv3d(CHANNELS, 128, 3, padding=1), Residual3d(128),
            nn.ConvTranspose3d(128, 128, (4, 3, 3), (2, 1, 1), (1, 1, 1)), Residual2dFrames(128),
        )
        self.frames = nn.Sequential(
            *up(128, 128), Residual2d(128), *up(128, 64), Residual2d(64), *up(64, 32), Residual2d(32),
            nn.GroupNorm(8, 32), nn.SiLU(), nn.Conv2d(32, 3, 3, padding=1),
        )

    def forward(self, latent):
        h = self.clip(latent).transpose(1, 2)
        batch, frames = h.shape[:2]
        video = self.frames(h.flatten(0, 1))
        return torch.sigmoid(video).view(batch, frames, *video.shape[1:])


class Residual2dFrames(nn.Module):
    """Mixes over time with a light 3-D convolution, then refines each frame."""

    def __init__(self, channels: int):
        super().__init__()
        self.time = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
        self.norm = nn.GroupNorm(8, channels)
        self.space = nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, x):
        return x + self.space(F.silu(self.norm(self.time(x))))


def attention_bias(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """``[B,L]`` 1 = real token -> additive bias ``[B,1,1,L]``."""
    return (1.0 - mask.to(dtype))[:, None, None, :] * -1e4


class EncoderBlock(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x, bias):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = x + self.out(h.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norm2(x))


def pooled(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean ``[B,D]`` of the states ``[B,L,D]`` of real tokens."""
    weights = mask.to(states.dtype).unsqueeze(-1)
    return (states * weights).sum(1) / weights.sum(1)


class TextEncoder(nn.Module):
    """Token states for the denoiser. ``projection`` is used only while pre-training against the video tower."""

    def __init__(self, width: int = TEXT_WIDTH, layers: int = 3, vocabulary: int = VOCABULARY):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(MAX_TOKENS, width) * 0.02)
        self.blocks = nn.ModuleList(EncoderBlock(width, 4) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, EMBEDDING)

    def forward(self, ids, mask):
        bias = attention_bias(mask, torch.float32)
        h = self.tokens.weight[ids] + self.positions
        for block in self.blocks:
            h = block(h, bias)
        return self.norm(h)

    def embed(self, ids, mask):
        return F.normalize(self.projection(pooled(self(ids, mask), mask)).float(), dim=-1)


class TextTower(nn.Module):
    """The look-up embedder's text side, with the prompt splitter's per-token part labels."""

    def __init__(self, width: int = 192, layers: int = 2, vocabulary: int = VOCABULARY):
        super().__init__()
        self.encoder = TextEncoder(width, layers, vocabulary)
        self.labels = nn.Linear(width, len(captions.SPLIT_LABELS))

    def forward(self, ids, mask):
        states = self.encoder(ids, mask)
        return F.normalize(self.encoder.projection(pooled(states, mask)).float(), dim=-1), self.labels(states)


class LatentTrunk(nn.Module):
    """Latent -> feature vector: shared shape of the video tower and of the judge (never shared weights)."""

    def __init__(self, width: int, features: int = 512, frames: int = LATENT_FRAMES):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv3d(CHANNELS, 64, 3, padding=1), Residual3d(64),
            nn.Conv3d(64, width, (1, 4, 4), (1, 2, 2), (0, 1, 1)), Residual3d(width),
            nn.Conv3d(width, width, (4, 4, 4), 2, 1), Residual3d(width), nn.Conv3d(width, 32, 1),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32 * (frames // 2) * 4 * 4, features), nn.SiLU())

    def forward(self, latent):
        return self.head(self.convs(latent))

    def tokens(self, latent):
        """Features on the denoiser's token grid: ``[B, tokens, width]``."""
        return self.convs[:4](latent).flatten(2).transpose(1, 2)


class VideoTower(nn.Module):
    """Latent (whole, object-only or background-only) -> unit vector in the text tower's space."""

    def __init__(self, frames: int = LATENT_FRAMES):
        super().__init__()
        self.trunk = LatentTrunk(80, frames=frames)
        self.projection = nn.Linear(512, EMBEDDING)

    def forward(self, latent):
        return F.normalize(self.projection(self.trunk(latent)).float(), dim=-1)


class Judge(nn.Module):
    """Evaluation only: attribute logits, concatenated in the order of ``captions.FIELDS``, and features."""

    def __init__(self, frames: int = LATENT_FRAMES):
        super().__init__()
        self.trunk = LatentTrunk(96, frames=frames)
        self.heads = nn.Linear(512, sum(captions.CLASS_COUNTS))

    def forward(self, latent):
        features = self.trunk(latent)
        return self.heads(features), features


class Segmenter(nn.Module):
    """Latent -> object logit per latent position, ``[B, T, H, W]``."""

    def __init__(self, width: int = 48):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv3d(CHANNELS, width, 3, padding=1), Residual3d(width), Residual3d(width), Residual3d(width),
            nn.SiLU(), nn.Conv3d(width, 1, 1),
        )

    def forward(self, latent):
        return self.net(latent).squeeze(1)


class DenoiserBlock(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv, self.self_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.query, self.key_value, self.cross_out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.query_norm, self.key_norm = nn.LayerNorm(width // heads), nn.LayerNorm(width // heads)
        nn.init.zeros_(self.cross_out.weight)
        nn.init.zeros_(self.cross_out.bias)

    def forward(self, x, context, modulation, bias, others=None, readable=None, fixed=None):
        """Also returns this block's keys and values of ``x``, each ``[B,heads,n,d]``.

        ``modulation`` is ``[B,1,6,width]``, or ``[B,n,6,width]`` for tokens at different times; ``others`` are keys and values
        of further tokens; ``readable [B,1,n or 1,n]`` is true where a token may read another (all without it); ``fixed`` is a mask
        ``[B,n]`` and the keys and values that stand in for those of the tokens outside it.
        """
        batch, length, width = x.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation + modulation).unbind(2)
        h = self.norm1(x) * (1 + scale1) + shift1
        q, k, v = self.qkv(h).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        keys, values = self.key_norm(k), v
        all_keys, all_values = keys, values
        if others is not None:
            all_keys, all_values = torch.cat([keys, others[0]], 2), torch.cat([values, others[1]], 2)
        if fixed is not None:
            own = fixed[0][:, None, :, None]
            all_keys, all_values = torch.where(own, keys, fixed[1]), torch.where(own, values, fixed[2])
        h = F.scaled_dot_product_attention(self.query_norm(q), all_keys, all_values, attn_mask=readable)
        x = x + gate1 * self.self_out(h.transpose(1, 2).reshape(batch, length, width))
        q = self.query(self.norm2(x)).view(batch, length, self.heads, -1).transpose(1, 2)
        k, v = self.key_value(context).view(batch, -1, 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = x + self.cross_out(h.transpose(1, 2).reshape(batch, length, width))
        h = self.norm3(x) * (1 + scale2) + shift2
        return x + gate2 * self.down(F.gelu(self.up(h), approximate="tanh")), (keys, values)


class Denoiser(nn.Module):
    """Diffusion transformer with adaLN-single (PixArt-alpha) predicting the rectified-flow velocity eps - x0."""

    def __init__(self, width: int = DENOISER_WIDTH, depth: int = DENOISER_DEPTH, heads: int = DENOISER_HEADS):
        super().__init__()
        self.width = width
        self.tokens = TOKENS
        self.patch_in = nn.Linear(CHANNELS * 4, width)
        self.positions = nn.Parameter(torch.randn(1, self.tokens, width) * 0.02)
        self.context = nn.Linear(TEXT_WIDTH, width)
        self.time = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.time_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(DenoiserBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.final_modulation = nn.Linear(width, 2 * width)
        self.patch_out = nn.Linear(width, CHANNELS * 4)
        nn.init.zeros_(self.patch_out.weight)
        nn.init.zeros_(self.patch_out.bias)

    def time_embedding(self, time):
        frequencies = torch.exp(-math.log(1e4) * torch.arange(128, device=time.device) / 128)
        angles = time[:, None] * 1000 * frequencies
        return self.time(torch.cat([angles.cos(), angles.sin()], -1))

    def patches(self, latent):
        """``[B,16,8,16,16]`` -> tokens ``[B,512,64]`` of 1x2x2 positions, row by row, frame after frame."""
        x = latent.view(-1, CHANNELS, LATENT_FRAMES, LATENT_HEIGHT // 2, 2, LATENT_WIDTH // 2, 2)
        return x.permute(0, 2, 3, 5, 1, 4, 6).reshape(-1, self.tokens, CHANNELS * 4)

    def unpatch(self, x):
        """The inverse of ``patches``."""
        x = x.view(-1, LATENT_FRAMES, LATENT_HEIGHT // 2, LATENT_WIDTH // 2, CHANNELS, 2, 2).permute(0, 4, 1, 2, 5, 3, 6)
        return x.reshape(-1, *LATENT_SHAPE)

    def forward(self, latent, time, text_states, text_mask, hidden_block: int | None = None):
        """Velocity ``[B,16,8,16,16]``; ``hidden_block`` also returns the tokens ``[B,512,width]`` after that block (training only)."""
        x, hidden, _, _ = self.tokenwise(self.patches(latent), self.positions, time, text_states, text_mask, hidden_block=hidden_block)
        velocity = self.unpatch(x)
        return velocity if hidden_block is None else (velocity, hidden)

    def region(self, latent, time, text_states, text_mask, live, context_keys, context_values):
        """Evaluates the tokens ``live [B,n]`` only, which read each other and the other tokens' keys and values.

        ``context_keys[i]`` and ``context_values[i]`` are ``[B,heads,m,d]``, one pair a block, in any order of tokens;
        m = 0 leaves the live tokens among themselves. Returns the velocity, zero outside ``live``, and per block the live
        tokens' own keys and values ``[B,heads,n,d]`` in the order of ``live``.
        """
        x, _, keys, values = self.tokenwise(
            self.patches(latent).gather(1, live[:, :, None].expand(-1, -1, CHANNELS * 4)), self.positions[0][live], time, text_states,
            text_mask, list(zip(context_keys, context_values)),
        )
        everywhere = torch.zeros(x.shape[0], self.tokens, x.shape[2], dtype=x.dtype, device=x.device)
        return self.unpatch(everywhere.scatter(1, live[:, :, None].expand(-1, -1, x.shape[2]), x)), keys, values

    def tokenwise(self, patches, positions, time, text_states, text_mask, others=None, hidden_block: int | None = None):
        x = self.patch_in(patches) + positions
        embedding = self.time_embedding(time)
        modulation = self.time_modulation(embedding).view(-1, 1, 6, self.width)
        context = self.context(text_states)
        bias = attention_bias(text_mask, torch.float32)
        hidden, keys, values = None, [], []
        for index, block in enumerate(self.blocks):
            x, (block_keys, block_values) = block(x, context, modulation, bias, None if others is None else others[index])
            keys.append(block_keys)
            values.append(block_values)
            if index == hidden_block:
                hidden = x
        shift, scale = self.final_modulation(F.silu(embedding)).chunk(2, -1)
        return self.patch_out(self.norm(x) * (1 + scale[:, None]) + shift[:, None]), hidden, keys, values

    def two_clocks(self, latent, time, text_states, text_mask, live, unconditional):
        """Velocity where live tokens stand at ``time`` and all others, the context, are clean (training; all tokens are computed).

        The context reads itself and the unconditional prompt only, so that its keys and values depend on neither the prompt nor
        the time: ``region`` gives the same velocities from one pass over it. ``live [B,512]`` is true in the region, ``latent``
        noisy there and clean elsewhere, ``unconditional [1,L,width of text]`` has the empty prompt's one state first.
        """
        batch = len(latent)
        x = self.patch_in(self.patches(latent)) + self.positions
        embedding = self.time_embedding(time)
        clean = self.time_modulation(self.time_embedding(torch.zeros_like(time[:1]))).view(1, 1, 6, self.width)
        modulation = torch.where(live[:, :, None, None], self.time_modulation(embedding).view(-1, 1, 6, self.width), clean)
        context = self.context(torch.cat([text_states, unconditional[:, :1].expand(batch, -1, -1)], 1))
        words = torch.cat([text_mask > 0, torch.zeros_like(text_mask[:, :1], dtype=torch.bool)], 1)
        nothing = torch.arange(words.shape[1], device=words.device) == words.shape[1] - 1
        bias = torch.where(torch.where(live[:, :, None], words[:, None], nothing), 0.0, -1e4).unsqueeze(1)
        readable = (live[:, :, None] | ~live[:, None, :]).unsqueeze(1)
        for block in self.blocks:
            x, _ = block(x, context, modulation, bias, None, readable)
        shift, scale = self.final_modulation(F.silu(embedding)).chunk(2, -1)
        return self.unpatch(self.patch_out(self.norm(x) * (1 + scale[:, None]) + shift[:, None]))

    def masked_region(self, latent, time, text_states, text_mask, live, kept=None):
        """``region`` with a mask ``live [B,512]`` a sample: all tokens are computed, so it measures quality, not speed.

        ``kept`` are per block the keys and values ``[B or 1,heads,512,d]`` that live tokens read of the others; without it they read
        themselves only. Returns the velocity (meaningless outside ``live``) and the keys and values.
        """
        x = self.patch_in(self.patches(latent)) + self.positions
        embedding = self.time_embedding(time)
        modulation = self.time_modulation(embedding).view(-1, 1, 6, self.width)
        context = self.context(text_states)
        bias = attention_bias(text_mask, torch.float32)
        result = []
        for index, block in enumerate(self.blocks):
            fixed = None if kept is None else (live, *kept[index])
            x, keys_values = block(x, context, modulation, bias, None, None if kept else live[:, None, None, :], fixed)
            result.append(keys_values)
        shift, scale = self.final_modulation(F.silu(embedding)).chunk(2, -1)
        return self.unpatch(self.patch_out(self.norm(x) * (1 + scale[:, None]) + shift[:, None])), result


def text_mask(ids: torch.Tensor) -> torch.Tensor:
    """1 where a token stands; the empty caption keeps its first position so that attention has something to read."""
    mask = (ids != 0).long()
    mask[:, 0] = 1
    return mask


def grid_mask(live: torch.Tensor, latent: tuple[int, int, int, int]) -> torch.Tensor:
    """Live tokens ``[B,n]`` -> 1 at their positions of a latent ``[C,T,H,W]``, 0 elsewhere: ``[B,1,T,H,W]``."""
    extents = [extent // patch for extent, patch in zip(latent[1:], PATCH)]
    grid = live.float().view(-1, 1, *extents)
    for axis, patch in enumerate(PATCH):
        grid = grid.repeat_interleave(patch, axis + 2)
    return grid


def latent_mask(mask: torch.Tensor, latent: tuple[int, int, int, int]) -> torch.Tensor:
    """Object mask of a clip ``[B,F,1,H,W]`` -> ``[B,1,T,H,W]`` of its latent ``[C,T,H,W]``: where any pixel of a position shows it.

    Where the latent frames do not divide the frames, the first of either stands by itself, as in a causal VAE.
    """
    pixels, (frames, *extents) = mask.transpose(1, 2).float(), latent[1:]
    if pixels.shape[2] % frames == 0:
        return F.adaptive_max_pool3d(pixels, (frames, *extents)) > 0.5
    first, rest = F.adaptive_max_pool3d(pixels[:, :, :1], (1, *extents)), F.adaptive_max_pool3d(pixels[:, :, 1:], (frames - 1, *extents))
    return torch.cat([first, rest], 2) > 0.5


def dilate(mask: torch.Tensor) -> torch.Tensor:
    """3x3 spatial maximum per latent frame; ``[B,1,T,H,W]``."""
    return F.max_pool3d(mask, (1, 3, 3), 1, (0, 1, 1))


def fill_holes(latent: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Background of a latent: masked positions take the mean over the frames where they are visible, then neighbours.

    ``latent [B,C,T,H,W]``, dilated ``mask [B,1,T,H,W]``.
    """
    keep = 1 - mask
    visible = keep.sum(2, keepdim=True)
    temporal_mean = (latent * keep).sum(2, keepdim=True) / visible.clamp(min=1)
    seen = (visible > 0).float()
    filled = latent * keep + mask * seen * temporal_mean
    known = keep + mask * seen
    for _ in range(LATENT_WIDTH):
        total = F.avg_pool3d(filled * known, (1, 3, 3), 1, (0, 1, 1)) * 9
        count = F.avg_pool3d(known, (1, 3, 3), 1, (0, 1, 1)) * 9
        fresh = (known == 0) & (count > 0)
        filled = torch.where(fresh.expand_as(filled), total / count.clamp(min=1e-6), filled)
        known = torch.maximum(known, fresh.float())
    return filled
