"""Flat: many parameters, one array.

A network has dozens of parameters, many of them small, and an optimiser does a dozen elementwise operations on each.
Called parameter by parameter, NumPy would spend its time on being called. So the parameters of one group and dtype
are moved, once, into one contiguous array, and every parameter becomes a view into it:

    data      [ w₁ w₁ w₁ w₁ w₁ w₁ | b₁ b₁ | w₂ w₂ w₂ w₂ w₂ w₂ w₂ w₂ | b₂ ]
    exp_avg   [ . . . . . . . . . . . . . . . . . . . . . . . . . . . . . ]     state arrays of the same length

The Tensors stay the same objects with the same names and shapes; only the memory behind them has moved. Somebody may
give a parameter other memory later (`p.data = array`, a second optimiser): `gather` sees that it is no longer the
view, copies the new values in and makes it the view again.

Each update then runs over the long arrays in blocks small enough that all arrays of one block stay in the cache from
the first operation of the rule to the last.

A parameter without a gradient must not move, nor its state, nor its step count. So an update covers *runs*:
neighbouring parameters that have gradients and have taken equally many steps. As a rule there is one run, everything.
"""

from itertools import accumulate

import numpy as np

from minigen.errors import ShapeError

# Elements per block. Adam reads five arrays: 1.3 MB of float32. Measured: smaller blocks pay for more calls, and with
# ten million parameters one single block takes 1.6 times as long.
BLOCK = 65536


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
        self.scratch = np.empty((2, min(BLOCK, ends[-1])), self.dtype)
        self._blocks = {}  # (first, last) → the blocks of that run
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

    def blocks(self, first, last):
        """Cut the run of parameters first … last − 1 into blocks: (slice of data, [(parameter, slice of it), …])."""
        if (first, last) not in self._blocks:
            start, stop = self.slices[first].start, self.slices[last - 1].stop
            self._blocks[first, last] = [
                self._block(first, last, a, min(a + BLOCK, stop)) for a in range(start, stop, BLOCK)
            ]
        return self._blocks[first, last]

    def _block(self, first, last, a, b):
        pieces = []
        for i in range(first, last):
            place = self.slices[i]
            low, high = max(a, place.start), min(b, place.stop)
            if low < high:
                pieces.append((i, slice(low - place.start, high - place.start)))
        return slice(a, b), pieces

    def walk(self):
        """Yield for each block (step, p, g, s, t, state…), what a rule needs to update p in place.

        p and the state arrays are for the rule to change; g is for it to read only (it may be the parameter's own
        gradient); s and t are scratch space of the same length. g may be s: a rule may write a changed g into s.
        """
        self.gather()
        for first, last, step in self.runs():
            gradients = [p._grad._data.reshape(-1) for p in self.params[first:last]]
            for place, pieces in self.blocks(first, last):
                s, t = self.scratch[:, : place.stop - place.start]
                parts = [gradients[i - first][inside] for i, inside in pieces]
                if len(parts) == 1 and parts[0].dtype == self.dtype:
                    g = parts[0]
                else:
                    g = np.concatenate(parts, out=s, casting="same_kind")
                yield step, self.data[place], g, s, t, *(array[place] for array in self.state.values())
