"""Watching a generator of letters: readings of real glyphs, whose answers are known; and a few steps of training."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from minigen.data import glyphs
from minigen.learn import typefaces
from minigen.models.stylegan import StyleGenerator
from minigen.recipes import stylegan_glyphs

LETTERS = "ABEGHKRS"


def puppet():
    path = Path(__file__).with_name("wrong_answers") / "lesson09.py"
    spec = importlib.util.spec_from_file_location("wrong_answers_lesson09", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Puppet()


@pytest.fixture(scope="module")
def real():
    return glyphs.load(300, seed=5, characters=LETTERS, sizes=("large",), positions=("centre",))


def scaled(images):
    return (images / 127.5 - 1).astype(np.float32)


def test_the_reader_reads_real_letters(real):
    found = typefaces.read(scaled(real.images), LETTERS)
    wanted = np.array([LETTERS.index(glyphs.CHARACTERS[code]) for code in real.character])
    assert np.mean(found["letter"] == wanted) > 0.99
    for name in ("weight", "slant", "family"):
        assert np.mean(found[name] == getattr(real, name)) > 0.9, name
    said = typefaces.shares(scaled(real.images), wanted, LETTERS)
    assert said["bold"] == pytest.approx(real.weight.mean(), abs=0.05)
    assert said["right letters"] > 0.99
    assert np.corrcoef(typefaces.log_odds(scaled(real.images), "weight"), real.weight)[0, 1] > 0.9


def test_follows_counts_only_what_differs():
    first, other = {"a": np.array([0, 0, 1, 1])}, {"a": np.array([1, 0, 0, 1])}
    assert typefaces.follows(first, other, {"a": np.array([1, 1, 1, 1])}) == {"a": 0.5}
    assert np.isnan(typefaces.follows(first, first, first)["a"])


def test_per_layer_gives_the_other_style_to_the_layers_listed():
    w, other = np.zeros((2, 3)), np.ones((2, 3))
    assert typefaces.per_layer(w, other, [1, 3], 4)[:, 0, 0].tolist() == [0, 1, 0, 1]


def test_a_sheet_has_a_row_for_each_letter_and_a_column_for_each_style():
    generator = StyleGenerator(8, (4, 4, 4), starts=3, rng=np.random.default_rng(0)).eval()
    w = generator.styles(np.random.default_rng(1).standard_normal((5, 8)))
    sheet = typefaces.sheet(generator, w, 3)
    assert sheet.shape == (15, 1, 28, 28)
    assert sheet[7] == pytest.approx(generator.pictures(w[2:3], np.array([1]))[0], abs=1e-5)
    assert np.array_equal(sheet, typefaces.sheet(generator, np.stack([w] * 6), 3))


def test_the_right_layers_of_the_puppet_pass():
    for layers in ([4, 5], (5, 4)):
        passed, text = typefaces.layers_of_weight(lambda layers=layers: (puppet(), layers))
        assert passed, text
        assert "100.0% of the letters stay" in text


def test_published_says_what_the_file_has_or_where_it_is(tmp_path, capsys):
    run = {"seed": 1, "steps": 6000, "seconds": 300.0, "metrics": {"recall": 0.75, "letter_accuracy": 0.9}}
    (tmp_path / "results.json").write_text(json.dumps({"some-recipe": [run]}), encoding="utf-8")
    typefaces.published("some-recipe", ("letter_accuracy", "recall"), tmp_path / "results.json")
    wanted = "some-recipe, 6,000 steps, seed 1: letter accuracy 0.900, recall 0.750; 5 minutes\n"
    assert capsys.readouterr().out == wanted
    for path in (tmp_path / "results.json", tmp_path / "nothing.json"):
        typefaces.published("other-recipe", ("recall",), path)
        assert "figures/results.json" in capsys.readouterr().out


def test_a_search_comes_nearer_and_fresh_noise_makes_it_jitter():
    generator = StyleGenerator(8, (4, 4, 4), starts=3, rng=np.random.default_rng(0)).eval()
    labels = np.array([0, 1, 2])
    targets = generator.pictures(generator.styles(np.random.default_rng(1).standard_normal((3, 8))), labels)
    calm = typefaces.search_errors(generator, targets, labels, steps=60)
    assert calm[-1] < 0.4 * calm[0]
    assert np.diff(calm[-20:]).std() < 0.02 * calm[-1]
    for layer in generator.synthesis.convs:
        layer.strength.overwrite(layer.strength.data + 0.3)
    shaken = typefaces.search_errors(generator, targets, labels, steps=60, noise=np.random.default_rng(2))
    assert np.diff(shaken[-20:]).std() > 0.05 * shaken[-1]


def test_alphabets_of_a_few_letters_have_them_in_their_places_and_one_weight_each():
    images = stylegan_glyphs.alphabets(40, "RBA", seed=1)
    assert images.shape == (40, 3, 28, 28)
    for place, pictures in enumerate(images.swapaxes(0, 1)):
        assert np.mean(typefaces.read(scaled(pictures[:, None]), "RBA")["letter"] == place) > 0.95
    weights = [typefaces.read(scaled(images[:, place, None]), "RBA")["weight"] for place in range(3)]
    assert np.mean(weights[0] == weights[1]) > 0.9 and np.mean(weights[0] == weights[2]) > 0.9


def test_a_film_goes_on_where_it_stopped(real, tmp_path, capsys):
    class Tiny(stylegan_glyphs.Experiment):
        letters, alphabets, widths, critic_widths = "ABR", 20, (8, 8, 4), (4, 8, 8)

    experiment = Tiny(0, steps=6)
    film = typefaces.Film(experiment, scaled(real.images[:60]), columns=4)
    film.until(2, "a start")
    film.until(6, "the end")
    assert [len(values) for values in film.losses.values()] == [6, 6]
    assert list(film.figures) == [2, 6] and set(film.figures[6]) == {"right letters", "precision", "recall"}
    assert "step     6: right letters" in capsys.readouterr().out
    film.picture("again")
    assert film.sheets[6].shape == (12, 1, 28, 28)
    film.strip("two", [2, 6], tmp_path / "strip.png", columns=2)
    assert (tmp_path / "strip.png").stat().st_size > 1000
    same = Tiny(0, steps=6)
    for _ in same.fit(progress=False):
        pass
    again = typefaces.Film(same, real, columns=4)
    with same.ema.averaged():
        assert np.array_equal(again.experiment.model.generator.eval().pictures(np.zeros((1, 32)), np.array([0])),
                              film.generator().pictures(np.zeros((1, 32)), np.array([0])))
