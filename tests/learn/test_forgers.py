"""The judge of lesson 08's open exercise."""

import pytest

from minigen.learn import forgers, mark


def test_the_learners_game_is_played():
    experiment = forgers.play({"r1": 0.2, "packing": 2, "momentum": 0.0, "fading": 0.5}, steps=2)
    assert experiment.model.packing == 2 and experiment.betas == (0.0, 0.99) and experiment.fading == 0.5
    assert experiment.model.objective == "non-saturating" and experiment.game["r1"] == 0.2
    assert forgers.play({}, steps=1).betas[0] == 0.9


@pytest.mark.parametrize(("game", "counts", "advice"), [
    ({}, (8, 0.9, 0.5), "What does momentum do"),
    ({"momentum": 0}, (8, 0.9, 0.03), "Nothing damps this game"),
    ({"momentum": 0, "r1": 0.1}, (7, 0.9, 0.1), "Modes are missing or rare"),
    ({"momentum": 0, "r1": 9}, (8, 0.3, 0.001), "but blurred"),
])  # fmt: skip
def test_the_advice_fits_what_was_found(monkeypatch, game, counts, advice):
    found = dict(zip(("modes", "high_quality", "reverse_kl"), counts, strict=True))
    played = type("Played", (), {"evaluate": lambda self: found})
    monkeypatch.setattr(forgers, "play", lambda game: played())
    result = mark("08.7", lambda: game)
    assert result.status == "wrong" and advice in result.message


@pytest.mark.slow
def test_the_hints_game_passes_and_the_first_game_does_not():
    best = {"objective": "relativistic", "r1": 0.1, "r2": 0.1, "fading": 1e-5, "momentum": 0}
    assert mark("08.7", lambda: best).status == "done"
    assert mark("08.7", lambda: {}).status == "wrong"
