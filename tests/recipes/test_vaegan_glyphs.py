"""The VAE/GAN's recipe: which step moves which network, and what the figures of a reconstruction are."""

import numpy as np
import pytest

from minigen.recipes import vaegan_glyphs


@pytest.fixture
def experiment():
    return vaegan_glyphs.Experiment(0, True, steps=4)


def moved(model, before):
    """The networks whose parameters are no longer what they were."""
    return {path.split(".")[0] for path, weight in model.named_parameters()
            if not np.array_equal(weight.data, before[path])}  # fmt: skip


def test_a_step_moves_each_network_by_its_own_optimiser(experiment, monkeypatch):
    model = experiment.model
    for name, optimizer in {"encoder": experiment.scribe, "generator": experiment.forger,
                            "discriminator": experiment.critic}.items():  # fmt: skip
        before = {path: weight.data.copy() for path, weight in model.named_parameters()}
        with monkeypatch.context() as still:
            for other in (experiment.scribe, experiment.forger, experiment.critic):
                if other is not optimizer:
                    still.setattr(other, "step", lambda: None)
            report = experiment.step()
        assert moved(model, before) == {name}
    assert list(report) == ["discriminator", "generator", "error", "kl"] and np.isfinite(list(report.values())).all()


def test_the_average_is_of_encoder_and_generator(experiment):
    experiment.step()
    trained = {path: weight.data.copy() for path, weight in experiment.model.named_parameters()}
    with experiment.ema.averaged():
        assert moved(experiment.model, trained) == {"encoder", "generator"}


def test_the_figures_of_perfect_and_of_lost_reconstructions():
    images, labels = vaegan_glyphs.letters(1000, seed=3)

    class Real:
        """Draws real letters."""

        def sample(self, n, rng):
            return vaegan_glyphs.letters(n, seed=77)[0]

        real = vaegan_glyphs.Experiment(0, True, steps=1).real

    perfect = vaegan_glyphs.measured(Real(), lambda x: x)
    assert perfect["reconstruction_mse"] == 0 and perfect["reconstruction_read"] > 0.99
    assert perfect["grey"] == pytest.approx(perfect["grey_real"], rel=0.1)
    assert perfect["reconstruction_frechet"] == pytest.approx(perfect["frechet_real"], rel=1e-6)
    assert perfect["frechet"] == pytest.approx(perfect["frechet_real"], rel=0.5) and perfect["legible"] > 0.95
    lost = vaegan_glyphs.measured(Real(), lambda x: np.broadcast_to(x.mean(axis=0), x.shape))
    assert lost["reconstruction_mse"] == pytest.approx((images / 16).var(axis=0).mean(), rel=1e-6)
    assert lost["reconstruction_read"] < 0.1 and lost["reconstruction_grey"] > 4 * lost["grey_real"]


def test_grey_is_what_is_neither_black_nor_white():
    assert vaegan_glyphs.grey(np.array([0, 16, 16, 0, 20, -1])) == 0
    assert vaegan_glyphs.grey(np.array([8, 16, 4, 0])) == pytest.approx((1 + 0.75) / 4)
