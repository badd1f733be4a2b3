"""Every layer equals PyTorch's with the same weights: outputs, input gradients, parameter gradients, buffers.

Where torch is not installed the values it gave once are used; this file, run as a script, writes them.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

import minigen as mg
from minigen import nn

GOLDEN = Path(__file__).parent.parent / "golden" / "layers.npz"

# name → (constructor arguments, keyword arguments, input shape); the class has the same name in both packages.
LAYERS = {
    "Linear": ((5, 3), {}, (4, 5)),
    "Linear:no_bias_3d": ((5, 3), {"bias": False}, (2, 4, 5)),
    "Conv1d": ((4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, (2, 4, 9)),
    "Conv2d": ((3, 4, 3), {"padding": 1}, (2, 3, 5, 6)),
    "Conv2d:all": (
        (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}, (2, 4, 7, 6)
    ),
    "ConvTranspose2d": ((3, 4, 4), {"stride": 2, "padding": 1}, (2, 3, 4, 5)),
    "ConvTranspose2d:all": (
        (4, 6, 3), {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2, "dilation": 2}, (2, 4, 3, 3)
    ),
    "LayerNorm": ((6,), {}, (3, 2, 6)),
    "GroupNorm": ((2, 6), {}, (3, 6, 4, 2)),
    "BatchNorm1d": ((4,), {}, (6, 4)),
    "BatchNorm1d:3d": ((4,), {"momentum": 0.3}, (3, 4, 5)),
    "BatchNorm2d": ((3,), {"eps": 1e-3}, (4, 3, 2, 5)),
    "ReLU": ((), {}, (3, 4)),
    "LeakyReLU": ((0.2,), {}, (3, 4)),
    "ELU": ((), {}, (3, 4)),
    "SiLU": ((), {}, (3, 4)),
    "GELU": ((), {}, (3, 4)),
    "Tanh": ((), {}, (3, 4)),
    "Sigmoid": ((), {}, (3, 4)),
    "Softplus": ((), {}, (3, 4)),
    "Softmax": ((), {"dim": 1}, (3, 4)),
    "Flatten": ((), {}, (3, 4, 2)),
    "Unflatten": ((1, (2, 3)), {}, (3, 6)),
}  # fmt: skip


def setting(name):
    """Weights, input and output gradient for one case, the same for both packages."""
    rng = np.random.default_rng(sum(map(ord, name)))
    args, kwargs, shape = LAYERS[name]
    return rng, name.split(":")[0], args, kwargs, rng.normal(size=shape)


def run_minigen(name):
    """Outputs under the names that run_torch uses."""
    rng, kind, args, kwargs, x = setting(name)
    layer = getattr(nn, kind)(*args, **kwargs).to(np.float64)
    layer.load_state_dict(
        {k: rng.normal(size=v.shape) for k, v in layer.state_dict().items() if k in ("weight", "bias")}, strict=False
    )
    x = mg.tensor(x, requires_grad=True)
    y = layer(x)
    y.backward(np.random.default_rng(1).normal(size=y.shape))
    results = {"y": y.data, "dx": x.grad.data}
    results |= {"d" + k: p.grad.data for k, p in layer.named_parameters()}
    results |= {k: b for k, b in layer.named_buffers()}
    if results.keys() & {"running_mean"}:
        results["y_eval"] = layer.eval()(x).data
    return results


def run_torch(name):
    import torch

    rng, kind, args, kwargs, x = setting(name)
    layer = getattr(torch.nn, kind)(*args, **kwargs).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.tensor(rng.normal(size=parameter.shape)))
    x = torch.tensor(x, requires_grad=True)
    y = layer(x)
    y.backward(torch.tensor(np.random.default_rng(1).normal(size=y.shape)))
    results = {"y": y, "dx": x.grad}
    results |= {"d" + k: p.grad for k, p in layer.named_parameters()}
    results |= dict(layer.named_buffers())
    if "running_mean" in results:
        results["y_eval"] = layer.eval()(x)
    return {k: v.detach().numpy() for k, v in results.items()}


def compare(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key in ours:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-9, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_equals_torch(name):
    pytest.importorskip("torch")
    compare(run_minigen(name), run_torch(name))


@pytest.mark.parametrize("name", LAYERS)
def test_layer_equals_the_stored_values(name):
    with np.load(GOLDEN, allow_pickle=False) as golden:
        stored = {key.split("|")[1]: golden[key] for key in golden.files if key.startswith(name + "|")}
    compare(run_minigen(name), stored)


def test_embedding_equals_torch():
    torch = pytest.importorskip("torch")
    ours, theirs, index = nn.Embedding(7, 3), torch.nn.Embedding(7, 3), np.array([[1, 1, 6], [0, 2, 1]])
    ours.load_state_dict(theirs.state_dict())
    weight = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
    y, z = ours(index), theirs(torch.tensor(index))
    y.backward(weight)
    z.backward(torch.tensor(weight))
    np.testing.assert_array_equal(y.data, z.detach().numpy())
    np.testing.assert_allclose(ours.weight.grad.data, theirs.weight.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize("batch_first", [False, True])
def test_multihead_attention_equals_torch_with_masks_and_cross_attention(batch_first):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=batch_first).double()
    ours = nn.MultiheadAttention(8, 2, batch_first=batch_first).to(np.float64)
    with torch.no_grad():
        theirs.in_proj_bias.normal_(generator=torch.Generator().manual_seed(0))
    ours.load_state_dict(theirs.state_dict())
    rng = np.random.default_rng(0)
    query, memory = rng.normal(size=(5, 5, 8)), rng.normal(size=(5, 5, 8))
    mask = np.triu(np.ones((5, 5), dtype=bool), 1)
    y, w = ours(*(mg.tensor(a) for a in (query, memory, memory)), attn_mask=mask)
    z, v = theirs(*(torch.tensor(a) for a in (query, memory, memory)), attn_mask=torch.tensor(mask))
    np.testing.assert_allclose(y.data, z.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(w.data, v.detach().numpy(), atol=1e-12)
    causal, _ = ours(*(mg.tensor(a) for a in (query, memory, memory)), is_causal=True, need_weights=False)
    np.testing.assert_allclose(causal.data, y.data, atol=1e-12)


def test_torch_loads_our_weights():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    ours = nn.Sequential(nn.Conv2d(2, 3, 3, rng=rng), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 5, rng=rng))
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(48, 5)
    )
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x = rng.normal(size=(4, 2, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(ours(mg.tensor(x)).data, theirs(torch.tensor(x)).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", ["Linear", "Conv1d", "Conv2d", "ConvTranspose2d", "Embedding"])
def test_initial_weights_have_torchs_distribution(kind):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    args = (40, 50) if kind in ("Linear", "Embedding") else (40, 50, 3)
    ours, theirs = getattr(nn, kind)(*args, rng=np.random.default_rng(0)), getattr(torch.nn, kind)(*args)
    a, b = ours.weight.data, theirs.weight.detach().numpy()
    assert a.std() == pytest.approx(b.std(), rel=0.05)
    if kind != "Embedding":
        assert np.abs(a).max() == pytest.approx(np.abs(b).max(), rel=0.01)
        assert np.abs(ours.bias.data).max() <= np.abs(b).max() * 1.01


def test_dropout_keeps_the_mean_and_follows_its_generator():
    x = mg.tensor(np.ones((200, 500)), requires_grad=True, dtype=np.float32)
    layer = nn.Dropout(0.3, rng=np.random.default_rng(0))
    y = layer(x)
    assert set(np.unique(y.data)) == {0.0, np.float32(1 / 0.7)}
    assert y.data.mean() == pytest.approx(1, abs=0.01)
    y.backward(np.ones((200, 500)))
    np.testing.assert_array_equal(x.grad.data, y.data)  # the mask of the forward pass, not a new one
    again = nn.Dropout(0.3, rng=np.random.default_rng(0))(x)
    np.testing.assert_array_equal(again.data, y.data)
    assert layer.eval()(x) is x


if __name__ == "__main__":
    values = {f"{name}|{key}": array for name in LAYERS for key, array in run_torch(name).items()}
    np.savez_compressed(GOLDEN, **values)
    sys.stdout.write(f"{GOLDEN}: {len(values)} arrays, {GOLDEN.stat().st_size} bytes\n")
