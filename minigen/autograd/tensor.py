"""Tensor: an array that remembers how it was made.

A Tensor is three things: the numbers (`data`, a NumPy array), the node of the computation graph that produced
them (None for a constant), and, for a leaf that you asked gradients for, the gradient (`grad`). All arithmetic
lives in `minigen.ops`, which also hangs the methods (`x.sum()`, `x @ y`, …) on this class; all differentiation
lives in `graph.py`. What is left here is the box itself and the question of who may write into it.

Who may write. A gradient rule reads arrays that were saved on the way forward. If somebody changed such an array
before `backward`, the gradient would be wrong and nothing would fail. So `x.data` is read-only: NumPy refuses
`x.data[0] = 5`. A tensor is changed through the tensor, `with no_grad(): w -= 0.1 * w.grad` or `w[0] = 5` (optimisers
and load_state_dict do the same), and each such change notes the time. Operations carry the time at which they ran,
and `backward` refuses to pass over one that is older than the last change of what it read.

`x.data = other_array` replaces the array instead of changing it. That is always allowed: a graph made earlier keeps
the old array, and its gradients stay right.
"""

import itertools

import numpy as np

from minigen.autograd.mode import mode, no_grad
from minigen.errors import GraphError, ShapeError

_new = object.__new__
_FLOATS = (np.float32, np.float64)


# One clock numbers the operations (graph.py) and the changes in place. All threads share it; `next` is atomic.
clock = itertools.count()


class Version:
    """When an array was last changed in place, by the clock. Shared by a leaf and all views of its memory."""

    __slots__ = ("changed",)
    latest = -1  # the last change of any array at all

    def __init__(self):
        self.changed = -1

    def touch(self):
        """Note that the array is changing now."""
        self.changed = Version.latest = next(clock)


class Tensor:
    """An n-dimensional array with a gradient.

    data:           anything NumPy can turn into an array. Arrays keep their dtype, Python floats become float32.
                    The numbers are copied, so your own array stays yours.
    requires_grad:  True for a leaf whose gradient you want: a parameter, or an input you study.
    dtype:          np.float32 or np.float64 to convert; None keeps what came.
    """

    __slots__ = ("_data", "_node", "_grad", "_version", "__weakref__")

    # NumPy must leave `array * tensor` to Tensor.__rmul__ instead of looping over the elements.
    __array_ufunc__ = None

    def __init__(self, data, requires_grad=False, dtype=None):
        if isinstance(data, Tensor):
            data = data._data
        try:
            array = np.array(data, dtype=dtype, order="C")
        except ValueError as error:
            raise ShapeError(f"Tensor: the data is no regular array of numbers: {error}") from None
        if dtype is None and array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
            array = array.astype(np.float32)
        if array.dtype == object:
            raise ShapeError("Tensor: the data is ragged or holds objects; expected numbers in a regular array")
        self._data = array
        self._node = None
        self._grad = None
        self._version = Version()
        if requires_grad:
            self.requires_grad = True

    # -- the numbers ------------------------------------------------------------------------------------------

    @property
    def data(self):
        """The NumPy array, read-only (see the module's docstring). `numpy()` gives a copy to write in."""
        self._data.flags.writeable = False
        return self._data

    @data.setter
    def data(self, value):
        array = np.array(value._data if isinstance(value, Tensor) else value, dtype=self._data.dtype)
        if array.shape != self._data.shape:
            raise ShapeError(f"Tensor.data: shape {array.shape} cannot replace {self._data.shape}")
        self._data = array

    def numpy(self):
        """A copy of the numbers that is yours to change."""
        return self._data.copy()

    def item(self):
        """The single number of a tensor with one element, as a Python float."""
        if self._data.size != 1:
            raise ShapeError(f"item: tensor of shape {self.shape} has {self._data.size} elements, expected 1")
        return self._data.item()

    def __array__(self, dtype=None, copy=None):
        if self._node is not None and mode.recording:
            raise GraphError(
                "a Tensor that requires grad was handed to NumPy, which would lose its history: "
                "use .data or .detach() if that is what you want"
            )
        return np.array(self._data, dtype=dtype, copy=True if copy is None else copy)

    @property
    def shape(self):
        return self._data.shape

    @property
    def dtype(self):
        return self._data.dtype

    @property
    def ndim(self):
        return self._data.ndim

    @property
    def size(self):
        return self._data.size

    def dim(self):
        """Number of axes (PyTorch's name for `ndim`)."""
        return self._data.ndim

    def numel(self):
        """Number of elements (PyTorch's name for `size`)."""
        return self._data.size

    def __len__(self):
        if not self._data.ndim:
            raise ShapeError("len: a tensor of shape () has no length")
        return len(self._data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        return bool(self._data)

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __repr__(self):
        numbers = np.array2string(self._data, precision=4, separator=", ", prefix="tensor(")
        notes = "" if self._data.dtype == np.float32 else f", dtype={self._data.dtype}"
        if self._node is not None:
            notes += ", requires_grad=True" if self.is_leaf else f", made_by={self._node.plan.op.name}"
        return f"tensor({numbers}{notes})"

    # -- its place in the graph -------------------------------------------------------------------------------

    @property
    def requires_grad(self):
        """True if gradients flow to this tensor: a leaf that asked for them, or a result that depends on one."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted):
        if not self.is_leaf:
            if not wanted:
                raise GraphError("requires_grad: only a leaf can stop requiring gradients; use .detach()")
            return
        if wanted and self._data.dtype not in _FLOATS:
            raise GraphError(
                f"requires_grad: a tensor of {self._data.dtype} has no gradient, expected float32 or float64"
            )
        if wanted and self._node is None:
            from minigen.autograd.graph import leaf_node  # the graph imports Tensor; this is the one way back

            self._node = leaf_node(self)
        elif not wanted:
            self._node = None

    def requires_grad_(self, requires_grad=True):
        """Set requires_grad and return the tensor itself."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self):
        """True if no recorded operation made this tensor."""
        return self._node is None or self._node.plan is None

    @property
    def grad(self):
        """∂(what you called backward on)/∂(this leaf), a Tensor of the same shape, or None before backward.

        Gradients add up over calls of backward; set `grad = None` (or use an optimiser's zero_grad) between steps.
        """
        return self._grad

    @grad.setter
    def grad(self, value):
        if value is not None:
            value = value if isinstance(value, Tensor) else constant(np.asarray(value, self._data.dtype))
            if value.shape != self.shape:
                raise ShapeError(f"Tensor.grad: shape {value.shape}, expected that of the tensor, {self.shape}")
        self._grad = value

    def detach(self):
        """The same numbers with no history: gradients stop here. Shares memory."""
        return with_node(self._data, None, self._version)

    def backward(self, gradient=None, retain_graph=False, create_graph=False):
        """Add the gradient of this tensor to `.grad` of every leaf it depends on. See `minigen.autograd.backward`."""
        from minigen.autograd.graph import backward

        backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    # -- sanctioned changes in place --------------------------------------------------------------------------

    def write_(self, array, index=...):
        """Overwrite (part of) this tensor in place, and note when.

        Graphs that saved the old numbers refuse to run backward afterwards. Not differentiable: to build a changed
        tensor inside a recorded computation use `where` or `scatter_add`.
        """
        if self._node is not None and mode.recording:
            raise GraphError(
                "in-place change of a tensor that requires grad while recording: wrap it in `with no_grad():`, "
                "or build a new tensor with `where` or `scatter_add`"
            )
        if not self.is_leaf:
            raise GraphError("in-place change of the result of a recorded operation; .detach() and copy it first")
        if self._version is None:
            raise GraphError("in-place change of memory that a recorded operation made; copy it first")
        if self._data.size > 1 and 0 in self._data.strides:
            raise GraphError("in-place change of a broadcast view, whose elements share memory; copy it first")
        # Somebody may hold the read-only array that `data` gave out, so it is locked again afterwards.
        locked = [x for x in (self._data.base, self._data) if isinstance(x, np.ndarray) and not x.flags.writeable]
        for x in locked:
            x.flags.writeable = True
        try:
            self._data[index] = array._data if isinstance(array, Tensor) else array
        except (ValueError, IndexError) as error:
            raise ShapeError(f"in-place change of a tensor of shape {self.shape}: {error}") from error
        finally:
            for x in reversed(locked):
                x.flags.writeable = False
        self._version.touch()

    def overwrite(self, array):
        """Put new numbers into this leaf, whatever the mode: for optimisers and load_state_dict."""
        with no_grad():
            self.write_(array)

    def __setitem__(self, index, value):
        self.write_(value, index._data if isinstance(index, Tensor) else index)

    def _in_place(self, result):
        if mode.recording and self._node is not None:
            if self.is_leaf:
                raise GraphError(
                    "in-place change of a leaf that requires grad while recording: wrap it in `with no_grad():`"
                )
            return result
        if mode.recording and isinstance(result, Tensor) and result._node is not None:
            return result  # `total += loss`: the sum has a history now, so the name moves on to a new tensor
        self.write_(result)
        return self

    def __iadd__(self, other):
        return self._in_place(self + other)

    def __isub__(self, other):
        return self._in_place(self - other)

    def __imul__(self, other):
        return self._in_place(self * other)

    def __itruediv__(self, other):
        return self._in_place(self / other)


def with_node(array, node, version=None):
    """A Tensor around an existing array, without copying, at a given place in the graph."""
    tensor = _new(Tensor)
    tensor._data = array
    tensor._node = node
    tensor._grad = None
    tensor._version = version
    return tensor


def constant(array):
    """A Tensor around an existing array, without copying and without history (for the package's own use)."""
    return with_node(array, None, Version())
