"""The same training steps for JAX and for HIPS autograd: a loss as a function of arrays, which they differentiate.

Both speak NumPy, so one text serves both: `xp` is `jax.numpy` or `autograd.numpy`. JAX compiles the whole step, update
of the weights included (`jit`); HIPS autograd interprets the loss, and the update is NumPy on one flat array. HIPS
autograd has no fast convolution, so it runs vae_mlp and nanogpt only.
"""

import math

import numpy as np

from . import sizes

JAX = ("vae_mlp", "nanogpt", "ddpm_stack", "dcgan")
HIPS = ("vae_mlp", "nanogpt")


# -- losses: weights by their names in the modules --------------------------------------------------------------------


def _linear(xp, w, name, x):
    y = xp.matmul(x, w[f"{name}.weight"].T)
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def _bce(xp, logits, target):
    return xp.maximum(logits, 0) - logits * target + xp.log1p(xp.exp(-xp.abs(logits)))


def vae_loss(xp, w, size, x, noise):
    """−ELBO, summed over the batch."""
    hidden = xp.maximum(_linear(xp, w, "encoder.0", x), 0)
    code = _linear(xp, w, "encoder.2", hidden)
    mean, log_var = code[:, : size["latent"]], code[:, size["latent"] :]
    z = mean + xp.exp(0.5 * log_var) * noise
    logits = _linear(xp, w, "decoder.2", xp.maximum(_linear(xp, w, "decoder.0", z), 0))
    kl = 0.5 * xp.sum(mean * mean + xp.exp(log_var) - 1.0 - log_var)
    return xp.sum(_bce(xp, logits, x)) + kl


def _layer_norm(xp, w, name, x):
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    scale = 1.0 / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + np.float32(1e-5))
    return centred * scale * w[f"{name}.weight"] + w[f"{name}.bias"]


def _gelu(xp, x):
    return 0.5 * x * (1.0 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def gpt_loss(xp, w, size, tokens, targets):
    """Mean cross-entropy per character."""
    b, t, d, heads = *tokens.shape, size["width"], size["heads"]
    mask = np.where(np.tri(t, dtype=bool), np.float32(0), np.float32(-1e30))
    x = w["tokens.weight"][tokens] + w["places.weight"]
    for i in range(size["layers"]):
        name = f"blocks.{i}"
        qkv = _linear(xp, w, f"{name}.qkv", _layer_norm(xp, w, f"{name}.norm1", x))
        q, k, v = (xp.transpose(xp.reshape(qkv[:, :, j * d : (j + 1) * d], (b, t, heads, d // heads)), (0, 2, 1, 3))
                   for j in range(3))  # fmt: skip
        scores = xp.matmul(q, xp.transpose(k, (0, 1, 3, 2))) * np.float32(math.sqrt(heads / d)) + mask
        e = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
        y = xp.matmul(e / xp.sum(e, axis=-1, keepdims=True), v)
        x = x + _linear(xp, w, f"{name}.join", xp.reshape(xp.transpose(y, (0, 2, 1, 3)), (b, t, d)))
        wide = _linear(xp, w, f"{name}.wide", _layer_norm(xp, w, f"{name}.norm2", x))
        x = x + _linear(xp, w, f"{name}.narrow", _gelu(xp, wide))
    logits = xp.reshape(_linear(xp, w, "head", _layer_norm(xp, w, "norm", x)), (b * t, -1))
    top = xp.max(logits, axis=1, keepdims=True)
    lse = xp.log(xp.sum(xp.exp(logits - top), axis=1)) + top[:, 0]
    return xp.mean(lse - logits[np.arange(b * t), targets.reshape(-1)])


def _conv(lax, x, weight, stride, padding):
    return lax.conv_general_dilated(x, weight, (stride, stride), [(padding, padding)] * 2)


def _grow(lax, x, weight):
    """Transposed convolution, 4×4, stride 2, padding 1; PyTorch's weights (in, out, kh, kw)."""
    flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    return lax.conv_general_dilated(x, flipped, (1, 1), [(2, 2)] * 2, lhs_dilation=(2, 2))


def ddpm_loss(xp, w, size, x, target):
    """Mean squared error (JAX only)."""
    import jax

    for i in range(6):
        b, c, h, _ = x.shape
        if i == 2:
            x = xp.mean(xp.reshape(x, (b, c, h // 2, 2, h // 2, 2)), axis=(3, 5))
        if i == 5:
            x = xp.repeat(xp.repeat(x, 2, axis=2), 2, axis=3)
        y = _conv(jax.lax, x, w[f"convs.{i}.weight"], 1, 1)
        groups = xp.reshape(y, (b, 8, -1))
        centred = groups - xp.mean(groups, axis=2, keepdims=True)
        normal = centred / xp.sqrt(xp.mean(centred * centred, axis=2, keepdims=True) + 1e-5)
        y = xp.reshape(normal, y.shape) * w[f"norms.{i}.weight"][:, None, None] + w[f"norms.{i}.bias"][:, None, None]
        x = jax.nn.silu(y)
    y = _conv(jax.lax, x, w["out.weight"], 1, 1) + w["out.bias"][:, None, None]
    return xp.mean((y - target) ** 2)


def _batch_norm(xp, w, name, x):
    centred = x - xp.mean(x, axis=(0, 2, 3), keepdims=True)
    normal = centred / xp.sqrt(xp.mean(centred * centred, axis=(0, 2, 3), keepdims=True) + 1e-5)
    return normal * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


def generate(xp, w, z):
    """DCGAN's generator (JAX only)."""
    import jax

    x = xp.matmul(z, w["start.weight"].T).reshape(len(z), -1, 7, 7)
    x = _grow(jax.lax, xp.maximum(_batch_norm(xp, w, "grow.1", x), 0), w["grow.3.weight"])
    return xp.tanh(_grow(jax.lax, xp.maximum(_batch_norm(xp, w, "grow.4", x), 0), w["grow.6.weight"]))


def judge(xp, w, x):
    """DCGAN's discriminator (JAX only)."""
    import jax

    x = jax.nn.leaky_relu(_conv(jax.lax, x, w["body.0.weight"], 2, 1), 0.2)
    x = jax.nn.leaky_relu(_batch_norm(xp, w, "body.3", _conv(jax.lax, x, w["body.2.weight"], 2, 1)), 0.2)
    return xp.matmul(x.reshape(len(x), -1), w["body.6.weight"].T)


LOSSES = {"vae_mlp": vae_loss, "nanogpt": gpt_loss, "ddpm_stack": ddpm_loss}
LEARNED = (".weight", ".bias")


def _weights(folder, part="model"):
    """{name: array} of what is learnt; running averages are not read in training."""
    with np.load(folder / f"{part}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files if key.endswith(LEARNED)}


def _hyper(name):
    """(lr, β₁, β₂, weight decay)"""
    return {"nanogpt": (1e-3, 0.9, 0.99, 0.1), "dcgan": (2e-4, 0.5, 0.999, 0.0)}.get(name, (1e-3, 0.9, 0.999, 0.0))


def _adam(xp, hyper, p, g, m, v, t):
    """AdamW on one array: new p, m, v."""
    lr, beta1, beta2, decay = hyper
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    moved = m / (1 - beta1**t) / (xp.sqrt(v / (1 - beta2**t)) + 1e-8)
    return p * (1 - lr * decay) - lr * moved, m, v


# -- JAX --------------------------------------------------------------------------------------------------------------


def build_jax(name, size, folder):
    """One compiled training step as a function of (perhaps) its noise."""
    import jax
    import jax.numpy as xp

    hyper, data = _hyper(name), [xp.asarray(array) for array in sizes.data(name, size)]

    def start(part):
        w = jax.tree.map(xp.asarray, _weights(folder, part))
        zeros = jax.tree.map(xp.zeros_like, w)
        return [w, zeros, jax.tree.map(xp.zeros_like, w)]

    def update(state, gradient, t):
        new = {key: _adam(xp, hyper, state[0][key], gradient[key], state[1][key], state[2][key], t) for key in gradient}
        return [{key: new[key][i] for key in new} for i in range(3)]

    def plain(state, t, data, noise):
        loss, gradient = jax.value_and_grad(lambda w: LOSSES[name](xp, w, size, *data, *noise))(state["model"][0])
        return {"model": update(state["model"], gradient, t)}, [loss]

    def adversarial(state, t, data, noise):
        (real,), (z,) = data, noise
        g, d = state["generator"], state["discriminator"]
        fake, pull = jax.vjp(lambda w: generate(xp, w, z), g[0])

        def loss_of_d(w):
            return xp.mean(_bce(xp, judge(xp, w, real), 1.0)) + xp.mean(_bce(xp, judge(xp, w, fake), 0.0))

        loss_d, gradient = jax.value_and_grad(loss_of_d)(d[0])
        d = update(d, gradient, t)
        loss_g, toward = jax.value_and_grad(lambda x: xp.mean(_bce(xp, judge(xp, d[0], x), 1.0)))(fake)
        return {"generator": update(g, pull(toward)[0], t), "discriminator": d}, [loss_d, loss_g]

    run = jax.jit(adversarial if name == "dcgan" else plain, donate_argnums=0)
    parts = ("generator", "discriminator") if name == "dcgan" else ("model",)
    state, t, rng = {part: start(part) for part in parts}, 0, np.random.default_rng(0)
    shapes = [array.shape for array in sizes.noise(name, size, 0)]

    def step(*noise):
        nonlocal state, t
        t += 1
        noise = noise or [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
        state, losses = run(state, float(t), data, list(noise))
        return [float(loss) for loss in losses]

    return step


# -- HIPS autograd ----------------------------------------------------------------------------------------------------


def build_hips(name, size, folder):
    """One training step: autograd's gradient of the loss, then Adam in NumPy."""
    import autograd.numpy as xp
    from autograd import value_and_grad

    data, hyper, w = sizes.data(name, size), _hyper(name), _weights(folder)
    state = {key: [p, np.zeros_like(p), np.zeros_like(p)] for key, p in w.items()}
    loss_of = value_and_grad(lambda w, *noise: LOSSES[name](xp, w, size, *data, *noise))
    shapes, t, rng = [array.shape for array in sizes.noise(name, size, 0)], 0, np.random.default_rng(0)

    def step(*noise):
        nonlocal t
        t += 1
        noise = noise or [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
        loss, gradient = loss_of({key: values[0] for key, values in state.items()}, *noise)
        for key, (p, m, v) in state.items():
            state[key] = [np.asarray(x, np.float32) for x in _adam(np, hyper, p, gradient[key], m, v, t)]
        return [float(loss)]

    return step
