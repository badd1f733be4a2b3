"""Shuffled minibatches: one pass (`batches`), or an endless stream whose place can be saved (`Batches`).

An epoch is one random permutation of the examples, cut into consecutive pieces. To continue a stopped run in
the same bits, three things are needed: the permutation in use, how far it is used up, and the generator's
state, from which every later permutation follows. `Batches.state()` is those three.
"""

import copy

import numpy as np

from minigen.errors import DataError, ShapeError


def batches(arrays, size, *, rng, drop_last=False):
    """One shuffled pass over an array, or over a tuple of arrays with equal first axes, in batches of `size`.

    Yields an array if given an array, a tuple if given a tuple. The last batch is smaller when `size` does
    not divide the number of examples, unless drop_last. The permutation is drawn when the first batch is
    asked for.

    Shapes:   each array (B_all, …) → (size, …)
    Raises:   ShapeError if the first axes differ, are empty, or if drop_last leaves no batch at all.
    """
    stream = Batches(arrays, size, rng=rng, drop_last=drop_last)
    return _one_epoch(stream)


def _one_epoch(stream):
    while stream.epoch == 0:
        yield next(stream)


class Batches:
    """Endless shuffled minibatches, epoch after epoch: `next(stream)` never stops.

    `.epoch` counts finished epochs; `.position` is how many examples of the running epoch were handed out.
    After the last batch of an epoch the two read (epoch + 1, 0). The permutation of an epoch is drawn when
    its first batch is asked for, so a generator shared with the training step is used in the order of the
    calls.

    Shapes:   each array (B_all, …) → (size, …)
    Raises:   ShapeError if the first axes differ, are empty, or if drop_last leaves no batch at all.
    """

    def __init__(self, arrays, size, *, rng, drop_last=False):
        self._single = not isinstance(arrays, (tuple, list))
        self.arrays = (np.asarray(arrays),) if self._single else tuple(np.asarray(array) for array in arrays)
        self.length = _common_length(self.arrays)
        if isinstance(size, bool) or int(size) != size or size < 1:
            raise ShapeError(f"Batches: size {size!r} is not a positive whole number")
        if drop_last and size > self.length:
            raise ShapeError(f"Batches: size {size} with drop_last leaves no batch of {self.length} examples")
        self.size, self.drop_last, self.rng = int(size), bool(drop_last), rng
        self.epoch, self.position = 0, 0
        self._permutation = None
        # With drop_last the tail of each permutation is never handed out.
        self._end = self.length - self.length % self.size if drop_last else self.length

    def __iter__(self):
        return self

    def __len__(self):
        """Batches in one epoch."""
        return -(-self._end // self.size)

    def __next__(self):
        if self._permutation is None:
            self._permutation = self.rng.permutation(self.length)
        chosen = self._permutation[self.position : self.position + self.size]
        self.position += len(chosen)
        if self.position >= self._end:
            self.epoch, self.position, self._permutation = self.epoch + 1, 0, None
        batch = tuple(array[chosen] for array in self.arrays)
        return batch[0] if self._single else batch

    def state(self):
        """The place in the stream, as a dict of plain numbers, text, dicts of those, and one int64 array.

        `permutation` is empty between epochs. `rng` is the generator's own state dict. The copy is deep:
        later batches do not change it.
        """
        return {
            "epoch": self.epoch,
            "position": self.position,
            "permutation": np.empty(0, np.int64) if self._permutation is None else self._permutation.copy(),
            "rng": copy.deepcopy(self.rng.bit_generator.state),
            "length": self.length,
            "size": self.size,
            "drop_last": self.drop_last,
        }

    def restore(self, state):
        """Go to a place saved by `state()`: the batches from here on are the same, bit for bit.

        The generator given at construction is set too; a generator that is shared is thereby set for all.

        Raises:   DataError if the state belongs to other data, another batch size or another kind of
                  generator.
        """
        for name in ("length", "size", "drop_last"):
            if state[name] != getattr(self, name):
                raise DataError(f"Batches.restore: the saved {name} is {state[name]}, here it is "
                                f"{getattr(self, name)}: the state belongs to another run")
        kind, saved_kind = self.rng.bit_generator.state["bit_generator"], state["rng"]["bit_generator"]
        if kind != saved_kind:
            raise DataError(f"Batches.restore: the saved generator is {saved_kind}, here it is {kind}")
        permutation = np.asarray(state["permutation"], dtype=np.int64)
        position = int(state["position"])
        running = permutation.size > 0
        if running and not np.array_equal(np.sort(permutation), np.arange(self.length)):
            raise DataError(f"Batches.restore: the saved permutation is not one of {self.length} examples")
        if not 0 <= position < self._end or (position > 0) != running:
            raise DataError(f"Batches.restore: position {position} does not fit the saved permutation "
                            f"of {permutation.size} examples")
        self.rng.bit_generator.state = copy.deepcopy(state["rng"])
        self.epoch, self.position = int(state["epoch"]), position
        self._permutation = permutation.copy() if running else None


def _common_length(arrays):
    lengths = [array.shape[0] if array.ndim else None for array in arrays]
    if not lengths or None in lengths or len(set(lengths)) > 1 or lengths[0] == 0:
        shapes = ", ".join(str(array.shape) for array in arrays) or "none"
        raise ShapeError(f"Batches: shapes {shapes}; expected arrays with one equal, non-zero first axis")
    return lengths[0]
