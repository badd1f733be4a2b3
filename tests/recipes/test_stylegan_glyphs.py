"""The style-based generator's recipe: its pairs and its shares are what they are said to be."""

import numpy as np
import pytest

from minigen.data import glyphs
from minigen.recipes import stylegan_glyphs, vae_glyphs
from minigen.recipes.stylegan_glyphs import CAPITALS, CHOICE, LETTERS


@pytest.fixture(scope="module")
def experiment():
    return stylegan_glyphs.Experiment(0, True, steps=4)


def test_an_alphabet_is_of_one_typeface_size_and_place():
    images = stylegan_glyphs.alphabets(5, seed=1)
    plain = glyphs.load(5, seed=1, **CHOICE)
    for i, letter in enumerate(plain.character):
        np.testing.assert_array_equal(images[i, letter], plain.images[i, 0])
    for letter in (0, 7, 25):  # a letter alone, with the same draws
        alone = glyphs.load(5, seed=1, **CHOICE | {"characters": CAPITALS[letter]})
        np.testing.assert_array_equal(images[:, letter], alone.images[:, 0])
        np.testing.assert_array_equal(alone.typeface, plain.typeface)
        np.testing.assert_array_equal(alone.weight, plain.weight)


def test_pairs_are_two_letters_of_one_alphabet(experiment):
    for _ in range(3):
        images, labels = experiment.pairs_of_letters()
        half = len(images) // 2
        assert images.shape[1:] == (1, 28, 28) and images.min() >= -1 and images.max() <= 1
        assert (labels[:half] != labels[half:]).all()
        for i in range(half):
            one, other = (stylegan_glyphs.scaled(experiment.train[:, labels[j]]) == images[j] for j in (i, i + half))
            assert (one.all((1, 2, 3)) & other.all((1, 2, 3))).any()  # both in one alphabet


def test_no_held_out_letter_is_trained_on(experiment):
    assert np.array_equal(experiment.test.images, glyphs.load(1000, seed=3, **vae_glyphs.CHOICE).images)
    seen = {image.tobytes() for image in experiment.train.reshape(-1, 28 * 28)}
    assert not any(image.tobytes() in seen for image in experiment.test.images)


def test_a_step_moves_both_players_and_leaves_the_critic_trainable(experiment):
    players = experiment.model.generator, experiment.model.critic
    before = [{name: p.data.copy() for name, p in player.named_parameters()} for player in players]
    for _ in range(2):
        assert set(experiment.step()) == {"discriminator", "generator"}
    still = []
    for player, old in zip(players, before, strict=True):
        assert all(p.requires_grad for p in player.parameters())
        still += [name for name, p in player.named_parameters() if np.array_equal(p.data, old[name])]
    # The relativistic game looks at differences of logits only: what is added to all of them has no slope.
    assert set(still) <= {"single.head.bias", "compare.2.bias"}


def test_a_perfect_artist_reaches_the_real_letters_figures(experiment, monkeypatch):
    """In place of the generator a file of real alphabets, one for each style."""
    other = stylegan_glyphs.alphabets(200, seed=9)
    monkeypatch.setattr(experiment, "drawn", 8)
    monkeypatch.setattr(experiment, "styles", lambda n, rng, truncation=1.0: np.arange(n)[:, None] % 200)
    monkeypatch.setattr(experiment, "mixed", lambda w, _: w)
    monkeypatch.setattr(experiment, "draw_letters", lambda w, labels, rng=None: other[w[:, 0], labels].astype(float))
    found = experiment.evaluate()
    assert found["letter_accuracy"] > 0.98 and found["mixing_keeps_letter"] == found["letter_accuracy"]
    assert found["swap_keeps_typeface"] == pytest.approx(found["real_swap_keeps_typeface"], abs=0.06)
    assert found["recall"] > 0.85 and found["precision"] > 0.95
    assert 0.3 < found["bold"] < 0.7 and 0.3 < found["italic"] < 0.7


def test_an_artist_who_changes_the_typeface_with_the_letter_is_found_out(experiment, monkeypatch):
    other = stylegan_glyphs.alphabets(200, seed=9)
    monkeypatch.setattr(experiment, "drawn", 8)
    monkeypatch.setattr(experiment, "styles", lambda n, rng, truncation=1.0: np.arange(n)[:, None] % 200)
    monkeypatch.setattr(experiment, "mixed", lambda w, _: w)
    monkeypatch.setattr(experiment, "draw_letters",
                        lambda w, labels, rng=None: other[rng.integers(200, size=len(w)), labels].astype(float))
    found = experiment.evaluate()
    assert found["letter_accuracy"] > 0.98 and found["swap_keeps_typeface"] == pytest.approx(0.25, abs=0.1)
    assert found["swap_keeps_family"] == pytest.approx(1 / 3, abs=0.12)


def test_samples_are_letters_in_turn_and_repeat_with_their_generator(experiment):
    first, second = (experiment.sample(30, np.random.default_rng(1)) for _ in range(2))
    assert first.shape == (30, 28, 28) and first.min() >= 0 and first.max() <= 255
    np.testing.assert_array_equal(first, second)
    w = experiment.styles(30, np.random.default_rng(1))
    alone = experiment.draw_letters(w, np.arange(30) % LETTERS)
    assert np.abs(alone - first).max() < 60  # the noise is young, so the two are alike


def test_evaluating_and_drawing_leave_the_state_as_it_is(experiment, tmp_path):
    from minigen.train import capture

    before = repr(capture(experiment.state)["rng"]), experiment.model.generator.rng.bit_generator.state
    experiment.sample(3, np.random.default_rng(0))
    experiment.styles_picture(tmp_path / "styles.png")
    assert before == (repr(capture(experiment.state)["rng"]), experiment.model.generator.rng.bit_generator.state)
    assert experiment.model.generator.training and (tmp_path / "styles.png").is_file()
