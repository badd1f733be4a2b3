"""Module: a part of a network that owns parameters.

There is no registration. A module's attributes *are* its structure: a Tensor that requires gradients is a parameter, a
NumPy array is a buffer (state that is saved but not learnt), a Module is a child, and a random generator is the source
of its noise. Names are the paths along the attributes (`encoder.0.weight`), the same as PyTorch's, so weights can be
exchanged both ways. Names that begin with an underscore are private and not walked.
"""

import contextlib

import numpy as np

from minigen.autograd import Tensor
from minigen.errors import StateError


class Module:
    """Base of all layers and models: define `forward`, call the module."""

    training = True

    def forward(self, *args, **kwargs):
        """The computation. Subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    # -- walking ----------------------------------------------------------------------------------------------

    def _walk(self, kind, prefix=""):
        """Pairs (path, attribute) of one kind, own ones first, each object once in the order of definition."""
        for name, value in vars(self).items():
            if not name.startswith("_") and isinstance(value, kind):
                yield prefix + name, value
        for name, child in self.named_children():
            yield from child._walk(kind, f"{prefix}{name}.")

    def named_children(self):
        """Pairs (name, module) of the direct parts."""
        return ((n, v) for n, v in vars(self).items() if isinstance(v, Module) and not n.startswith("_"))

    def children(self):
        """The direct parts."""
        return (child for _, child in self.named_children())

    def modules(self):
        """This module and all parts, and parts of parts."""
        yield self
        for child in self.children():
            yield from child.modules()

    def named_parameters(self):
        """Pairs (path, Tensor). A tensor that is used in two places is listed once, under its first path."""
        seen = set()
        for path, tensor in self._walk(Tensor):
            if tensor.requires_grad and tensor not in seen:
                seen.add(tensor)
                yield path, tensor

    def parameters(self):
        """The tensors that training changes."""
        return (tensor for _, tensor in self.named_parameters())

    def named_buffers(self):
        """Pairs (path, array) of state that is saved but not learnt, such as BatchNorm's running means."""
        return self._walk(np.ndarray)

    def named_generators(self):
        """Pairs (path, generator) of the sources of noise, such as Dropout's: a resumed run must restore them."""
        return self._walk(np.random.Generator)

    def num_parameters(self):
        """How many numbers training changes."""
        return sum(tensor.size for tensor in self.parameters())

    @contextlib.contextmanager
    def replaced(self, tensors):
        """Within `with`, other tensors stand in for parameters, and gradients flow to them: a dict from path to Tensor.

        So a network can be run with weights that are themselves computed, such as those after one more step.

        Raises:   StateError for a path that is no parameter, or a tensor of another shape; nothing is replaced then.
        """
        own = dict(self._walk(Tensor))
        wrong = [path for path, tensor in tensors.items() if path not in own or own[path].shape != tensor.shape]
        if wrong:
            raise StateError(f"{type(self).__name__}.replaced: {wrong} are no parameters, or misshapen; found "
                             f"{ {path: tensor.shape for path, tensor in own.items()} }")
        places = []
        for path, tensor in tensors.items():
            *way, name = path.split(".")
            owner = self
            for step in way:
                owner = getattr(owner, step)
            places.append((owner, name, getattr(owner, name)))
            setattr(owner, name, tensor)
        try:
            yield self
        finally:
            for owner, name, tensor in places:
                setattr(owner, name, tensor)

    # -- modes ------------------------------------------------------------------------------------------------

    def train(self, mode=True):
        """Switch to training behaviour (Dropout drops, BatchNorm uses the batch). Returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Switch to evaluation behaviour. Returns self."""
        return self.train(False)

    def zero_grad(self):
        """Forget all gradients."""
        for tensor in self.parameters():
            tensor.grad = None

    def requires_grad_(self, requires_grad=True):
        """Freeze (False) or thaw (True) all parameters. Returns self."""
        for _, tensor in self._walk(Tensor):
            tensor.requires_grad = requires_grad
        return self

    def to(self, dtype):
        """Convert parameters and floating-point buffers to a dtype, in place. Returns self."""
        for module in self.modules():
            for name, value in list(vars(module).items()):
                if isinstance(value, Tensor) and value.is_leaf:
                    converted = Tensor(value.data.astype(dtype), requires_grad=value.requires_grad)
                    setattr(module, name, converted)
                elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
                    setattr(module, name, value.astype(dtype))
        return self

    # -- saving and loading -----------------------------------------------------------------------------------

    def state_dict(self):
        """All parameters and buffers as a dict from path to a copy of the array."""
        state = {path: tensor.numpy() for path, tensor in self._walk(Tensor)}
        return state | {path: array.copy() for path, array in self.named_buffers()}

    def load_state_dict(self, state, strict=True):
        """Overwrite parameters and buffers in place from such a dict (arrays, or PyTorch's CPU tensors).

        Raises: StateError that lists every missing, unexpected and misshapen entry; nothing is changed then.
                With strict=False missing and unexpected entries are passed over; misshapen ones never are.
        """
        own = dict(self._walk(Tensor)) | dict(self.named_buffers())
        arrays = {path: np.asarray(value.data if isinstance(value, Tensor) else value) for path, value in state.items()}
        problems = [
            f"misshapen: {path} has shape {arrays[path].shape}, expected {target.shape}"
            for path, target in own.items()
            if path in arrays and arrays[path].shape != target.shape
        ]
        if strict:
            problems += [f"missing: {path} {target.shape}" for path, target in own.items() if path not in arrays]
            problems += [f"unexpected: {path} {array.shape}" for path, array in arrays.items() if path not in own]
        if problems:
            raise StateError(f"{type(self).__name__}.load_state_dict:\n  " + "\n  ".join(problems))
        for path, target in own.items():
            if path not in arrays:
                continue
            if isinstance(target, Tensor):
                target.overwrite(arrays[path])
            else:
                target[...] = arrays[path]

    def __repr__(self):
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return head + ("\n  " + "\n  ".join(lines) + "\n)" if lines else ")")

    def extra_repr(self):
        """What to print between the brackets: a layer's sizes."""
        return ""


def parameter(array):
    """A tensor that training changes."""
    return Tensor(np.asarray(array, dtype=np.float32), requires_grad=True)


def generator(rng):
    """The generator given, or a fresh one seeded by the operating system: then the run cannot be repeated."""
    if rng is None:
        return np.random.default_rng()
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: expected a np.random.Generator, got {type(rng).__name__}; try np.random.default_rng(0)")
    return rng
