"""The four training steps in minigen: ordinary model code, nothing tuned for the benchmark.

`build(name, size, folder)` returns a function that does one training step and returns its loss (DCGAN: both losses).
It draws its own noise unless it is given some. The initial weights are left in `folder`, for the other engines.
"""

import numpy as np

import minigen as mg
from minigen import nn, ops, optim

from . import sizes


class VAE(nn.Module):
    """Encoder and decoder with one hidden layer each."""

    def __init__(self, pixels, hidden, latent, *, rng):
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden, rng=rng), nn.ReLU(),
                                     nn.Linear(hidden, 2 * latent, rng=rng))  # fmt: skip
        self.decoder = nn.Sequential(nn.Linear(latent, hidden, rng=rng), nn.ReLU(),
                                     nn.Linear(hidden, pixels, rng=rng))  # fmt: skip

    def forward(self, x, noise):
        """−ELBO, summed over the batch."""
        mean, log_var = ops.chunk(self.encoder(x), 2, dim=1)
        z = mean + ops.exp(0.5 * log_var) * noise
        kl = 0.5 * ops.sum(mean * mean + ops.exp(log_var) - 1.0 - log_var)
        return ops.bce_with_logits(self.decoder(z), x, reduction="sum") + kl


class Generator(nn.Module):
    """Noise (B, L) → pictures (B, 1, 28, 28)."""

    def __init__(self, latent, width, *, rng):
        self.start = nn.Linear(latent, 98 * width, bias=False, rng=rng)
        self.grow = nn.Sequential(
            nn.Unflatten(1, (2 * width, 7, 7)), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False, rng=rng),
            nn.BatchNorm2d(width), nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1, bias=False, rng=rng), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z):
        return self.grow(self.start(z))


class Discriminator(nn.Module):
    """Pictures (B, 1, 28, 28) → logits (B, 1)."""

    def __init__(self, width, *, rng):
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 4, stride=2, padding=1, bias=False, rng=rng), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False, rng=rng),
            nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2), nn.Flatten(),
            nn.Linear(98 * width, 1, bias=False, rng=rng),
        )  # fmt: skip

    def forward(self, x):
        return self.body(x)


class Stack(nn.Module):
    """The convolutions of a small diffusion model, without its skip connections and time."""

    def __init__(self, width, *, rng):
        channels = sizes.ddpm_channels(width)
        self.convs = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1, bias=False, rng=rng) for a, b in channels])
        self.norms = nn.ModuleList([nn.GroupNorm(8, b) for _, b in channels])
        self.out = nn.Conv2d(width, 1, 3, padding=1, rng=rng)

    def forward(self, x):
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if i == 2:
                x = ops.avg_pool2d(x, 2)
            if i == 5:
                x = ops.upsample_nearest(x, 2)
            x = ops.silu(norm(conv(x)))
        return self.out(x)


class Block(nn.Module):
    """Attention, then a perceptron, each on a normalised copy and added back."""

    def __init__(self, width, heads, *, rng):
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False, rng=rng)
        self.join = nn.Linear(width, width, bias=False, rng=rng)
        self.wide = nn.Linear(width, 4 * width, bias=False, rng=rng)
        self.narrow = nn.Linear(4 * width, width, bias=False, rng=rng)

    def forward(self, x):
        x = x + self.join(ops.self_attention(self.qkv(self.norm1(x)), self.heads, is_causal=True))
        return x + self.narrow(ops.gelu(self.wide(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    """Tokens (B, T) → logits (B, T, V)."""

    def __init__(self, length, width, heads, layers, vocab, *, rng):
        self.tokens = nn.Embedding(vocab, width, rng=rng)
        self.places = nn.Embedding(length, width, rng=rng)
        self.blocks = nn.ModuleList([Block(width, heads, rng=rng) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab, bias=False, rng=rng)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.places.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


# -- the steps --------------------------------------------------------------------------------------------------------


def build(name, size, folder):
    """One training step as a function of (perhaps) its noise; see the module's docstring."""
    make = {"vae_mlp": _vae, "dcgan": _dcgan, "ddpm_stack": _ddpm, "nanogpt": _gpt}[name]
    modules, step = make(size, np.random.default_rng(0), *sizes.data(name, size))
    for part, module in modules.items():
        np.savez(folder / f"{part}.npz", **{key: np.asarray(value) for key, value in module.state_dict().items()})
    return step


def _vae(size, rng, x):
    model = VAE(size["pixels"], size["hidden"], size["latent"], rng=rng)
    optimizer = optim.Adam(model.parameters(), 1e-3)
    x = mg.tensor(x)

    def step(noise=None):
        if noise is None:
            noise = rng.standard_normal((len(x), size["latent"]), dtype=np.float32)
        optimizer.zero_grad()
        loss = model(x, noise)
        loss.backward()
        optimizer.step()
        return [loss.item()]

    return {"model": model}, step


def _dcgan(size, rng, real):
    generator, discriminator = Generator(size["latent"], size["width"], rng=rng), Discriminator(size["width"], rng=rng)
    weights = list(discriminator.parameters())
    optimizer_g = optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
    optimizer_d = optim.Adam(weights, 2e-4, (0.5, 0.999))
    real = mg.tensor(real)
    ones, zeros = np.ones((len(real), 1), np.float32), np.zeros((len(real), 1), np.float32)

    def step(noise=None):
        if noise is None:
            noise = rng.standard_normal((len(real), size["latent"]), dtype=np.float32)
        fake = generator(mg.tensor(noise))
        optimizer_d.zero_grad()
        loss_d = ops.bce_with_logits(discriminator(real), ones, reduction="mean")
        loss_d = loss_d + ops.bce_with_logits(discriminator(fake.detach()), zeros, reduction="mean")
        loss_d.backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        for weight in weights:
            weight.requires_grad_(False)
        loss_g = ops.bce_with_logits(discriminator(fake), ones, reduction="mean")
        loss_g.backward()
        optimizer_g.step()
        for weight in weights:
            weight.requires_grad_(True)
        return [loss_d.item(), loss_g.item()]

    return {"generator": generator, "discriminator": discriminator}, step


def _ddpm(size, rng, x, target):
    model = Stack(size["width"], rng=rng)
    optimizer = optim.Adam(model.parameters(), 1e-3)
    x, target = mg.tensor(x), mg.tensor(target)

    def step():
        optimizer.zero_grad()
        loss = ops.mse(model(x), target, reduction="mean")
        loss.backward()
        optimizer.step()
        return [loss.item()]

    return {"model": model}, step


def _gpt(size, rng, tokens, targets):
    model = GPT(*(size[key] for key in ("length", "width", "heads", "layers", "vocab")), rng=rng)
    optimizer = optim.AdamW(model.parameters(), 1e-3, (0.9, 0.99), weight_decay=0.1)
    targets = targets.reshape(-1)

    def step():
        optimizer.zero_grad()
        logits = model(tokens)
        loss = ops.cross_entropy(ops.reshape(logits, (-1, size["vocab"])), targets, reduction="mean")
        loss.backward()
        optimizer.step()
        return [loss.item()]

    return {"model": model}, step
