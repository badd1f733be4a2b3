"""Matrix operations. Their rules follow from d(AB) = dA B + A dB and the trace inner product ⟨G, X⟩ = Σ Gᵢⱼ Xᵢⱼ.

All act on the last two axes and broadcast over those before.
"""

import numpy as np

from minigen import kernels
from minigen.autograd.primitive import primitive
from minigen.errors import ShapeError
from minigen.ops.elementwise import _array
from minigen.ops.reduce import sum
from minigen.ops.shape import permute, reshape


def mT(x):
    """The transpose of the last two axes."""
    return permute(x, dims=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@primitive(a=lambda g, b: _matmul(g, mT(b)), b=lambda g, a: _matmul(mT(a), g))
def _matmul(a, b):
    return _product(a, b)


def matmul(a, b):
    """Matrix product A B over the last two axes; vectors and leading axes as in NumPy's `@`.

    Shapes:  (…, n, k) @ (…, k, m) → (…, n, m); a vector (k,) stands for a row on the left, a column on the right.
    Raises:  ShapeError if the inner sizes differ.
    """
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        left, right = (a.shape[-1:] or ("none",))[0], (b.shape[-2:] or ("none",))[0]
        raise ShapeError(f"matmul: shapes {a.shape} and {b.shape} do not align: {left} ≠ {right}")
    row, column = a.ndim == 1, b.ndim == 1
    y = _matmul(reshape(a, shape=(1, -1)) if row else a, reshape(b, shape=(-1, 1)) if column else b)
    if row or column:
        kept = (*y.shape[:-2], *(() if row else y.shape[-2:-1]), *(() if column else y.shape[-1:]))
        y = reshape(y, shape=kept)
    return y


@primitive(
    x=lambda g, weight: matmul(g, weight),
    weight=lambda g, x: _matmul(mT(_rows(g)), _rows(x)),
    bias=lambda g: sum(_rows(g), dim=0),
)
def _affine(x, weight, bias):
    return _product(x, weight.T, bias)


@primitive(x=lambda g, weight: matmul(g, weight), weight=lambda g, x: _matmul(mT(_rows(g)), _rows(x)))
def _linear(x, weight):
    return _product(x, weight.T)


def _product(a, b, bias=None):
    """a b + bias on arrays. If b is one matrix, all leading axes of a are joined into one long product."""
    if b.ndim == 2 and a.ndim == 2:
        if a.shape[1] == 1 and bias is None:
            return a * b  # a column times a row: nothing to sum
        return kernels.matrix_product(a, b, bias)
    if b.ndim == 2 and a.ndim > 2:
        return kernels.matrix_product(a.reshape(-1, a.shape[-1]), b, bias).reshape(*a.shape[:-1], b.shape[1])
    y = np.matmul(a, b)
    return y if bias is None else y + bias


def _rows(x):
    """All leading axes joined, so that one large product replaces many small ones."""
    return reshape(x, shape=(-1, x.shape[-1])) if x.ndim != 2 else x


def linear(x, weight, bias=None):
    """x Wᵀ + b: the affine map of a layer.

    Shapes:  x (…, in), weight (out, in), bias (out,) → (…, out).  Raises: ShapeError if they do not fit.
    """
    if x.ndim == 0 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(f"linear: x {tuple(x.shape)} and weight {tuple(weight.shape)} do not fit; "
                         "the last axis of x must be the weight's second")  # fmt: skip
    if bias is None:
        return _linear(x, weight)
    if bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: bias {tuple(bias.shape)} does not fit weight {tuple(weight.shape)}")
    return _affine(x, weight, bias)


@primitive(
    operands=lambda g, operands, operands_shape, subscripts: _einsum_rule(g, operands, operands_shape, subscripts)
)
def _einsum(*operands, subscripts):
    return np.einsum(subscripts, *operands, optimize=len(operands) > 2)


def _einsum_rule(g, operands, shapes, subscripts):
    """Swap the output with operand i: its gradient is an einsum of g with all the others.

    An index that appears in operand i only was summed away; its gradient is the same along that axis, so it enters
    as a factor of ones.
    """
    terms, out = subscripts.split("->")
    terms = terms.split(",")
    sizes = {
        letter: n for term, shape in zip(terms, shapes, strict=True) for letter, n in zip(term, shape, strict=True)
    }
    gradients = []
    for i, term in enumerate(terms):
        inputs, factors = [out], [g]
        for j, other in enumerate(terms):
            if j != i:
                inputs.append(other)
                factors.append(operands[j])
        for letter in term:
            if not any(letter in some for some in inputs):
                inputs.append(letter)
                factors.append(np.ones(sizes[letter], dtype=g.dtype))
        gradients.append(_einsum(*factors, subscripts=",".join(inputs) + "->" + term))
    return gradients


def einsum(subscripts, *operands):
    """Sums of products in index notation: einsum("bik,bkj->bij", a, b). The output must be written out.

    Raises: ShapeError for a missing "->", an ellipsis, or an index repeated within one operand (a diagonal).
    """
    subscripts = subscripts.replace(" ", "")
    terms, arrow, _ = subscripts.partition("->")
    if not arrow or "." in subscripts or any(len(set(term)) != len(term) for term in terms.split(",")):
        raise ShapeError(f'einsum: "{subscripts}" must name its output ("ij,jk->ik"), without "..." or diagonals')
    if len(terms.split(",")) != len(operands):
        raise ShapeError(f'einsum: "{subscripts}" wants {len(terms.split(","))} operands, got {len(operands)}')
    for term, x in zip(terms.split(","), operands, strict=True):
        if len(term) != x.ndim:
            raise ShapeError(f'einsum: "{term}" of "{subscripts}" names {len(term)} axes, operand has shape {x.shape}')
    return _einsum(*operands, subscripts=subscripts)


# -- inverses and factorisations ------------------------------------------------------------------------------


@primitive(x=lambda g, y: -_matmul(_matmul(mT(y), g), mT(y)))
def _inverse(x):
    return np.linalg.inv(x)


def inverse(x):
    """A⁻¹. From A A⁻¹ = I: d(A⁻¹) = −A⁻¹ dA A⁻¹.  Raises: ShapeError if A is singular or not square."""
    return _checked("inverse", _inverse, x)


@primitive(x=lambda g, x: reshape(g, shape=(*g.shape, 1, 1)) * mT(_inverse(x)))
def _logabsdet(x):
    return np.linalg.slogdet(x)[1]


def slogdet(x):
    """The sign of det A (an array) and log |det A|, whose gradient is A⁻ᵀ."""
    logarithm = _checked("slogdet", _logabsdet, x)
    sign = np.linalg.slogdet(_array(x))[0]
    if np.any(sign == 0):
        raise ShapeError(f"slogdet: a matrix of shape {x.shape} is singular; its log-determinant is −∞")
    return sign, logarithm


@primitive(x=lambda g, y: _cholesky_rule(g, y))
def _cholesky(x):
    return np.linalg.cholesky(x)


def _cholesky_rule(g, y):
    """½(S + Sᵀ) with S = L⁻ᵀ Φ(Lᵀ G) L⁻¹; Φ keeps the lower triangle and halves the diagonal.

    Source: Murray 2016, arXiv:1602.07527, equation 10.
    """
    n = y.shape[-1]
    keep = (np.tril(np.ones((n, n))) - 0.5 * np.eye(n)).astype(y.dtype)
    inv = _inverse(y)
    s = _matmul(mT(inv), _matmul(keep * _matmul(mT(y), g), inv))
    return 0.5 * (s + mT(s))


def cholesky(x):
    """Lower triangular L with L Lᵀ = A, for symmetric positive definite A.  Raises: ShapeError if A is not."""
    return _checked("cholesky", _cholesky, x)


@primitive(a=lambda g, a, y: -_matmul(_solve(mT(a), g), mT(y)), b=lambda g, a: _solve(mT(a), g))
def _solve(a, b):
    return np.linalg.solve(a, b)


def solve(a, b):
    """X with A X = B.  Shapes: A (…, n, n), B (…, n, k), or B (n,) or (…, n) for one vector per matrix.

    Raises: ShapeError if A is singular or the shapes do not fit.
    """
    if b.ndim == 1 or tuple(b.shape) == tuple(a.shape[:-1]):
        x = _checked("solve", _solve, a, reshape(b, shape=(*b.shape, 1)))
        return reshape(x, shape=x.shape[:-1])
    return _checked("solve", _solve, a, b)


def _checked(name, function, x, *more):
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name}: expected square matrices, got shape {x.shape}")
    try:
        return function(x, *more)
    except np.linalg.LinAlgError as error:
        raise ShapeError(f"{name}: matrices of shape {x.shape}: {error}") from error
