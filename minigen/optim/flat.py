"""Flat: many parameters, one array.

A network has dozens of parameters, many of them small, and an optimiser does a dozen elementwise operations on each.
Called parameter by parameter, NumPy would spend its time on being called. So the parameters of one group and dtype
are moved, once, into one contiguous array, and every parameter becomes a view into it:

    data      [ w₁ w₁ w₁ w₁ w₁ w₁ | b₁ b₁ | w₂ w₂ w₂ w₂ w₂ w₂ w₂ w₂ | b₂ ]
    exp_avg   [ . . . . . . . . . . . . . . . . . . . . . . . . . . . . . ]     state arrays of the same length

The Tensors stay the same objects with the same names and shapes; only the memory behind them has moved. Somebody may
give a parameter other memory later (`p.data = array`, a second optimiser): `gather` sees that it is no longer the
view, copies the new values in and makes it the view again.

Each update is then one call of a kernel (kernels/optimizer.py) that goes over the long arrays once. Gradients stay
where backward has made them; the kernel gets them as a list.

A parameter without a gradient must not move, nor its state, nor its step count. So an update covers *runs*:
neighbouring parameters that have gradients and have taken equally many steps. As a rule there is one run, everything.
"""

from itertools import accumulate

import numpy as np

from minigen.errors import ShapeError


class Flat:
    """Parameters of one dtype in one array, with their state arrays and step counts.

    params:       Tensors of one dtype.
    positions:    the number of each within the optimiser (its key in the state dict).
    state_names:  which state arrays the rule keeps, all zero at the start.
    """

    def __init__(self, params, positions, state_names):
        self.params = params
        self.positions = positions
        self.dtype = params[0].dtype
        ends = [0, *accumulate(p.size for p in params)]
        self.slices = [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        self.data = np.empty(ends[-1], self.dtype)
        self.views = [self.data[place].reshape(p.shape) for p, place in zip(params, self.slices, strict=True)]
        self.state = {name: np.zeros(ends[-1], self.dtype) for name in state_names}
        self.steps = [0] * len(params)
        self.gather()

    def gather(self):
        """Make every parameter a view into `data` again, with the values that it has now."""
        for p, view, place in zip(self.params, self.views, self.slices, strict=True):
            if p._data is view:
                continue
            if p._data.dtype != self.dtype or p._data.shape != view.shape:
                raise ShapeError(
                    f"optimiser: a parameter of shape {view.shape} and {self.dtype} has become {p._data.shape} "
                    f"and {p._data.dtype}; convert the model first, then build the optimiser"
                )
            self.data[place] = p._data.reshape(-1)
            p._data = view
            p._version.touch()  # a graph may still hold the view, with the values of before

    def runs(self):
        """Count one step for each parameter that has a gradient; list the runs as [first, last, step]."""
        found = []
        for i, p in enumerate(self.params):
            if p._grad is None:
                continue
            self.steps[i] += 1
            p._version.touch()
            if found and found[-1][1:] == [i, self.steps[i]]:
                found[-1][1] = i + 1
            else:
                found.append([i, i + 1, self.steps[i]])
        return found

    def walk(self):
        """Yield for each run (step, p, gradients, state…), what a rule needs to update p in place.

        p and the state arrays are for the rule to change; gradients is the list of the parameters' own gradients.
        """
        self.gather()
        for first, last, step in self.runs():
            place = slice(self.slices[first].start, self.slices[last - 1].stop)
            gradients = [p._grad._data for p in self.params[first:last]]
            yield step, self.data[place], gradients, *(array[place] for array in self.state.values())
