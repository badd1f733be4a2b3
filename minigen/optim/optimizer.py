"""Optimizer: parameter groups, state, saving and restoring; everything but the rule itself.

A rule (sgd.py, adam.py) is a class with three things: the limits of its options, the names of the arrays it keeps per
parameter, and `_update`, which changes parameters in place.

The state dict is flat: text keys to arrays and numbers, which `np.savez` stores as they are, without pickle:

    param_groups.0.lr     0.001            the options of each group
    state.3.step          50               how many updates parameter 3 has had
    state.3.exp_avg       array            its state arrays, under PyTorch's names
"""

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.errors import GraphError, StateError
from minigen.optim.flat import Flat


class Optimizer:
    """What all optimisers share.

    params:    Tensors that require gradients (a list or a generator), or a list of dicts
               {"params": Tensors, "lr": …, …} where a dict's options override the defaults for its group.
    defaults:  the options of groups that do not set them.

    `param_groups` is the list of groups; changing `param_groups[0]["lr"]` takes effect at the next step.

    On construction the parameters move into one array per group and dtype (see flat.py). They stay the same Tensors;
    arrays that you took from `p.data` before keep the old numbers.

    Raises: ValueError for no parameters, the same one twice, or an option outside its limits; GraphError for a Tensor
    that requires no gradient or was computed; TypeError for anything that is no Tensor.
    """

    limits = {"lr": (0.0, np.inf)}  # option → (least, bound that it stays below); of tuples, each entry

    def __init__(self, params, defaults):
        self.defaults = defaults
        self.param_groups = []
        self._flats = []  # one list of Flats per group
        if isinstance(params, Tensor):
            raise TypeError(f"{self._name}: expected a list of Tensors or of dicts, got one Tensor; write [tensor]")
        groups = list(params)
        if not groups:
            raise ValueError(f"{self._name}: got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self):
        return type(self).__name__

    def add_param_group(self, group):
        """Add parameters with options of their own: {"params": Tensors, "lr": …}."""
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f"{self._name}: a group is a dict with the key 'params', got {type(group).__name__}")
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        unknown = sorted(set(group) - set(self.defaults) - {"params", "initial_lr"})
        if unknown:
            raise ValueError(f"{self._name}: unknown options {unknown}; this optimiser has {sorted(self.defaults)}")
        options = self.defaults | {name: value for name, value in group.items() if name != "params"}
        options = {name: _plain(value) for name, value in options.items()}
        self._check_options(options)
        self._check_params(params)

        offset = sum(len(g["params"]) for g in self.param_groups)
        names = self._state_names(options)
        flats = []
        for dtype in dict.fromkeys(p.dtype for p in params):
            some = [i for i, p in enumerate(params) if p.dtype == dtype]
            flats.append(Flat([params[i] for i in some], [offset + i for i in some], names))
        self.param_groups.append({"params": params, **options})
        self._flats.append(flats)

    def zero_grad(self):
        """Forget all gradients; the next backward starts from none."""
        for group in self.param_groups:
            for p in group["params"]:
                p._grad = None

    def step(self):
        """Update every parameter that has a gradient, in place. The others, and their state, do not move."""
        for group, flats in zip(self.param_groups, self._flats, strict=True):
            for flat in flats:
                if self._state_names(group) != tuple(flat.state):
                    raise ValueError(
                        f"{self._name}: the group's options need state arrays {self._state_names(group)}, but it was "
                        f"built with {tuple(flat.state)}; build a new optimiser to switch momentum or amsgrad"
                    )
                for run in flat.walk():
                    self._update(group, *run)

    # -- for each rule to say -----------------------------------------------------------------------------------

    def _state_names(self, options):
        """Which arrays the rule keeps for every parameter, as a tuple of names."""
        raise NotImplementedError

    def _update(self, options, step, p, gradients, *state):
        """Change p and the state in place; see Flat.walk for the arguments."""
        raise NotImplementedError

    # -- checks -------------------------------------------------------------------------------------------------

    def _check_options(self, options):
        for name, (least, bound) in self.limits.items():
            for value in np.atleast_1d(options[name]):
                if not least <= value < bound:
                    raise ValueError(f"{self._name}: {name}={options[name]}; expected {least} ≤ {name} < {bound}")

    def _check_params(self, params):
        if not params:
            raise ValueError(f"{self._name}: got an empty parameter list")
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for position, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{self._name}: parameter {position} is a {type(p).__name__}, expected a Tensor")
            what = f"{self._name}: parameter {position} of shape {p.shape}"
            if not p.requires_grad:
                raise GraphError(f"{what} does not require grad; nothing would ever change it")
            if not p.is_leaf:
                raise GraphError(f"{what} is the result of an operation; expected a leaf, such as a module's parameter")
            if id(p) in known:
                raise ValueError(f"{what} is given twice; it would be updated twice per step")
            known.add(id(p))

    # -- saving -------------------------------------------------------------------------------------------------

    def state_dict(self):
        """Options, step counts and state as a flat dict of arrays (copies) and numbers."""
        saved = self._saved_options()
        for flat, i in self._places():
            if flat.steps[i]:
                key = f"state.{flat.positions[i]}"
                saved[f"{key}.step"] = flat.steps[i]
                for name, array in flat.state.items():
                    saved[f"{key}.{name}"] = array[flat.slices[i]].reshape(flat.params[i].shape).copy()
        return saved

    def load_state_dict(self, state_dict):
        """Go back to a saved state, to the bit. Also takes what np.load gives back.

        Raises: StateError, with the list of all missing, unexpected and misshapen entries, before any change.
        """
        self._check_saved(state_dict)
        for k, group in enumerate(self.param_groups):
            for name in self._saved_names(k, state_dict):
                group[name] = _plain(state_dict[f"param_groups.{k}.{name}"])
        for flat, i in self._places():
            key = f"state.{flat.positions[i]}"
            flat.steps[i] = int(state_dict.get(f"{key}.step", 0))
            for name, array in flat.state.items():
                array[flat.slices[i]] = np.reshape(state_dict[f"{key}.{name}"], -1) if flat.steps[i] else 0

    def _places(self):
        """Every parameter, as (the Flat it lives in, its index there)."""
        return [(flat, i) for flats in self._flats for flat in flats for i in range(len(flat.params))]

    def _saved_options(self):
        return {
            f"param_groups.{k}.{name}": np.array(value) if isinstance(value, tuple) else value
            for k, group in enumerate(self.param_groups)
            for name, value in group.items()
            if name != "params"
        }

    def _saved_names(self, k, saved):
        """The options to read for group k; a schedule may have added initial_lr to either side."""
        names = [name for name in self.param_groups[k] if name not in ("params", "initial_lr")]
        return names + ["initial_lr"] * (f"param_groups.{k}.initial_lr" in saved)

    def _check_saved(self, saved):
        expected = {}  # key → shape, or None for an option
        for k in range(len(self.param_groups)):
            expected |= {f"param_groups.{k}.{name}": None for name in self._saved_names(k, saved)}
        for flat, i in self._places():
            key = f"state.{flat.positions[i]}"
            names = [f"{key}.{name}" for name in flat.state]
            if f"{key}.step" in saved or any(name in saved for name in names):
                expected[f"{key}.step"] = ()
                expected |= dict.fromkeys(names, flat.params[i].shape)
        faults = [f"missing {key}" for key in expected if key not in saved]
        faults += [f"unexpected {key}" for key in saved if key not in expected]
        faults += [
            f"{key} has shape {np.shape(saved[key])}, expected {shape}"
            for key, shape in expected.items()
            if shape is not None and key in saved and np.shape(saved[key]) != shape
        ]
        if faults:
            raise StateError(f"{self._name}.load_state_dict: " + "; ".join(faults))


def _plain(value):
    """An option as bool, float or tuple of floats, whether it was given by hand or read from an .npz."""
    value = np.asarray(value)
    if value.dtype == bool:
        return bool(value)
    return float(value) if value.ndim == 0 else tuple(float(v) for v in value)
