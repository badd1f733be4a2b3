"""The digits' VAE with flows: the flows that are asked for are there, and learn."""

import numpy as np
import pytest

from minigen.models.bijections import Chain, Inverse
from minigen.models.realnvp import Coupling
from minigen.recipes import vae_flow_digits


@pytest.mark.parametrize(("posterior", "prior"), [(2, 0), (0, 3), (2, 3), (0, 0)])
def test_either_flow_may_be_left_out(posterior, prior):
    kind = type("E", (vae_flow_digits.Experiment,), {"posterior_layers": posterior, "prior_layers": prior, "width": 8})
    experiment = kind(0, True, steps=3)
    assert isinstance(experiment.model.posterior, Inverse if posterior else Chain)
    assert sum(isinstance(part, Coupling) for part in experiment.model.prior.modules()) == prior
    before = {name: tensor.numpy() for name, tensor in experiment.model.named_parameters()}
    for _ in range(3):
        assert np.isfinite(experiment.step()["loss"])
    moved = {name for name, tensor in experiment.model.named_parameters() if np.any(tensor.data != before[name])}
    assert any(name.startswith("posterior") for name in moved) == (posterior > 0)
    assert any(name.startswith("prior") for name in moved) == (prior > 0)
    assert experiment.sample(5, np.random.default_rng(0)).shape == (5, 8, 8)
    assert np.isfinite(experiment.validate())
