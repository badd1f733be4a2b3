"""What kind of mistake is it? Hypotheses about a gradient that a check found wrong.

Given the analytic gradient `a` of a wrong rule and the numeric one `n`, each hypothesis below is one test of the two
arrays, or of the function once more, and the sentence to say if it holds. They are tried from the most to the least
specific; the first that holds is reported. A hypothesis may be wrong about the cause, but what it says about the
numbers is true.
"""

import itertools
import math

import numpy as np

from minigen.autograd.failure import CLOSE

STEP_AT_KINK = 1e-6  # one-sided slopes of a smooth function differ by about this much; at a kink by its whole angle


def diagnose(failure):
    """One sentence on the likely cause."""
    found = next((text for text in (test(failure) for test in HYPOTHESES) if text), None)
    if failure.subject.order == 2 and not (found and "not deterministic" in found):
        hint = "the first order is right, so a second-order term was dropped or is wrong: look for a rule that reads "
        hint += "`.data`, a detached tensor or a NumPy result where it should read the Tensor"
        return f"{hint} (seen in the numbers: {found})" if found else hint
    if found:
        return found
    right = int((failure.known & ~failure.wrong).sum())
    return f"no known pattern; {right} of {int(failure.known.sum())} elements agree"


def diagnose_shapes(error):
    """For an error out of the backward pass that carries the shapes (got, expected) of a gradient."""
    got, expected = getattr(error, "shapes", (None, None))
    if got is None:
        return ""
    if sorted(got) == sorted(expected):
        return ".\n  likely cause: the gradient is transposed, or its axes are permuted"
    if len(got) < len(expected) or all(g in (1, e) for g, e in zip(got, expected, strict=False)):
        return ".\n  likely cause: a missing broadcast: the gradient of a sum must be repeated along the summed axes"
    return ".\n  likely cause: the gradient is summed over the wrong axis, or taken at the wrong size"


# -- is there a gradient at all? ------------------------------------------------------------------------------


def _random_forward(failure):
    first, again = failure.subject.values(), failure.subject.values()
    if any(not np.array_equal(a, b) for a, b in zip(first, again, strict=True)):
        return (
            "the function is not deterministic: two calls with the same inputs differ. Draw random numbers outside it, "
            "or seed its generator anew in each call"
        )


def _random_backward(failure):
    first, again = failure.subject.gradients(), failure.subject.gradients()
    if any(not np.array_equal(a, b) for a, b in zip(first, again, strict=True)):
        return "the gradient is not deterministic: a rule draws random numbers (a mask?) anew in the backward pass"


def _kink(failure):
    subject, here = failure.subject, failure.subject.values()
    one = np.zeros(failure.n.shape)
    one[failure.worst] = 1.0
    sides = []
    for h in (STEP_AT_KINK, -STEP_AT_KINK):
        there = subject.moved(failure.x, h * one)
        rows = zip(subject.weights, there, here, strict=True)
        sides.append(sum(float((v * (p - q)).sum()) for v, p, q in rows) / h)
    right, left = sides
    if abs(right - left) > 1e-3 * max(abs(right), abs(left), abs(failure.n[failure.worst])) + 1e-7:
        return (
            f"the function has a kink or a jump at this point: its slope is {left:.6g} from the left and {right:.6g} "
            "from the right. Move the input away from it"
        )


def _missing(failure):
    if not failure.a.any():
        return "the gradient is missing altogether: it is zero, as if the result did not depend on this input"


# -- the right numbers with one thing done to them -------------------------------------------------------------


def _sign(failure):
    if failure.same(failure.a, -failure.n):
        return "wrong sign: analytic = −numeric everywhere"


def _factor(failure):
    n = failure.n
    if (failure.zero & failure.known).all():
        return None
    c = float((failure.a * n).sum() / (n * n).sum())
    if not failure.same(failure.a, c * n) or (n.size == 1 and not _plain(c)):
        return None
    y = failure.subject.values()
    sizes = set(itertools.chain(n.shape, [n.size], *([z.size, *z.shape] for z in y)))
    sizes |= {math.prod(some) for k in range(2, n.ndim) for some in itertools.combinations(n.shape, k)}
    sign = "wrong sign and a wrong factor" if c < 0 else "wrong factor"
    for k in sorted(sizes, reverse=True):
        if k > 2 and math.isclose(abs(c), k, rel_tol=1e-4):
            return f"{sign}: analytic = {c:.6g} × numeric; {k} is a size of these arrays: a 1/n (of a mean) is missing"
        if k > 2 and math.isclose(abs(c), 1 / k, rel_tol=1e-4):
            return (
                f"{sign}: analytic = numeric / {k}; {k} is a size of these arrays: a mean was taken for a sum, or 1 of "
                f"{k} broadcast copies was counted"
            )
    return f"{sign}: analytic = {c:.6g} × numeric everywhere (a missing or extra factor of {_name_of(c)})"


def _plain(c):
    return any(math.isclose(abs(c), k, rel_tol=1e-4) or math.isclose(abs(c), 1 / k, rel_tol=1e-4) for k in range(2, 17))


def _name_of(c):
    return {2.0: "2", 0.5: "2", 4.0: "4", 0.25: "4"}.get(round(abs(c), 4), f"{abs(c):.6g}")


def _transposed(failure):
    n = failure.n
    if not failure.complete or not failure.telling(n):
        return None
    for dims in itertools.permutations(range(n.ndim)):
        if dims != tuple(range(n.ndim)) and failure.same(failure.a, np.transpose(n, dims)):
            return f"transposed: analytic = numeric with its axes in the order {dims}; two axes are swapped"


def _other_transposed(failure):
    """The gradient is right for another input that is the transpose of what it is (a product with the wrong factor)."""
    if not failure.complete or failure.n.size > 100:
        return None
    for label, z in failure.subject.varied.items():
        if z is failure.x or z.ndim < 2 or z.shape[-1] != z.shape[-2]:
            continue
        before, z.data = z._data, z._data.swapaxes(-1, -2)
        try:
            if failure.same(failure.a, failure.numeric()):
                return f"transposed factor: the gradient would be right if {label} were transposed"
        finally:
            z._data = before


def _moved(failure):
    """Shifted, reversed, or in another order along one axis."""
    a, n = failure.a, failure.n
    if not failure.complete or not failure.telling(n):
        return None
    for count in range(1, n.ndim + 1):
        for axes in itertools.combinations(range(n.ndim), count):
            if failure.same(a, np.flip(n, axes)):
                return f"reversed: analytic = numeric read backwards along axis {', '.join(map(str, axes))}"
    for axis in range(n.ndim):
        for by in (1, -1):
            if failure.same(a, np.roll(n, by, axis)):
                return _shift_text(axis, by)
            if n.shape[axis] > 2:
                cut = (slice(None),) * axis
                low, high = (*cut, slice(0, -1)), (*cut, slice(1, None))
                to, source = (high, low) if by > 0 else (low, high)
                if failure.telling(n[source]) and failure.same(a[to], n[source]):
                    return _shift_text(axis, by)
    if failure.same(np.sort(a, axis=None), np.sort(n, axis=None)):
        return "the right numbers at the wrong places: an index or a mask picks the wrong element"


def _shift_text(axis, by):
    way = "forwards" if by > 0 else "backwards"
    return f"shifted by one along axis {axis} ({way}): an index or padding is off by one"


def _mask(failure):
    a, n, zero = failure.a, failure.n, failure.zero & failure.known
    if zero.any() and not zero.all() and failure.same(a[~zero], n[~zero]):
        return "missing mask: right wherever the gradient is not zero, but not zero where it should be"
    wrong = failure.wrong
    if (~wrong & ~failure.zero).any() and not a[wrong].any():
        return "a mask too many: zero at some elements that do have a gradient, right at all others"


# -- sums over the wrong things --------------------------------------------------------------------------------


def _one_of_many(failure):
    """x enters several results, but only one of them is counted."""
    places = [tuple(p) for p in np.argwhere(failure.wrong)[:4]]
    count = 0
    for place in places:
        parts = np.concatenate([s.ravel() for s in failure.slopes(place)])
        parts = parts[np.abs(parts) > CLOSE * failure.size]
        if len(parts) < 2 or not (np.abs(parts - failure.a[place]) <= CLOSE * failure.size).any():
            return None
        count = max(count, len(parts))
    if not places:
        return None
    for y in failure.subject.values():
        if y.shape != failure.n.shape and _broadcasts(failure.n.shape, y.shape):
            return f"missing broadcast sum: only one of the {count} copies of an element is counted in its gradient"
    return (
        f"missing sum: an element that is used {count} times gets the gradient of one use only: gradients are "
        "overwritten where they should be added (a repeated index?)"
    )


def _broadcasts(small, large):
    extra = len(large) - len(small)
    return extra >= 0 and all(s in (1, n) for s, n in zip(small, large[extra:], strict=True))


def _shared_term(failure):
    """The error is one number per row, perhaps times something: a mean or sum along the row is missing."""
    if not failure.complete:
        return None
    error, x = failure.a - failure.n, failure.x._data
    factors = [("", np.ones(x.shape))]
    for y in failure.subject.values():
        if y.shape == x.shape and failure.subject.order == 1:
            factors += [("the output × ", y), ("e^output × ", np.exp(np.minimum(y, 50)))]
    factors += [("the input × ", x)]
    spans = [(k,) for k in range(x.ndim)] + [tuple(i for i in range(x.ndim) if i != k) for k in range(x.ndim)]
    spans += [tuple(range(k, x.ndim)) for k in range(x.ndim)]
    for axes in dict.fromkeys(axes for axes in spans if axes):
        if math.prod(x.shape[k] for k in axes) < 3:
            continue
        for name, factor in [*factors, ("the centred input × ", x - x.mean(axis=axes, keepdims=True))]:
            # The best per-row multiple of `factor`, and what it leaves unexplained.
            weight = (factor * factor).sum(axis=axes, keepdims=True)
            row = (error * factor).sum(axis=axes, keepdims=True) / np.where(weight > 0, weight, 1)
            if failure.same(row * factor, error):
                where = axes[0] if len(axes) == 1 else axes
                return (
                    f"the error is {name}one number per row along axis {where}: a term that couples the elements of a "
                    "row, their mean or a sum over them, is missing or runs over the wrong axis"
                )


def _one_hot(failure):
    wrong = failure.wrong
    if not failure.complete or wrong.ndim < 2:
        return None
    for axis in range(wrong.ndim):
        if wrong.shape[axis] > 2 and (wrong.sum(axis=axis) == 1).all():
            if wrong.shape[-1] == wrong.shape[-2] and not (wrong & ~np.eye(wrong.shape[-1], dtype=bool)).any():
                return "only the diagonal is wrong"
            return (
                f"exactly one element per row along axis {axis} is wrong: a one-hot term (a target, an index, the "
                "largest element) is missing or misplaced"
            )


def _pointwise(failure):
    """analytic = numeric × some function of the input or the output, element by element."""
    x, good = failure.x._data, ~failure.zero & failure.known
    if good.sum() < 2:
        return None
    names = {"the input": x}
    for y in failure.subject.values():
        if y.shape == x.shape:
            names["the output"] = y
    for name, z in names.items():
        for power, text in (
            (1, "{} too many: analytic = numeric × {}"),
            (-1, "{} is missing: analytic = numeric / {}"),
        ):
            with np.errstate(all="ignore"):
                expected = failure.n * z**power
            if np.isfinite(expected[good]).all() and failure.same(failure.a[good], expected[good]):
                return "a factor of " + text.format(name, name)
            if np.isfinite(expected[good]).all() and failure.same(failure.a[good], -expected[good]):
                return "wrong sign, and a factor of " + text.format(name, "−" + name)


HYPOTHESES = (
    _random_forward, _random_backward, _kink, _missing, _sign, _factor, _transposed, _mask, _moved, _other_transposed,
    _one_of_many, _pointwise, _one_hot, _shared_term,
)  # fmt: skip
