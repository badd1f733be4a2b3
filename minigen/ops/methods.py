"""The operators and methods of Tensor: `x + y`, `x[0]`, `x.sum()`, each the function of that name in this package."""

import numpy as np

from minigen.autograd.broadcasting import broadcast_to
from minigen.autograd.tensor import Tensor
from minigen.ops import elementwise as e
from minigen.ops import linalg, reduce, shape


def _reflected(function):
    return lambda self, other: function(other, self)


def _compare(function):
    """Comparisons give boolean arrays: they have no gradient."""

    def method(self, other):
        return function(self._data, other._data if isinstance(other, Tensor) else other)

    return method


def _variadic(function):
    """Methods such as x.reshape(2, 3) and x.permute(0, 2, 1) also take their tuple as separate arguments."""

    def method(self, *values):
        values = values[0] if len(values) == 1 and isinstance(values[0], tuple | list) else values
        return function(self, tuple(values))

    method.__doc__ = function.__doc__
    return method


def _to(self, dtype):
    """The same numbers in another floating-point dtype."""
    return cast(self, dtype=np.dtype(dtype))


def _max(self, dim=None, keepdim=False):
    """The largest element along dim; equal ones share the gradient."""
    return reduce.max(self, dim=dim, keepdim=keepdim)


from minigen.autograd.primitive import primitive  # noqa: E402


@primitive(x=lambda g, dtype, x_dtype: cast(g, dtype=x_dtype))
def _cast(x, dtype, x_dtype):
    return x.astype(dtype)


def cast(x, dtype):
    """x in another dtype; its gradient is cast back."""
    return _cast(x, dtype=np.dtype(dtype), x_dtype=x.dtype)


OPERATORS = {
    "__add__": e.add,
    "__radd__": _reflected(e.add),
    "__sub__": e.sub,
    "__rsub__": _reflected(e.sub),
    "__mul__": e.mul,
    "__rmul__": _reflected(e.mul),
    "__truediv__": e.div,
    "__rtruediv__": _reflected(e.div),
    "__neg__": e.neg,
    "__pow__": e.pow,
    "__rpow__": _reflected(e.pow),
    "__abs__": e.abs,
    "__matmul__": linalg.matmul,
    "__rmatmul__": _reflected(linalg.matmul),
    "__getitem__": shape.index,
    "__lt__": _compare(np.less),
    "__le__": _compare(np.less_equal),
    "__gt__": _compare(np.greater),
    "__ge__": _compare(np.greater_equal),
    "__eq__": _compare(np.equal),
    "__ne__": _compare(np.not_equal),
}

METHODS = {
    name: getattr(module, name)
    for module, names in (
        (e, "exp log log1p expm1 sqrt sin cos tanh sigmoid erf abs pow clip maximum minimum relu"),
        (reduce, "sum mean var std prod cumsum min logsumexp softmax log_softmax argmax argmin norm"),
        (shape, "transpose unsqueeze squeeze flatten split chunk flip roll gather scatter_add expand"),
        (linalg, "matmul"),
    )
    for name in names.split()
}
METHODS |= {
    "max": _max,
    "reshape": _variadic(shape.reshape),
    "view": _variadic(shape.reshape),
    "permute": _variadic(shape.permute),
    "broadcast_to": _variadic(broadcast_to),
    "to": _to,
}

for _name, _function in (OPERATORS | METHODS).items():
    setattr(Tensor, _name, _function)
Tensor.__hash__ = object.__hash__  # == compares elements, so identity must serve as the key in sets and dicts
Tensor.T = property(lambda self: shape.permute(self, dims=tuple(reversed(range(self.ndim)))))
Tensor.mT = property(linalg.mT)
