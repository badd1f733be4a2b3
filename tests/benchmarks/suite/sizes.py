"""The four training steps: their sizes, their data, and how much arithmetic each must do.

    vae_mlp      MLP variational autoencoder 784-400-20-400-784, batch 128, Adam
    dcgan        28×28 pictures, 64/128 channels, batch 64: one step of the discriminator and one of the generator
    ddpm_stack   six 3×3 convolutions 32/64/128 wide with GroupNorm and SiLU, 28×28, batch 64, Adam
    nanogpt      4 layers, 4 heads, 128 wide, 64 characters, batch 12, 65 characters in the alphabet, AdamW

Every engine gets the same arrays from here, and the same noise when losses are compared.
"""

import numpy as np

SIZES = {
    "vae_mlp": {"batch": 128, "pixels": 784, "hidden": 400, "latent": 20},
    "dcgan": {"batch": 64, "width": 64, "latent": 100},
    "ddpm_stack": {"batch": 64, "size": 28, "width": 32},
    "nanogpt": {"batch": 12, "length": 64, "width": 128, "heads": 4, "layers": 4, "vocab": 65},
}
TITLES = {
    "vae_mlp": "MLP VAE 784-400-20-400-784, batch 128",
    "dcgan": "DCGAN 28×28, 64/128 channels, batch 64, D + G step",
    "ddpm_stack": "DDPM stack: six 3×3 convolutions, GroupNorm, SiLU, 28×28, batch 64",
    "nanogpt": "nanoGPT: 4 layers, 4 heads, 128 wide, 64 characters, batch 12",
}


def with_defaults(name, size):
    """The complete size of a workload, where `size` names only what differs."""
    return SIZES[name] | (size or {})


def ddpm_channels(width):
    """(in, out) of the six convolutions; the third to the fifth work at half the resolution."""
    return [(1, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 4 * width), (4 * width, 2 * width),
            (2 * width, width)]  # fmt: skip


def data(name, size):
    """The arrays that a step trains on, as a tuple."""
    rng = np.random.default_rng(5)
    b = size["batch"]
    if name == "vae_mlp":
        return (rng.random((b, size["pixels"]), dtype=np.float32),)
    if name == "dcgan":
        return (np.tanh(rng.standard_normal((b, 1, 28, 28), dtype=np.float32)),)
    if name == "ddpm_stack":
        shape = (b, 1, size["size"], size["size"])
        return rng.standard_normal(shape, dtype=np.float32), rng.standard_normal(shape, dtype=np.float32)
    shape = (b, size["length"])
    return rng.integers(0, size["vocab"], shape), rng.integers(0, size["vocab"], shape)


def noise(name, size, step):
    """The noise of one step, as a tuple of arrays: for comparing losses. When timing, engines draw their own."""
    rng = np.random.default_rng((7, step))
    if name in ("vae_mlp", "dcgan"):
        return (rng.standard_normal((size["batch"], size["latent"]), dtype=np.float32),)
    return ()


# -- arithmetic -------------------------------------------------------------------------------------------------------


def flops(name, size):
    """Floating-point operations in the matrix products and convolutions of one step, a · b + c counted as two.

    A layer multiplies once forward and twice backward (for its weights and for its input); the first layer's input
    needs no gradient. The rest (normalisation, activations, optimiser) is not counted: it is bound by memory.
    """
    return {"vae_mlp": _vae, "dcgan": _dcgan, "ddpm_stack": _ddpm, "nanogpt": _gpt}[name](**size)


def _vae(batch, pixels, hidden, latent):
    layers = [pixels * hidden, hidden * 2 * latent, latent * hidden, hidden * pixels]
    return 2 * batch * (3 * sum(layers) - layers[0])


def _dcgan(batch, width, latent):
    small, image = 49 * 16 * 2 * width * width, 196 * 16 * width  # the two (transposed) convolutions of either network
    generator = [latent * 98 * width, small, image]
    judge = [image, small, 98 * width]
    forward = sum(generator) + 3 * sum(judge)
    train_judge = 2 * (2 * sum(judge) - judge[0])
    train_generator = sum(judge) + 2 * sum(generator) - generator[0]
    return 2 * batch * (forward + train_judge + train_generator)


def _ddpm(batch, size, width):
    pixels = [size**2] * 2 + [(size // 2) ** 2] * 3 + [size**2]
    layers = [p * 9 * a * b for p, (a, b) in zip(pixels, ddpm_channels(width), strict=True)]
    return 2 * batch * (3 * (sum(layers) + size**2 * 9 * width) - layers[0])


def _gpt(batch, length, width, heads, layers, vocab):
    per_token = layers * (12 * width**2 + length * width) + vocab * width  # a causal position sees length/2 others
    return 3 * 2 * batch * length * per_token
