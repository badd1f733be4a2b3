"""The U-Net of minigen/nn/unet.py in PyTorch, module for module, so that the weights carry over by name.

variant        what is done for speed, besides the fused Adam
eager          nothing
channels_last  images and filters have their channels as neighbours in memory
compiled       the same, and torch.compile
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

OFFSET, LOWEST = 0.008, -10.0  # of the cosine schedule, minigen.models.schedules.Cosine


def group_norm(channels):
    """Eight groups, or as many as divide the channels."""
    return nn.GroupNorm(math.gcd(channels, 8), channels)


class TimeEmbedding(nn.Module):
    """Sines and cosines of the time, two layers, plus a vector per class."""

    def __init__(self, waves, width, classes):
        super().__init__()
        half = waves // 2
        self.register_buffer("rates", torch.exp(-math.log(10_000.0) * torch.arange(half) / half), persistent=False)
        self.layers = nn.Sequential(nn.Linear(waves, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width)

    def forward(self, t, labels):
        angles = t[:, None] * self.rates
        return self.layers(torch.cat([angles.cos(), angles.sin()], dim=1)) + self.label(labels)


class ResidualBlock(nn.Module):
    """Norm, SiLU, conv, told the time by scale and shift; norm, SiLU, conv; and the way past it."""

    def __init__(self, enters, leaves, told):
        super().__init__()
        self.norm1, self.conv1 = group_norm(enters), nn.Conv2d(enters, leaves, 3, padding=1)
        self.time = nn.Linear(told, 2 * leaves)
        self.norm2, self.conv2 = group_norm(leaves), nn.Conv2d(leaves, leaves, 3, padding=1)
        self.skip = nn.Conv2d(enters, leaves, 1) if enters != leaves else nn.Identity()

    def forward(self, x, told):
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.time(told)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        return self.skip(x) + self.conv2(h)


class SpatialAttention(nn.Module):
    """Attention between all places of a map."""

    def __init__(self, channels, width=32):
        super().__init__()
        self.heads = channels // width if channels % width == 0 else 1
        self.norm = group_norm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x):
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x).flatten(2).transpose(1, 2))
        q, k, v = qkv.view(b, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, c)
        return x + self.out(seen).transpose(1, 2).reshape(b, c, h, w)


class UNet(nn.Module):
    """One block per size on the way down, two on the way up."""

    def __init__(self, inputs, outputs, width, multiples, attention, classes):
        super().__init__()
        told, sizes = 4 * width, len(multiples)
        self.embedding = TimeEmbedding(width, told, classes)
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.down, self.down_attention, self.shrink = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.up, self.up_attention, self.grow = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels, kept = width, [width]
        for size, multiple in enumerate(multiples):
            self.down.append(ResidualBlock(channels, multiple * width, told))
            channels = multiple * width
            kept.append(channels)
            self.down_attention.append(SpatialAttention(channels) if size in attention else nn.Identity())
            if size < sizes - 1:
                self.shrink.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
                kept.append(channels)
        self.middle = nn.ModuleList([ResidualBlock(channels, channels, told) for _ in range(2)])
        self.middle_attention = SpatialAttention(channels)
        for size, multiple in reversed(list(enumerate(multiples))):
            for _ in range(2):
                self.up.append(ResidualBlock(channels + kept.pop(), multiple * width, told))
                channels = multiple * width
            self.up_attention.append(SpatialAttention(channels) if size in attention else nn.Identity())
            if size:
                self.grow.append(nn.Conv2d(channels, channels, 3, padding=1))
        self.norm, self.last = group_norm(channels), nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, x, t, labels):
        told = F.silu(self.embedding(t, labels))
        x = self.first(x)
        kept = [x]
        for size, (block, attend) in enumerate(zip(self.down, self.down_attention, strict=True)):
            x = attend(block(x, told))
            kept.append(x)
            if size < len(self.shrink):
                x = self.shrink[size](x)
                kept.append(x)
        x = self.middle[1](self.middle_attention(self.middle[0](x, told)), told)
        for size, attend in enumerate(self.up_attention):
            for block in self.up[2 * size : 2 * size + 2]:
                x = block(torch.cat([x, kept.pop()], dim=1), told)
            x = attend(x)
            if size < len(self.grow):
                x = self.grow[size](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.last(F.silu(self.norm(x)))


class Torch:
    """Model, optimiser and average, with the weights in the folder; the same methods as bench_unet.Minigen."""

    def __init__(self, variant, case, folder, x, labels, *, rate, decay):
        torch.manual_seed(1)
        network = UNet(1, 1, *(case[name] for name in ("width", "multiples", "attention", "classes")))
        with np.load(folder / "weights.npz") as file:
            network.load_state_dict({name: torch.from_numpy(file[name]) for name in file.files})
        images = torch.contiguous_format if variant == "eager" else torch.channels_last
        self.network = network.to(memory_format=images)
        self.call = torch.compile(self.network) if variant == "compiled" else self.network
        self.parameters = list(network.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=rate, fused=True)
        self.average, self.decay = [p.detach().clone() for p in self.parameters], decay
        self.x, self.labels = torch.from_numpy(x).contiguous(memory_format=images), torch.from_numpy(labels)
        self.first = 0.5 * math.pi * OFFSET / (1 + OFFSET)
        kept = 1 / (1 + math.exp(-LOWEST))  # α² at time 1
        self.width = math.acos(math.sqrt(kept) * math.cos(self.first)) - self.first

    def alpha_sigma(self, t):
        """α and σ at times (B,), in float32, (B, 1, 1, 1)."""
        alpha = torch.cos(self.first + self.width * t) / math.cos(self.first)
        sigma = (1 - alpha * alpha).sqrt()
        return (value.float().view(-1, 1, 1, 1) for value in (alpha, sigma))

    def step(self, t=None, noise=None):
        """One training step; its loss."""
        t = torch.rand(len(self.x), dtype=torch.float64) if t is None else torch.from_numpy(t)
        noise = torch.randn_like(self.x) if noise is None else torch.from_numpy(noise)
        alpha, sigma = self.alpha_sigma(t)
        said = self.call(alpha * self.x + sigma * noise, (1000 * t).float(), self.labels)
        loss = F.mse_loss(said, alpha * noise - sigma * self.x)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1 - self.decay)
        return loss.item()

    @torch.inference_mode()
    def predict(self, t=None):
        """ε̂ at the data, (B, C, H, W)."""
        t = torch.full((len(self.x),), 0.5, dtype=torch.float64) if t is None else torch.from_numpy(t)
        alpha, sigma = self.alpha_sigma(t)
        said = self.call(self.x, (1000 * t).float(), self.labels)
        return (sigma * self.x + alpha * said).numpy()

    def gradients(self):
        """{name: array} after a step."""
        return {name: p.grad.numpy() for name, p in self.network.named_parameters()}
