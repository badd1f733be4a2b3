"""The critic of a student's leaps: closed forms of the two losses, gradients, and what it mends where squares blur."""

import numpy as np
import pytest

from minigen import Tensor, nn, ops
from minigen.autograd.gradcheck import gradcheck
from minigen.distributions.noised_mixture import NoisedMixture
from minigen.errors import MinigenError
from minigen.models import samplers
from minigen.models.distillation import Consistency
from minigen.models.gan import OBJECTIVES
from minigen.models.gan_networks import mlp
from minigen.models.schedules import Growing
from minigen.models.sharpening import Sharpened
from minigen.nn.time import PointNet
from minigen.optim import EMA, Adam

MIXTURE = NoisedMixture([[0.9, 0.0], [-0.5, 0.8], [-0.5, -0.8]], 0.05)
SCHEDULE = Growing(8.0)
TIMES = samplers.karras_times(SCHEDULE, 8, low=0.05)[-2::-1]
TEACHER = MIXTURE.predictor(SCHEDULE)


def made(rng, *, width=6, blocks=1, **settings):
    student = Consistency(PointNet(2, 2, width=width, blocks=blocks, rng=rng), SCHEDULE, TIMES, sigma_data=0.7)
    return Sharpened(student, mlp(2, 1, width=16, depth=2, slope=0.2, rng=rng), **settings)


def test_the_students_loss_is_the_old_one_and_the_games():
    rng = np.random.default_rng(0)
    pair = made(rng, weight=0.3, objective="non-saturating").to(np.float64)
    x, n, noise = MIXTURE.sample(4, rng=rng), np.array([0, 2, 5, 6]), rng.normal(size=(4, 2))
    loss, leaps = pair.student_loss(x, TEACHER, rng=rng, n=n, noise=noise)
    found, aim = pair.student.leaps(x, TEACHER, rng=rng, n=n, noise=noise)
    np.testing.assert_array_equal(leaps, found.data)
    game = np.logaddexp(0, -pair.critic(Tensor(leaps)).data[:, 0])
    np.testing.assert_allclose(loss.data, ((leaps - aim) ** 2).mean(1) + 0.3 * game)
    pair.weight = 0.0
    np.testing.assert_allclose(pair.student_loss(x, TEACHER, rng=rng, n=n, noise=noise)[0].data,
                               pair.student.loss(x, TEACHER, rng=rng, n=n, noise=noise).data)


@pytest.mark.parametrize("objective", ["non-saturating", "relativistic"])
def test_losses_are_those_of_the_game_and_penalties_half_their_weight_times_the_squared_slope(objective):
    rng = np.random.default_rng(7)
    pair = made(rng, objective=objective, weight=0.4, r1=0.0, r2=0.0).to(np.float64)
    for tensor in pair.parameters():
        tensor.overwrite(tensor.data + 0.3 * rng.normal(size=tensor.shape))
    x, leaps, n = MIXTURE.sample(5, rng=rng), rng.normal(size=(5, 2)), np.array([1, 4, 6, 0, 2])
    game = OBJECTIVES[objective]
    plain = pair.critic_loss(x, leaps).data
    real, forged = pair.logits(Tensor(x)), pair.logits(Tensor(leaps))
    np.testing.assert_allclose(plain, game.discriminator(real, forged).data)
    for name, samples in (("r1", x), ("r2", leaps)):
        seen = Tensor(samples, requires_grad=True)
        ops.sum(pair.logits(seen)).backward()
        setattr(pair, name, 0.6)
        np.testing.assert_allclose(pair.critic_loss(x, leaps).data - plain, 0.3 * (seen.grad.data**2).sum(1), rtol=1e-6)
        setattr(pair, name, 0.0)
    noise = rng.normal(size=(5, 2))
    loss, found = pair.student_loss(x, TEACHER, rng=rng, n=n, noise=noise)
    own = pair.student.loss(x, TEACHER, rng=rng, n=n, noise=noise).data
    np.testing.assert_allclose(loss.data - own, 0.4 * game.generator(real, pair.logits(Tensor(found))).data, rtol=1e-6)


@pytest.mark.parametrize("objective", ["non-saturating", "relativistic"])
def test_the_gradients_of_both_losses_are_right(objective):
    rng = np.random.default_rng(1)
    pair = made(rng, objective=objective, r1=0.4, r2=0.2).to(np.float64)
    for tensor in pair.parameters():
        tensor.overwrite(tensor.data + 0.3 * rng.normal(size=tensor.shape))
    x, n, noise = MIXTURE.sample(3, rng=rng), np.array([1, 4, 6]), rng.normal(size=(3, 2))
    fixed = pair.student.leaps(x, TEACHER, rng=rng, n=n, noise=noise)[1]
    pair.student.leaps = lambda *args, **kwargs: (pair.student(Tensor(SCHEDULE.noised(x, TIMES[n + 1], noise)),
                                                               TIMES[n + 1]), fixed)  # the aim does not move
    gradcheck(lambda: pair.student_loss(x, rng=rng)[0], (), parameters=dict(pair.student.named_parameters()))
    leaps = rng.normal(size=(3, 2))
    gradcheck(lambda: pair.critic_loss(x, leaps), (), parameters=dict(pair.critic.named_parameters()))


def test_the_best_critic_of_perfect_leaps_has_nothing_to_say():
    """If x̂₀ has the law of the data, a constant logit has the least loss, log 2 twice, and no slope for the student."""
    rng = np.random.default_rng(2)
    pair = made(rng, objective="non-saturating")
    for parameter in pair.critic.parameters():
        parameter.overwrite(0 * parameter.data)
    real, leaps = (MIXTURE.sample(64, rng=rng).astype(np.float32) for _ in range(2))
    np.testing.assert_allclose(pair.critic_loss(real, leaps).data, 2 * np.log(2), rtol=1e-6)
    x = Tensor(leaps, requires_grad=True)
    ops.sum(pair.logits(x)).backward()
    assert np.abs(x.grad.data).max() == 0
    pair.r1 = pair.r2 = 0.0
    for other, best in ((real[::-1], True), (leaps + np.float32(1.5), False)):  # the same law, and another
        losses = []
        for slope in (-0.1, 0.1):
            pair.critic = Straightedge(slope)
            losses.append(float(pair.critic_loss(real, other).data.mean()))
        assert (min(losses) > 2 * np.log(2)) == best, losses


class Straightedge(nn.Module):
    """A critic that knows one direction."""

    def __init__(self, slope):
        self.slope = slope

    def forward(self, x):
        return ops.sum(x, dim=1) * self.slope


def test_a_critic_mends_what_squares_blur():
    """One call of a student too small for its task: with the critic more of its samples lie near a mode."""

    def near(weight):
        rng = np.random.default_rng(3)
        pair = made(rng, width=16, weight=weight)
        learn, watch = Adam(pair.student.parameters(), lr=3e-3), Adam(pair.critic.parameters(), lr=3e-3, betas=(0, 0.9))
        ema = EMA(pair.student, 0.95)
        for step in range(500):
            learn.param_groups[0]["lr"] = 3e-3 * (1 - step / 500)
            x = MIXTURE.sample(128, rng=rng).astype(np.float32)
            loss, leaps = pair.student_loss(x, TEACHER, rng=rng, averaged=ema.averaged)
            learn.zero_grad()
            loss.mean().backward()
            learn.step()
            ema.update()
            if weight:
                watch.zero_grad()
                pair.critic_loss(x, leaps).mean().backward()
                watch.step()
        noise = pair.student.noise((2_000, 2), rng=np.random.default_rng(4))
        with ema.averaged():
            found = pair.student.sample(noise)
        distance = ((found[:, None] - MIXTURE.means) ** 2).sum(-1)
        shares = np.bincount(distance.argmin(1), minlength=3) / 2_000
        return np.mean(distance.min(1) < 0.2**2), shares

    plain, _ = near(0.0)
    sharp, shares = near(0.1)
    assert sharp > plain + 0.05, (plain, sharp)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.12)


def test_what_makes_no_sense_is_refused():
    rng = np.random.default_rng(5)
    for wrong in ({"objective": "chess"}, {"weight": -1}, {"r1": -0.1}):
        with pytest.raises(MinigenError, match="Sharpened: objective"):
            made(rng, **wrong)
    assert isinstance(made(rng).critic, nn.Module)
