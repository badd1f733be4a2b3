"""A classifier of pictures: a convolutional network that says how probable each class is.

A picture x shows one of K classes, y = 0 … K − 1. The network f turns x into K numbers, the *logits*, and the softmax
turns logits into probabilities (lesson 02):

    p(y|x) = softmax(f(x))_y = exp f_y(x) / Σ_k exp f_k(x).                                          (3.30)

Training makes the given labels probable: the loss of one picture is, in nats,

    ℓ(x, y) = −log p(y|x) = log Σ_k exp f_k(x) − f_y(x),                                              (3.31)

and learning moves all parameters against the mean gradient of ℓ over a batch. Knowing nothing costs log K.

The network repeats one block of three parts.

1. A *convolution* looks at every place of the picture through the same small window, (kh, kw) pixels of all C channels:

       y[o, i, j] = Σ_{c,u,v} w[o, c, u, v] · x[c, i·stride + u − padding, j·stride + v − padding].   (3.27)

   It is a matrix whose entries are shared. For O output channels of OH × OW places it costs

       multiply-adds = O · C · kh · kw · OH · OW,     weights = O · C · kh · kw.                      (3.28)

2. *Batch normalisation* gives each channel mean 0 and variance 1 over the batch, then a learnt gain γ and shift β:

       x̂ = (x − m)/s,   y = γ x̂ + β.                                                                 (3.24)

   In training m and s are the batch's own; in evaluation they are averages remembered from training, so that the answer
   for one picture does not depend on its neighbours. `model.eval()` makes the switch; forgetting it is a classic.
   The shift β makes a bias in the convolution before it superfluous.

3. The *relu*, max(·, 0). It throws away half of the mean square, so fresh weights get variance 2/n (He), with
   n = C·kh·kw the number of products in one sum:

       Var(w) = 2/n.                                                                                  (3.22)

Every second block has stride 2: it halves height and width. At the end the few pixels left are laid side by side, and
a linear layer gives the logits.

Sources: LeCun et al. 1998, "Gradient-based learning applied to document recognition"; Ioffe & Szegedy 2015,
arXiv:1502.03167; He et al. 2015, arXiv:1502.01852; strides in place of pooling: Springenberg et al. 2014,
arXiv:1412.6806. Differs: the sizes are ours.
"""

import math

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.errors import ShapeError
from minigen.nn import init


class Classifier(nn.Module):
    """p(y|x) from a network.

    network:  x (B, …) → logits (B, K)
    classes:  K, how many there are
    """

    def __init__(self, network, classes):
        self.network = network
        self.classes = classes

    def forward(self, x):
        """The logits f(x).  Shapes: (B, …) → (B, K)

        Raises:   ShapeError if the network returns another shape.
        """
        logits = self.network(x)
        if logits.shape != (len(x), self.classes):
            raise ShapeError(f"Classifier: the network returned {tuple(logits.shape)}; expected "
                             f"(B, K) = {(len(x), self.classes)}")
        return logits

    def loss(self, x, labels):
        """−log p(y|x), (3.31), one value per picture, in nats.  Shapes: x (B, …), labels (B,) → (B,)"""
        return ops.cross_entropy(self(x), labels)

    @no_grad()
    def log_probs(self, x):
        """log p(y|x) for every class, (3.30), an array in nats.  Shapes: (B, …) → (B, K)"""
        return ops.log_softmax(self(x), dim=1).data

    @no_grad()
    def predict(self, x):
        """The most probable class of each picture, whole numbers.  Shapes: (B, …) → (B,)

        Call `eval()` before: in training mode the answer depends on the other pictures of the batch.
        """
        return self(x).data.argmax(axis=1)


# -- networks ---------------------------------------------------------------------------------------------------------


def he(layer, *, rng):
    """The layer, with fresh weights of variance 2/n, (3.22), and biases of 0."""
    layer.weight.overwrite(init.kaiming_normal(layer.weight.shape, nonlinearity="relu", rng=rng))
    if layer.bias is not None:
        layer.bias.overwrite(np.zeros(layer.bias.shape))
    return layer


def conv_block(inputs, outputs, *, stride=1, rng):
    """Convolution 3×3, batch normalisation, relu.  Shapes: (B, C, H, W) → (B, O, H/stride, W/stride)"""
    return nn.Sequential(
        he(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False, rng=rng), rng=rng),  # (3.27)
        nn.BatchNorm2d(outputs),  # (3.24)
        nn.ReLU(),
    )


def conv_network(size, classes, *, width, dropout=0.0, high, rng):
    """(B, 1, size, size) of whole numbers 0 … high → logits (B, K): four blocks, two of them halve the picture."""
    small = math.ceil(math.ceil(size / 2) / 2)
    return nn.Sequential(
        nn.Scaled(high),
        conv_block(1, width, rng=rng),
        conv_block(width, width, stride=2, rng=rng),
        conv_block(width, 2 * width, rng=rng),
        conv_block(2 * width, 2 * width, stride=2, rng=rng),
        nn.Flatten(),
        nn.Dropout(dropout, rng=rng),
        nn.Linear(2 * width * small * small, classes, rng=rng),
    )


def mlp_network(pixels, classes, hidden=(), *, high, rng):
    """(B, …) of `pixels` whole numbers 0 … high → logits (B, K), with one hidden relu layer for each entry of `hidden`.

    Without hidden layers this is *softmax regression*: logits that are linear in the pixels.
    """
    widths = (pixels, *hidden)
    layers = []
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        layers += [he(nn.Linear(inputs, outputs, rng=rng), rng=rng), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), nn.Scaled(high), *layers, nn.Linear(widths[-1], classes, rng=rng))


# -- cost -------------------------------------------------------------------------------------------------------------


def multiply_adds(network, shape):
    """What one example costs, layer by layer: a list of (name, multiply-adds) of the convolutions and linear layers.

    Equation: (3.28); a linear layer is the case of a single place: outputs · inputs
    Shapes:   `shape` is that of one example, (C, H, W) or (D,)
    """
    costs = []

    def follow(module, x):
        if isinstance(module, nn.Sequential):
            for part in module:
                x = follow(part, x)
            return x
        y = module(x)
        if isinstance(module, nn.Conv2d | nn.Linear):
            costs.append((type(module).__name__, module.weight.size * math.prod(y.shape[2:])))  # · OH · OW
        return y

    training = network.training
    network.eval()
    with no_grad():
        follow(network, Tensor(np.zeros((1, *shape), dtype=np.float32)))
    network.train(training)
    return costs
