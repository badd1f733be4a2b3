"""EMA: an exponential moving average of the parameters.

    a ← decay · a + (1 − decay) · p   after every step                                         (O.11)

Late in training the parameters hop about a minimum, as far as the noise of the batches and the learning rate make
them. Their average over the last 1/(1 − decay) steps lies nearer to it. Samples are drawn from the averaged model;
training goes on from the parameters themselves.
"""

import contextlib
from itertools import accumulate

import numpy as np

from minigen import kernels
from minigen.autograd.mode import no_grad
from minigen.autograd.tensor import Tensor
from minigen.errors import GraphError, StateError


class EMA:
    """Keeps the average (O.11) of parameters; it starts as a copy of them.

    parameters:  a module (then the state dict has its parameter names), or Tensors (then they are numbered).
    decay:       share of the old average that is kept per update, 0 ≤ decay < 1; 0.999 remembers 1,000 steps.

    Use:  ema = EMA(model, 0.999)
          each step:   optimizer.step(); ema.update()
          to sample:   with ema.averaged(): model.sample(…)

    Raises: ValueError for a decay outside [0, 1) or no parameters.
    """

    def __init__(self, parameters, decay=0.999):
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay={decay}; expected 0 ≤ decay < 1")
        if hasattr(parameters, "named_parameters"):
            self._params = dict(parameters.named_parameters())
        else:
            items = [parameters] if isinstance(parameters, Tensor) else parameters
            self._params = {str(i): p for i, p in enumerate(items)}
        if not self._params:
            raise ValueError("EMA: got no parameters")
        self.decay = float(decay)
        self.updates = 0
        self._average = {}  # name → view into one array per dtype, as in flat.py
        self._flats = []  # (such an array, its parameters)
        for dtype in dict.fromkeys(p.dtype for p in self._params.values()):
            some = {name: p for name, p in self._params.items() if p.dtype == dtype}
            flat = np.concatenate([p._data.reshape(-1) for p in some.values()])
            ends = accumulate(p.size for p in some.values())
            for end, (name, p) in zip(ends, some.items(), strict=True):
                self._average[name] = flat[end - p.size : end].reshape(p.shape)
            self._flats.append((flat, list(some.values())))
        self._swapped = False

    def update(self):
        """Move the average towards the parameters as they are now, (O.11)."""
        if self._swapped:
            raise GraphError("EMA.update: the parameters are swapped for their average; leave `averaged()` first")
        for average, params in self._flats:
            kernels.ema(average, [p._data for p in params], weight=1.0 - self.decay)
        self.updates += 1

    @contextlib.contextmanager
    def averaged(self):
        """Inside `with ema.averaged():` the parameters hold the average. On leaving, the trained values come back.

        The Tensors stay the same; their arrays are exchanged, so the optimiser notices nothing. Train outside:
        changes made inside are an error (GraphError on leaving), because they would be lost.
        """
        if self._swapped:
            raise GraphError("EMA.averaged: already inside such a block")
        trained = {name: p._data for name, p in self._params.items()}
        safe = {name: array.copy() for name, array in trained.items()}
        lent = {name: average.copy() for name, average in self._average.items()}
        before = {name: p._version.changed for name, p in self._params.items()}
        for name, p in self._params.items():
            p._data = lent[name]
        self._swapped = True
        try:
            yield self
        finally:
            self._swapped = False
            changed = [n for n, p in self._params.items() if p._version.changed != before[n] or p._data is not lent[n]]
            for name, p in self._params.items():
                p._data = trained[name]
            with no_grad():
                for name in changed:  # an optimiser that stepped inside has overwritten its own memory, `trained`
                    self._params[name].write_(safe[name])
        if changed:
            raise GraphError(f"EMA.averaged: parameters {changed} were changed inside the block; the change is lost")

    def state_dict(self):
        """The average and the number of updates, as a flat dict of arrays (copies) and numbers for `np.savez`."""
        arrays = {f"average.{name}": average.copy() for name, average in self._average.items()}
        return {"decay": self.decay, "updates": self.updates, **arrays}

    def load_state_dict(self, state_dict):
        """Go back to a saved state, to the bit.

        Raises: StateError that lists what does not fit, before any change.
        """
        expected = {"decay", "updates", *(f"average.{name}" for name in self._average)}
        faults = [f"missing {key}" for key in sorted(expected - set(state_dict))]
        faults += [f"unexpected {key}" for key in sorted(set(state_dict) - expected)]
        for name, average in self._average.items():
            shape = np.shape(state_dict.get(f"average.{name}", average))
            if shape != average.shape:
                faults.append(f"average.{name} has shape {shape}, expected {average.shape}")
        if faults:
            raise StateError("EMA.load_state_dict: " + "; ".join(faults))
        self.decay = float(state_dict["decay"])
        self.updates = int(state_dict["updates"])
        for name, average in self._average.items():
            average[...] = state_dict[f"average.{name}"]
