"""A multilayer perceptron that tells kinds of points apart.

One *neuron* weighs its inputs x₁ … x_D, adds a bias, and bends the result with an activation σ:

    f(x) = σ(w·x + b).                                                                               (2.1)

Many neurons that read the same x are one *layer*: with a weight matrix W (neurons, D), the activation number by number,

    h = σ(W x + b).                                                                                  (2.11)

Layers behind each other are a *multilayer perceptron*. The last one has no activation: it gives K numbers l, the
*logits*, and the softmax turns them into probabilities of the K kinds,

    p(k|x) = e^{l_k} / Σ_j e^{l_j}.                                                                  (2.9)

Training makes −log p(y|x) small, the cross-entropy, where y is the kind that x is of. Its gradient with respect to the
logits is p − onehot(y).                                                                             (2.10)

Without the bend all layers together would be one matrix, and the border between two kinds a straight line. With it, a
wide enough hidden layer comes as near as one likes to any continuous function (Cybenko 1989).

Sources: Rosenblatt 1958 (the perceptron); Rumelhart, Hinton, Williams 1986 (training hidden layers by gradients);
Cybenko 1989, doi:10.1007/BF02551274. Differs: tanh and a softmax, as is usual today.
"""

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import ShapeError

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "none": nn.Identity}


class MLP(nn.Module):
    """Layers (2.11) of the given widths; the first width is D, the last is K, the number of kinds.

    widths:      (D, …, K), such as (2, 16, 16, 2)
    activation:  "tanh", "relu", "sigmoid", or "none" (then it is one straight map, however many layers)
    rng:         draws the weights
    Raises:      ShapeError for fewer than two widths; ValueError for an unknown activation
    """

    def __init__(self, widths, *, activation="tanh", rng):
        if len(widths) < 2:
            raise ShapeError(f"MLP: widths {tuple(widths)}; expected at least two, inputs and kinds")
        if activation not in ACTIVATIONS:
            raise ValueError(f"MLP: activation {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
        modules = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            modules += [nn.Linear(inputs, outputs, rng=rng), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*modules[:-1])  # (2.11), and no activation after the last

    def forward(self, x):
        """Points x (B, D) → logits (B, K)."""
        return self.layers(x if isinstance(x, Tensor) else Tensor(x, dtype=np.float32))

    def loss(self, x, y):
        """−log p(y|x) of (2.9), one value per example, (B,), in nats.   Shapes: x (B, D), y (B,) of kinds 0 … K − 1"""
        return ops.cross_entropy(self(x), y)

    @no_grad()
    def probabilities(self, x):
        """p(k|x) of (2.9), an array.   Shapes: x (B, D) → (B, K)"""
        return ops.softmax(self(x), dim=1).data

    def predict(self, x):
        """The most probable kind of each point.   Shapes: x (B, D) → (B,)"""
        return self.probabilities(x).argmax(axis=1)

    def accuracy(self, x, y):
        """The share of points whose most probable kind is the right one."""
        return float(np.mean(self.predict(x) == y))
