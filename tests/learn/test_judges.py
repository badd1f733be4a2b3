import numpy as np
import pytest

from minigen import likelihoods
from minigen.learn import judges, mark
from minigen.learn.checking import DONE
from minigen.learn.checking import WRONG as FAILED
from minigen.models.vae import VAE, mlp_decoder, mlp_encoder


def build(likelihood, hidden=128, latent=8):
    def my_vae(rng):
        encoder = mlp_encoder(64, latent, hidden=hidden, dropout=0.1, high=16, rng=rng)
        decoder = mlp_decoder(latent, likelihood, 64, hidden=hidden, dropout=0.1, rng=rng)
        return VAE(encoder, decoder, likelihood, latent)

    return my_vae


@pytest.mark.slow
def test_the_open_exercise_can_be_solved_and_the_lessons_own_model_does_not_solve_it():
    good = mark("05.6", build(likelihoods.DiscretizedLogisticMixture(17)))
    assert good.status == DONE, good.message
    plain = mark("05.6", build(likelihoods.Categorical(17)))
    assert plain.status == FAILED and "Asked for is 98 or less" in plain.message


def test_training_lowers_the_bound_and_is_repeatable(monkeypatch):
    values = []
    for _ in range(2):
        model = build(likelihoods.DiscretizedLogistic(17), hidden=32)(np.random.default_rng(0))
        images = judges.digits.splits().validation.images
        before = judges.bounds(model, images, rng=np.random.default_rng(0))[0].mean()
        judges.train_digits(model, rng=np.random.default_rng(1), steps=40)
        values.append(judges.bounds(model, images, rng=np.random.default_rng(0))[0].mean())
        assert values[-1] > before + 20
    assert values[0] == values[1]


@pytest.mark.parametrize(("bound", "kl", "seen", "phrase"), [
    (110.0, 0.2, 109.0, "posterior collapse"),
    (170.0, 3.0, 169.0, "uniform guess has 181.3"),
    (110.0, 9.0, 80.0, "by heart"),
    (100.0, 9.0, 97.0, "Which likelihood"),
])  # fmt: skip
def test_the_advice_names_the_trouble(bound, kl, seen, phrase):
    assert phrase in judges._advice(bound, kl, seen)
