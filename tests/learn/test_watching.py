"""Watching a game: what is kept, and what the arrows are."""

import numpy as np
import pytest

from minigen.learn import watching
from minigen.models.gan import OBJECTIVES
from minigen.recipes import gan_digits, gan_grid, gan_ring


@pytest.fixture
def experiment():
    return gan_ring.Experiment(0, steps=4)


def test_losses_and_samples_are_kept(experiment):
    game = watching.watch(experiment, "short", keep=(0, 2), n=20)
    assert sorted(game.samples) == [0, 2, 4] and all(points.shape == (20, 2) for points in game.samples.values())
    assert [len(values) for values in game.losses.values()] == [4, 4]
    assert not np.array_equal(game.samples[0], game.samples[4])


def test_watching_does_not_change_the_training(experiment):
    watching.watch(experiment, "watched", keep=(0, 1, 2), n=5)
    alone = gan_ring.Experiment(0, steps=4)
    for _ in alone.fit(progress=False):
        pass
    for a, b in zip(experiment.model.parameters(), alone.model.parameters(), strict=True):
        assert np.array_equal(a.data, b.data)


def test_a_game_of_pictures_is_watched_too(monkeypatch):
    shown = []
    monkeypatch.delenv("MINIGEN_STATIC", raising=False)
    monkeypatch.setattr(watching.Live, "show", lambda self, picture: shown.append(picture))
    game = watching.watch(gan_digits.Experiment(0, True, steps=3), "digits", every=1, keep=(0,), n=12)
    assert sorted(game.samples) == [0, 3] and game.samples[3].shape == (12, 8, 8)
    assert len(shown) == 3 and all(len(picture.axes) == 2 for picture in shown)
    assert "Step 1: digits" in shown[0]._suptitle.get_text()


@pytest.mark.parametrize("objective", ["non-saturating", "saturating", "relativistic"])
def test_the_arrows_are_the_downhill_slope_of_the_generators_loss(objective):
    experiment = type("E", (gan_grid.Experiment,), {"game": {"objective": objective}})(1)
    at = np.array([[1.3, -2.1], [0.4, 3.0]])
    real = experiment.truth.sample(256, rng=np.random.default_rng(0))

    def loss(points):
        t, r = (watching.logits(experiment, x).astype(np.float64) for x in (points, real))
        found = OBJECTIVES[objective].generator(_tensor(r[None, :]), _tensor(t[:, None])).data
        return np.broadcast_to(found, (len(points), found.shape[1])).mean(axis=1)

    h = 1e-2
    expected = np.stack([(loss(at - d) - loss(at + d)) / (2 * h) for d in h * np.eye(2)], axis=1)
    found = watching.pushes(experiment, at) * experiment.scale  # it differentiates by the scaled points
    np.testing.assert_allclose(found, expected, atol=5e-3)


def _tensor(array):
    from minigen import Tensor

    return Tensor(array)


def test_a_curve_is_smoothed_by_means_of_pieces():
    steps, values = watching.smooth(np.arange(10.0), pieces=5)
    assert np.array_equal(values, [0.5, 2.5, 4.5, 6.5, 8.5]) and np.array_equal(steps, values + 1)
    assert len(watching.smooth([3.0])[1]) == 1


def test_a_filmstrip_has_a_row_for_each_game(experiment, tmp_path):
    game = watching.watch(experiment, "short", keep=(0,), n=10)
    rows = {"one": (experiment, game), "two": (experiment, game)}
    picture = watching.filmstrip("two games", rows, (0, 4), tmp_path / "film.png")
    assert len(picture.axes) == 4 and (tmp_path / "film.png").exists()


def test_counts_are_told(experiment, capsys):
    game = watching.watch(experiment, "short", n=10)
    watching.tell(game, experiment.truth)
    assert capsys.readouterr().out.startswith("step     4: ")
