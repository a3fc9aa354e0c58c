"""The networks. Latents are ``[B, C, T, H, W]`` = ``[B, 16, 8, 16, 16]``; clips are ``[B, 16, 3, 128, 128]`` in 0..1."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from . import captions
from .tokenization import MAX_TOKENS

CHANNELS, LATENT_FRAMES, LATENT_HEIGHT, LATENT_WIDTH = 16, 8, 16, 16
LATENT_SHAPE = (CHANNELS, LATENT_FRAMES, LATENT_HEIGHT, LATENT_WIDTH)
TEXT_WIDTH = 256
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


class TextEncoder(nn.Module):
    """Token states for the denoiser. ``projection`` is used only while pre-training against the video tower."""

    def __init__(self, width: int = TEXT_WIDTH, layers: int = 3):
        super().__init__()
        self.tokens = nn.Embedding(len(captions.vocabulary()), width)
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
        states = self(ids, mask)
        weights = mask.to(states.dtype).unsqueeze(-1)
        pooled = (states * weights).sum(1) / weights.sum(1)
        return F.normalize(self.projection(pooled).float(), dim=-1)


class TextTower(nn.Module):
    """The look-up embedder's text side, with the prompt splitter's per-token part labels."""

    def __init__(self, width: int = 192, layers: int = 2):
        super().__init__()
        self.encoder = TextEncoder(width, layers)
        self.labels = nn.Linear(width, len(captions.SPLIT_LABELS))

    def forward(self, ids, mask):
        states = self.encoder(ids, mask)
        weights = mask.to(states.dtype).unsqueeze(-1)
        pooled = (states * weights).sum(1) / weights.sum(1)
        return F.normalize(self.encoder.projection(pooled).float(), dim=-1), self.labels(states)


class LatentTrunk(nn.Module):
    """Latent -> feature vector: shared shape of the video tower and of the judge (never shared weights)."""

    def __init__(self, width: int, features: int = 512):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv3d(CHANNELS, 64, 3, padding=1), Residual3d(64),
            nn.Conv3d(64, width, (1, 4, 4), (1, 2, 2), (0, 1, 1)), Residual3d(width),
            nn.Conv3d(width, width, (4, 4, 4), 2, 1), Residual3d(width), nn.Conv3d(width, 32, 1),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32 * 4 * 4 * 4, features), nn.SiLU())

    def forward(self, latent):
        return self.head(self.convs(latent))

    def tokens(self, latent):
        """Features on the denoiser's token grid: ``[B, 512, width]``."""
        return self.convs[:4](latent).flatten(2).transpose(1, 2)


class VideoTower(nn.Module):
    """Latent (whole, object-only or background-only) -> unit vector in the text tower's space."""

    def __init__(self):
        super().__init__()
        self.trunk = LatentTrunk(80)
        self.projection = nn.Linear(512, EMBEDDING)

    def forward(self, latent):
        return F.normalize(self.projection(self.trunk(latent)).float(), dim=-1)


class Judge(nn.Module):
    """Evaluation only: attribute logits, concatenated in the order of ``captions.FIELDS``, and features."""

    def __init__(self):
        super().__init__()
        self.trunk = LatentTrunk(96)
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

    def forward(self, x, context, modulation, bias):
        batch, length, width = x.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation[None] + modulation).unbind(1)
        h = self.norm1(x) * (1 + scale1[:, None]) + shift1[:, None]
        q, k, v = self.qkv(h).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        h = F.scaled_dot_product_attention(self.query_norm(q), self.key_norm(k), v)
        x = x + gate1[:, None] * self.self_out(h.transpose(1, 2).reshape(batch, length, width))
        q = self.query(self.norm2(x)).view(batch, length, self.heads, -1).transpose(1, 2)
        k, v = self.key_value(context).view(batch, -1, 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = x + self.cross_out(h.transpose(1, 2).reshape(batch, length, width))
        h = self.norm3(x) * (1 + scale2[:, None]) + shift2[:, None]
        return x + gate2[:, None] * self.down(F.gelu(self.up(h), approximate="tanh"))


class Denoiser(nn.Module):
    """Diffusion transformer with adaLN-single (PixArt-alpha) predicting the rectified-flow velocity eps - x0."""

    def __init__(self, width: int = 256, depth: int = 8, heads: int = 4):
        super().__init__()
        self.width = width
        self.tokens = LATENT_FRAMES * (LATENT_HEIGHT // 2) * (LATENT_WIDTH // 2)
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

    def forward(self, latent, time, text_states, text_mask, hidden_block: int | None = None):
        """``hidden_block`` also returns the tokens ``[B,512,width]`` after that block (training only)."""
        h, w = LATENT_HEIGHT // 2, LATENT_WIDTH // 2
        x = latent.view(-1, CHANNELS, LATENT_FRAMES, h, 2, w, 2).permute(0, 2, 3, 5, 1, 4, 6)
        x = self.patch_in(x.reshape(-1, self.tokens, CHANNELS * 4)) + self.positions
        frequencies = torch.exp(-math.log(1e4) * torch.arange(128, device=time.device) / 128)
        angles = time[:, None] * 1000 * frequencies
        embedding = self.time(torch.cat([angles.cos(), angles.sin()], -1))
        modulation = self.time_modulation(embedding).view(-1, 6, self.width)
        context = self.context(text_states)
        bias = attention_bias(text_mask, torch.float32)
        hidden = None
        for index, block in enumerate(self.blocks):
            x = block(x, context, modulation, bias)
            if index == hidden_block:
                hidden = x
        shift, scale = self.final_modulation(F.silu(embedding)).chunk(2, -1)
        x = self.patch_out(self.norm(x) * (1 + scale[:, None]) + shift[:, None])
        x = x.view(-1, LATENT_FRAMES, h, w, CHANNELS, 2, 2).permute(0, 4, 1, 2, 5, 3, 6)
        x = x.reshape(-1, CHANNELS, LATENT_FRAMES, LATENT_HEIGHT, LATENT_WIDTH)
        return x if hidden_block is None else (x, hidden)


def text_mask(ids: torch.Tensor) -> torch.Tensor:
    """1 where a token stands; the empty caption keeps its first position so that attention has something to read."""
    mask = (ids != 0).long()
    mask[:, 0] = 1
    return mask


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
