"""The state of a run: what a resumed run must have back so that it goes on in the same bits.

A run's state is a dict from a name to a live object. Three kinds are understood:

- anything with `state_dict()` and `load_state_dict(…)`: a Module, an optimiser, an average of weights, a schedule. Of a
  Module also the random generators of its layers (Dropout's), and whether each part is in training mode;
- anything with `state()` and `restore(…)`: the place in a stream of batches;
- a `np.random.Generator`.
"""

import copy

import numpy as np

from minigen.autograd import Tensor
from minigen.errors import CheckpointError, MinigenError, TrainingError


def check_names(state):
    """Raise TrainingError if an entry of the state is nothing that can be saved and brought back."""
    for name, thing in state.items():
        if not (isinstance(thing, np.random.Generator) or _has(thing, "state_dict", "load_state_dict")
                or _has(thing, "state", "restore")):
            raise TrainingError(
                f"fit: state[{name!r}] is a {type(thing).__name__}; expected something with state_dict and "
                f"load_state_dict, with state and restore, or a np.random.Generator"
            )


def capture(state):
    """A copy of the whole state as a tree of plain values and arrays."""
    return {name: copy.deepcopy(_capture_one(thing)) for name, thing in state.items()}


def _capture_one(thing):
    if isinstance(thing, np.random.Generator):
        return thing.bit_generator.state
    if not _has(thing, "state_dict", "load_state_dict"):
        return thing.state()
    tree = {"state_dict": thing.state_dict()}
    if hasattr(thing, "named_generators"):
        tree["generators"] = {path: rng.bit_generator.state for path, rng in thing.named_generators()}
    if hasattr(thing, "modules"):
        tree["training"] = [module.training for module in thing.modules()]
    return tree


def restore(state, tree):
    """Put a captured tree back into the live objects.

    Raises:  CheckpointError if the tree has other entries than the state, or one does not fit its object.
    """
    missing, unknown = sorted(set(state) - set(tree)), sorted(set(tree) - set(state))
    if missing or unknown:
        raise CheckpointError(f"the checkpoint belongs to another run: missing {missing}, unexpected {unknown}")
    for name, thing in state.items():
        try:
            _restore_one(thing, copy.deepcopy(tree[name]))
        except (MinigenError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint's {name} does not fit this run: {error}") from error


def _restore_one(thing, tree):
    if isinstance(thing, np.random.Generator):
        thing.bit_generator.state = tree
    elif not _has(thing, "state_dict", "load_state_dict"):
        thing.restore(tree)
    else:
        thing.load_state_dict(tree["state_dict"])
        if "generators" in tree:
            generators = dict(thing.named_generators())
            if set(generators) != set(tree["generators"]):
                raise CheckpointError(f"random generators {sorted(tree['generators'])}, here {sorted(generators)}")
            for path, rng in generators.items():
                rng.bit_generator.state = tree["generators"][path]
        for module, mode in zip(getattr(thing, "modules", tuple)(), tree.get("training", ()), strict=True):
            module.training = mode


def finite_paths(tree):
    """Paths of the floating-point arrays in a tree that hold only finite numbers."""
    return {path for path, array in _float_arrays(tree, "") if np.isfinite(array).all()}


def first_spoilt(tree, finite):
    """The first path of `finite` that now holds a NaN or an infinity, or any NaN at all; None if all is well.

    Arrays that were infinite on purpose from the start, such as a mask of −∞, are allowed to stay so.
    """
    for path, array in _float_arrays(tree, ""):
        if np.isnan(array).any() or (path in finite and not np.isfinite(array).all()):
            return path
    return None


def _float_arrays(tree, path):
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _float_arrays(value, f"{path}/{key}" if path else str(key))
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from _float_arrays(value, f"{path}/{index}")
    elif isinstance(tree, Tensor):
        yield path, tree.data
    elif isinstance(tree, np.ndarray) and tree.dtype.kind == "f":
        yield path, tree


def _has(thing, *methods):
    return all(callable(getattr(thing, method, None)) for method in methods)


class Counter:
    """A count that is part of the state of a run: how many steps are done, for a schedule that needs to know.

    `schedule(counter.advance())` at the start of a step gives 0 in the first one, 1 in the second.
    """

    def __init__(self):
        self.value = 0

    def advance(self):
        """The number of steps before this one; then count one more."""
        self.value += 1
        return self.value - 1

    def state(self):
        """For the checkpoint."""
        return {"value": self.value}

    def restore(self, state):
        """From the checkpoint."""
        self.value = int(state["value"])
