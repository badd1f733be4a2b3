"""gradcheck: is a gradient right? Compare it with differences of the function itself.

Let f take inputs x and return y. Draw random weights v of y's shape and a random direction u of x's shape. Then

    φ(t) = ⟨v, f(x + t·u)⟩,        φ′(0) = ⟨∇ₓ⟨v, f⟩, u⟩                                         (C.1)

The right side needs the gradient that the engine computes, the left side needs f alone. A wrong gradient disagrees
for almost every u and v. The weights v must be random: with v = 1 (that is, `f(x).sum()`) softmax would look constant,
and so would every mistake in its gradient.

How to take the left side. A central difference D(h) = (φ(h) − φ(−h)) / 2h has the error h²φ‴/6 + O(h⁴); in

    (4·D(h) − D(2h)) / 3  =  φ′(0) + O(h⁴)                                                     (C.2)

the h² terms cancel (Richardson). Rounding adds about 10⁻¹⁶/h. At h = 10⁻³ both are near 10⁻¹², five orders below the
tolerance of 10⁻⁶, and that lies three orders below a mistake of one part in a thousand. A function that bends sharply
needs a smaller h, so a disagreement is tried again with h/10 and h/100 before it counts: a right gradient agrees at
one of them, a wrong one at none.

What is compared. |analytic − numeric|, relative to the size of the gradient, with each input on its own so that a
large gradient does not hide a small one. Where the derivative is (nearly) zero compared with f itself, the error is
relative to 10⁻⁴ of f instead: so the zero second derivative of relu has an error of zero, not 0/0.

gradgradcheck does the same to the function (x, v) ↦ ∇ₓ⟨v, f⟩. When a check fails, every element is differenced on its
own and diagnosis.py looks for a pattern in what is wrong.
"""

import inspect
from dataclasses import dataclass

import numpy as np

from minigen.autograd.diagnosis import diagnose, diagnose_shapes
from minigen.autograd.failure import Failure
from minigen.autograd.graph import grad
from minigen.autograd.tensor import Tensor, constant
from minigen.errors import GradcheckError, MinigenError

DIRECTIONS = 2  # random directions per input
ELEMENTS = 400  # at most so many elements of an input are differenced one by one for the report
FLOOR = 1e-4  # a derivative this much smaller than the function counts as zero,
TINY = 1e-12  # and so does one this small


@dataclass(frozen=True)
class GradcheckResult:
    """error: the largest relative error; errors: the same for each input by its name. True in a condition."""

    error: float
    errors: dict

    def __bool__(self):
        return True


def gradcheck(f, inputs, *, parameters=None, eps=1e-3, rtol=1e-6, rng=None):
    """Check the first derivatives of f against finite differences; GradcheckError with a report if they are wrong.

    f:          a function of Tensors that returns a Tensor, or a tuple of them. It must give the same result twice.
    inputs:     its arguments, one or a sequence. Float arrays, and Tensors with requires_grad, are checked; all others
                are handed to f as they are.
    parameters: Tensors that f uses without being handed them: a list, or a dict with names. Found by themselves if f
                is a Module.
    eps, rtol:  the largest step h of (C.2), and the relative error that is allowed.
    rng:        draws the directions and weights; seed 0 unless given.

    Returns:  GradcheckResult.   Raises: GradcheckError if a gradient is wrong, or if an input or output is float32.
    """
    return _check(_Subject("gradcheck", f, inputs, parameters, rng), eps, rtol)


def gradgradcheck(f, inputs, *, parameters=None, eps=1e-3, rtol=1e-6, rng=None):
    """Check the first and the second derivatives of f; returns the errors of the second.

    Arguments as for `gradcheck`. The gradient's own derivatives are checked with respect to the inputs, the parameters
    and the incoming gradients. It must also be the same with create_graph as without it: fused kernels are held to
    their definitions.
    """
    first = _Subject("gradgradcheck", f, inputs, parameters, rng)
    try:
        _check(first, eps, rtol)
    except GradcheckError as error:
        raise GradcheckError(f"already the first order is wrong. {error}") from None
    return _check(_gradient_of(first), eps, rtol)


# -- the function under test ----------------------------------------------------------------------------------


class _Subject:
    """A function, its arguments, and the tensors to vary.

    f computes the outputs whose differences are taken; `recorded` the outputs that are differentiated. They are the
    same function for first derivatives. For second ones f is the plain gradient, `recorded` the create_graph one.
    """

    def __init__(self, name, f, inputs, parameters, rng):
        self.name = name
        self.f = self.recorded = f
        self.order = 1
        self.rng = np.random.default_rng(0) if rng is None else rng
        self.arguments = []
        self.varied = {}  # label → leaf Tensor
        self.weights = None
        names = _argument_names(f)
        for i, x in enumerate([inputs] if isinstance(inputs, Tensor | np.ndarray) else inputs):
            if _is_checked(x):
                x = Tensor(x, requires_grad=True)  # a leaf of our own: what is varied is never the caller's
                self.varied[f"input {i}" + (f" (`{names[i]}`)" if i < len(names) else "")] = x
            self.arguments.append(x)
        if parameters is None:
            parameters = dict(f.named_parameters()) if hasattr(f, "named_parameters") else {}
        if not isinstance(parameters, dict):
            parameters = dict(enumerate(parameters))
        self.varied |= {f"parameter {name}": p for name, p in parameters.items() if p.requires_grad}
        if not self.varied:
            raise GradcheckError(f"{name}: nothing to check: no input is a float array or requires grad")
        for label, x in self.varied.items():
            if x.dtype != np.float64:
                raise GradcheckError(
                    f"{name}: {label} is {x.dtype}; its rounding error of 1e-7 would drown the differences: use float64"
                )

    def forward(self, f):
        """The outputs of f, as a list of Tensors. The first call draws the weights v."""
        outputs = f(*self.arguments)
        outputs = [outputs] if isinstance(outputs, Tensor) else [y for y in outputs if isinstance(y, Tensor)]
        outputs = [y for y in outputs if y.dtype.kind == "f"]
        if self.weights is None:
            for i, y in enumerate(outputs):
                if y.dtype != np.float64:
                    raise GradcheckError(f"{self.name}: output {i} is {y.dtype} though all inputs are float64")
                if not np.isfinite(y._data).all():
                    raise GradcheckError(f"{self.name}: output {i} is not finite at this point; move the inputs")
            self.weights = [_random_signs(self.rng, y.shape) for y in outputs]
        return outputs

    def values(self):
        """The outputs as arrays."""
        return [y._data for y in self.forward(self.f)]

    def gradients(self):
        """∇⟨v, f⟩ for everything varied, from the engine; zeros where it says there is none."""
        outputs = self.forward(self.recorded)
        pairs = [(y, v) for y, v in zip(outputs, self.weights, strict=True) if y.requires_grad]
        if not pairs:
            return [np.zeros(x.shape) for x in self.varied.values()]
        ys, vs = zip(*pairs, strict=True)
        found = grad(ys, list(self.varied.values()), vs, allow_unused=True)
        return [np.zeros(x.shape) if g is None else g._data for g, x in zip(found, self.varied.values(), strict=True)]

    def moved(self, x, displacement):
        """The outputs with `displacement` added to the varied tensor x for this one call."""
        before = x._data
        x.data = before + displacement
        try:
            return self.values()
        finally:
            x._data = before

    def slopes(self, x, direction, h):
        """(C.2) for each element of each output: v · dy/dt."""
        plus, minus = self.moved(x, h * direction), self.moved(x, -h * direction)
        plus2, minus2 = self.moved(x, 2 * h * direction), self.moved(x, -2 * h * direction)
        return [
            v * (8 * (a - b) - (c - d)) / (12 * h)
            for v, a, b, c, d in zip(self.weights, plus, minus, plus2, minus2, strict=True)
        ]


def _gradient_of(first):
    """The Subject (x, v) ↦ ∇ₓ⟨v, f(x)⟩."""
    starts = list(first.varied.values())
    incoming = [Tensor(v, requires_grad=True) for v in first.weights]

    def gradient(create_graph):
        def function(*arguments):  # the very tensors that `first` and `incoming` hold
            pairs = [(y, v) for y, v in zip(first.forward(first.f), incoming, strict=True) if y.requires_grad]
            if not pairs:
                return [constant(np.zeros(x.shape)) for x in starts]
            ys, vs = zip(*pairs, strict=True)
            found = grad(ys, starts, vs, create_graph=create_graph, allow_unused=True)
            return [constant(np.zeros(x.shape)) if g is None else g for g, x in zip(found, starts, strict=True)]

        return function

    second = object.__new__(_Subject)
    second.name, second.rng, second.order, second.weights = first.name, first.rng, 2, None
    second.f, second.recorded = gradient(create_graph=False), gradient(create_graph=True)
    second.arguments = [*first.arguments, *incoming]
    second.varied = first.varied | {f"the gradient of output {i}": v for i, v in enumerate(incoming)}
    return second


def _is_checked(x):
    if isinstance(x, Tensor):
        return x.requires_grad
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _argument_names(f):
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _random_signs(rng, shape):
    """Random signs times sizes in [½, 1½]: no element gets so small a weight that a mistake there goes unseen."""
    return rng.choice((-1.0, 1.0), size=shape) * rng.uniform(0.5, 1.5, size=shape)


# -- the check ------------------------------------------------------------------------------------------------


def _check(subject, eps, rtol):
    try:
        analytic = subject.gradients()
    except (MinigenError, ValueError, IndexError, TypeError) as error:
        if isinstance(error, GradcheckError):
            raise
        why = f"{error}{diagnose_shapes(error)}"
        raise GradcheckError(f"{subject.name}: the gradient could not be computed: {why}") from error
    values = subject.values()
    if subject.order == 2:
        _check_both_paths(subject, values)
    size = float(np.sqrt(sum(np.square(v * y).sum() for v, y in zip(subject.weights, values, strict=True))))
    errors = {}
    for (label, x), g in zip(subject.varied.items(), analytic, strict=True):
        if not np.isfinite(g).all():
            raise GradcheckError(f"{subject.name}: the gradient for {label} holds a NaN or infinity")
        errors[label] = 0.0
        reach = max(1.0, float(np.sqrt(np.mean(np.square(x._data))))) if x.size else 1.0
        for _ in range(DIRECTIONS if x.size > 1 else 1):
            direction = _random_signs(subject.rng, x.shape) * reach
            error, h = _compare(subject, x, g, direction, size, eps, rtol)
            errors[label] = max(errors[label], error)
            if not error <= rtol:
                _fail(subject, label, x, g, h * reach, error, rtol)
    return GradcheckResult(max(errors.values()), errors)


def _compare(subject, x, gradient, direction, size, eps, rtol):
    """The smallest relative error over three steps, and the step that gave it."""
    claimed = float((gradient * direction).sum())
    best = (np.inf, eps)
    for h in (eps, eps / 10, eps / 100):
        measured = float(sum(s.sum() for s in subject.slopes(x, direction, h)))
        scale = max(float(np.linalg.norm(gradient * direction)), abs(measured), FLOOR * size, TINY)
        error = abs(claimed - measured) / scale
        best = min(best, (error if np.isfinite(error) else np.inf, h))
        if best[0] <= rtol / 100:
            break
    return best


def _check_both_paths(second, plain):
    """The gradient under create_graph is the same as the ordinary one: kernels agree with their definitions."""
    for label, a, b in zip(second.varied, plain, second.forward(second.recorded), strict=False):
        difference = np.abs(a - b._data).max(initial=0.0)
        if difference > 1e-8 * max(1.0, np.abs(a).max(initial=0.0)):
            raise GradcheckError(
                f"{second.name}: the gradient for {label} is not the same with create_graph as without, by "
                f"{difference:.2e}: a fused kernel differs from its definition, or a rule treats arrays and Tensors "
                "differently"
            )


def _fail(subject, label, x, gradient, step, error, rtol):
    """Difference element by element, look for a pattern, and raise."""
    places = list(np.ndindex(x.shape))
    if len(places) > ELEMENTS:
        places = [places[k] for k in np.sort(subject.rng.choice(len(places), size=ELEMENTS, replace=False))]
    numeric = np.full(x.shape, np.nan)
    for place in places:
        one = np.zeros(x.shape)
        one[place] = 1.0
        numeric[place] = sum(s.sum() for s in subject.slopes(x, one, step))
    failure = Failure(subject, x, gradient, numeric, step)
    worst = failure.worst
    order = "second derivative (of its gradient)" if subject.order == 2 else "gradient"
    a, n = gradient[worst], numeric[worst]
    raise GradcheckError(
        f"{subject.name}: the {order} for {label} of shape {x.shape} is wrong.\n"
        f"  element {tuple(worst)}: analytic {a:.6g}, numeric {n:.6g}; {failure.wrong.sum()} of {len(places)} elements "
        f"disagree; relative error {error:.1e}, allowed {rtol:.0e}\n"
        f"  likely cause: {diagnose(failure)}"
    )
