"""The same four training steps in PyTorch, module for module, so that the weights carry over by name.

variant   what is done for speed
eager     nothing: what one writes first
tuned     the fused optimiser, and images channels-last in memory
compiled  the same, and torch.compile for the networks
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import sizes


class VAE(nn.Module):
    """Encoder and decoder with one hidden layer each."""

    def __init__(self, pixels, hidden, latent):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def forward(self, x, noise):
        mean, log_var = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_var) * noise
        kl = 0.5 * torch.sum(mean * mean + log_var.exp() - 1.0 - log_var)
        return F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") + kl


class Generator(nn.Module):
    """Noise (B, L) → pictures (B, 1, 28, 28)."""

    images = torch.contiguous_format  # memory order of what the convolutions get

    def __init__(self, latent, width):
        super().__init__()
        self.start = nn.Linear(latent, 98 * width, bias=False)
        self.grow = nn.Sequential(
            nn.Unflatten(1, (2 * width, 7, 7)), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width), nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1, bias=False), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z):
        small = self.grow[0](self.start(z)).contiguous(memory_format=self.images)
        return self.grow[1:](small)


class Discriminator(nn.Module):
    """Pictures (B, 1, 28, 28) → logits (B, 1)."""

    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 4, stride=2, padding=1, bias=False), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2), nn.Flatten(),
            nn.Linear(98 * width, 1, bias=False),
        )  # fmt: skip

    def forward(self, x):
        return self.body(x)


class Stack(nn.Module):
    """The convolutions of a small diffusion model, without its skip connections and time."""

    def __init__(self, width):
        super().__init__()
        channels = sizes.ddpm_channels(width)
        self.convs = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in channels])
        self.norms = nn.ModuleList([nn.GroupNorm(8, b) for _, b in channels])
        self.out = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x):
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if i == 2:
                x = F.avg_pool2d(x, 2)
            if i == 5:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = F.silu(norm(conv(x)))
        return self.out(x)


class Block(nn.Module):
    """Attention, then a perceptron, each on a normalised copy and added back."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.join = nn.Linear(width, width, bias=False)
        self.wide = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (
            part.view(b, t, self.heads, d // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.join(y.transpose(1, 2).reshape(b, t, d))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    """Tokens (B, T) → logits (B, T, V)."""

    def __init__(self, length, width, heads, layers, vocab):
        super().__init__()
        self.tokens = nn.Embedding(vocab, width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab, bias=False)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.places.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


# -- the steps --------------------------------------------------------------------------------------------------------


def build(name, size, folder, variant="eager"):
    """One training step as a function of (perhaps) its noise, from the weights in `folder`."""
    make = {"vae_mlp": _vae, "dcgan": _dcgan, "ddpm_stack": _ddpm, "nanogpt": _gpt}[name]
    return make(size, Help(folder, variant), *map(torch.from_numpy, sizes.data(name, size)))


class Help:
    """What a variant does to modules, images and optimisers."""

    def __init__(self, folder, variant):
        self.folder, self.variant = folder, variant
        self.images = torch.contiguous_format if variant == "eager" else torch.channels_last
        self.fused = None if variant == "eager" else True

    def module(self, module, part="model"):
        """The module with its weights, in the right memory format."""
        with np.load(self.folder / f"{part}.npz", allow_pickle=False) as file:
            module.load_state_dict({key: torch.from_numpy(np.asarray(file[key])) for key in file.files})
        module.images = self.images
        return module.to(memory_format=self.images)

    def fast(self, module):
        """The module as the step calls it."""
        return torch.compile(module) if self.variant == "compiled" else module

    def image(self, x):
        """A batch of images in the right memory format."""
        return x.contiguous(memory_format=self.images)


def _vae(size, help, x):
    model = help.module(VAE(size["pixels"], size["hidden"], size["latent"]))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=help.fused)
    loss_of = help.fast(model)

    def step(noise=None):
        noise = torch.randn(len(x), size["latent"]) if noise is None else torch.from_numpy(noise)
        optimizer.zero_grad()
        loss = loss_of(x, noise)
        loss.backward()
        optimizer.step()
        return [loss.item()]

    return step


def _dcgan(size, help, real):
    generator = help.module(Generator(size["latent"], size["width"]), "generator")
    discriminator = help.module(Discriminator(size["width"]), "discriminator")
    optimizer_g = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999), fused=help.fused)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999), fused=help.fused)
    generate, judge, real = help.fast(generator), help.fast(discriminator), help.image(real)
    ones, zeros, bce = torch.ones(len(real), 1), torch.zeros(len(real), 1), F.binary_cross_entropy_with_logits

    def step(noise=None):
        noise = torch.randn(len(real), size["latent"]) if noise is None else torch.from_numpy(noise)
        fake = generate(noise)
        optimizer_d.zero_grad()
        loss_d = bce(judge(real), ones) + bce(judge(fake.detach()), zeros)
        loss_d.backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        discriminator.requires_grad_(False)
        loss_g = bce(judge(fake), ones)
        loss_g.backward()
        optimizer_g.step()
        discriminator.requires_grad_(True)
        return [loss_d.item(), loss_g.item()]

    return step


def _ddpm(size, help, x, target):
    model = help.module(Stack(size["width"]))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=help.fused)
    network, x, target = help.fast(model), help.image(x), help.image(target)

    def step():
        optimizer.zero_grad()
        loss = F.mse_loss(network(x), target)
        loss.backward()
        optimizer.step()
        return [loss.item()]

    return step


def _gpt(size, help, tokens, targets):
    model = help.module(GPT(*(size[key] for key in ("length", "width", "heads", "layers", "vocab"))))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, (0.9, 0.99), weight_decay=0.1, fused=help.fused)
    network, targets = help.fast(model), targets.reshape(-1)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(network(tokens).view(-1, size["vocab"]), targets)
        loss.backward()
        optimizer.step()
        return [loss.item()]

    return step
