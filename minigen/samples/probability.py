"""Samples for every distribution: the gradients of what has a closed form, in the parameters and in the value."""

import numpy as np

from minigen import distributions as D
from minigen.samples import Sample
from minigen.samples.draws import Draws

SEED = 5  # of the noise: rsample is a function of the parameters once the noise is fixed


def _normal(d):
    return D.Normal, [d.normal(3, 2), d.between(0.4, 2, 2)], d.normal(3, 2)


def _laplace(d):
    return D.Laplace, [d.normal(4), d.between(0.4, 2, 4)], 3 + d.apart(3, 4)


def _uniform(d):
    return D.Uniform, [d.between(-2, -1, 3), d.between(1, 2, 3)], d.between(-0.9, 0.9, 2, 3)


def _bernoulli(d):
    return D.Bernoulli, [d.apart(3, 4)], d.whole(2, 3, 4)


def _categorical(d):
    return D.Categorical, [d.normal(3, 5)], d.whole(5, 3)


def _mixture(d):
    def build(logits, loc, scale):
        return D.MixtureSameFamily(D.Categorical(logits), D.Normal(loc, scale))

    return build, [d.normal(3), d.normal(2, 3), d.between(0.4, 2, 2, 3)], d.normal(2)


def _logistic(d):
    def build(loc, log_scale):
        return D.DiscretizedLogistic(loc, log_scale, bins=8)

    return build, [d.between(-1, 1, 3, 6), d.between(-2, 0, 6)], np.array([[0, 7, 3, 4, 1, 6]] * 3)


def _logistic_mixture(d):
    def build(logits, loc, log_scale):
        return D.DiscretizedLogisticMixture(logits, loc, log_scale, bins=5)

    return build, [d.normal(4, 2), d.between(-1, 1, 4, 2), d.between(-2, 0, 4, 2)], np.array([0, 4, 2, 3])


FAMILIES = {
    "Normal": _normal, "Laplace": _laplace, "Uniform": _uniform, "Bernoulli": _bernoulli, "Categorical": _categorical,
    "MixtureSameFamily": _mixture, "DiscretizedLogistic": _logistic, "DiscretizedLogisticMixture": _logistic_mixture,
}  # fmt: skip


def _call(build, method, count, value):
    """Parameters (and value) → the method's result, as a function of Tensors."""

    def function(*tensors):
        distribution = build(*tensors[:count])
        if method == "rsample":
            return distribution.rsample((2,), rng=np.random.default_rng(SEED))
        if method in ("log_prob", "cdf"):
            return getattr(distribution, method)(tensors[count] if len(tensors) > count else value)
        attribute = getattr(distribution, method)
        return attribute() if method == "entropy" else attribute

    return function


def _entry(family, method):
    def make(rng):
        made = []
        for _ in range(2):
            build, parameters, value = FAMILIES[family](Draws(rng))
            arrays = list(parameters)
            if method in ("log_prob", "cdf") and value.dtype.kind == "f":
                arrays.append(value)
            made.append(Sample(_call(build, method, len(parameters), value), tuple(arrays)))
        return made

    return make


def _kl(p, q):
    def make(rng):
        return [_kl_sample(p, q, Draws(rng)) for _ in range(2)]

    return make


def _kl_sample(p, q, d):
    build_p, of_p, _ = FAMILIES[p](d)
    build_q, of_q, _ = FAMILIES[q](d)
    if p == q == "Uniform":
        of_q = [of_p[0] - 1, of_p[1] + 1]  # KL is finite only if the second interval holds the first
    count = len(of_p)
    return Sample(lambda *t: D.kl_divergence(build_p(*t[:count]), build_q(*t[count:])), (*of_p, *of_q))


def _standard_normal(rng):
    d = Draws(rng)
    return [
        Sample(D.kl_standard_normal, (d.normal(3, 4), d.normal(3, 4))),
        Sample(D.kl_standard_normal, (d.normal(2), d.normal(2))),
    ]


PROBABILITY = {f"{family}.{method}": _entry(family, method) for family in FAMILIES for method in (
    "log_prob", "rsample", "cdf", "entropy", "mean", "variance",
)}  # fmt: skip
PROBABILITY |= {f"kl({p}, {q})": _kl(p, q) for p in FAMILIES for q in FAMILIES}
PROBABILITY["kl_standard_normal"] = _standard_normal
