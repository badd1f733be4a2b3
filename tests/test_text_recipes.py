"""What recipes for text add: pictures of text, samples as text, figures for every order."""

import numpy as np
import pytest

from minigen import recipes, viz
from minigen.data import stories
from minigen.data.characters import Characters
from minigen.models.ngram import NGram
from minigen.recipes import base


@pytest.fixture(scope="module")
def trained():
    experiment = recipes.get("ngram-stories").build(0, True)
    for _ in experiment.fit(progress=False):
        pass
    return experiment


def test_the_figures_are_those_of_models_fitted_directly_and_above_the_floor(trained):
    metrics = trained.evaluate()
    characters = Characters(stories.alphabet())
    train, validation, test = map(characters.encode, stories.splits(100_000, seed=0))
    for order in (1, 3, 8):
        direct = NGram(order, characters.size).fit(train)
        assert metrics[f"test_order{order}"] == pytest.approx(direct.cross_entropy(test), rel=1e-12)
    assert metrics["exact_entropy"] == stories.entropy_per_character()
    values = [metrics[f"test_order{order}"] for order in range(1, 9)]
    assert values == sorted(values, reverse=True) and values[-1] > 2 * metrics["exact_entropy"]
    assert metrics["test_best"] == metrics[f"test_order{metrics['best_order']}"]


def test_the_steps_report_training_and_validation(trained, tmp_path):
    experiment = recipes.get("ngram-stories").build(0, True, steps=3)
    reports = list(experiment.fit(progress=False, folder=tmp_path))
    assert [set(report.metrics) for report in reports] == [{"validation", "training"}] * 3
    assert experiment.model.order == 3
    assert all(path.is_file() for path in experiment.pictures(tmp_path))


def test_samples_are_n_whole_texts_and_the_same_for_the_same_seed(trained):
    first, second = (trained.sample(5, np.random.default_rng(2)) for _ in range(2))
    assert first == second and len(first) == 5
    assert all(text and stories.END not in text and text[-1] in '.!"' for text in first)


def test_shakespeare_is_cut_by_position_and_its_passages_follow_an_empty_line(tmp_path):
    text = "".join(f"ANNA:\nLine {n} is spoken.\n\n" for n in range(200))
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    with pytest.warns(UserWarning, match="in place of"):
        experiment = recipes.get("ngram-shakespeare").build(0, data=tmp_path / "text.txt")
    assert experiment.steps == 6
    cut = int(0.9 * len(text))
    assert experiment.characters.decode(experiment.train) == text[:cut]
    assert experiment.characters.decode(experiment.validation) == text[cut:]
    for _ in experiment.fit(progress=False):
        pass
    assert all(passage.startswith("ANNA:") for passage in experiment.sample(3, np.random.default_rng(0)))
    metrics = experiment.evaluate()
    assert "exact_entropy" not in metrics
    assert metrics["validation_order6"] == experiment.model.cross_entropy(experiment.validation)


@pytest.mark.parametrize("width", [3, 6, 9])
def test_drawn_text_stays_inside_its_axes(width):
    picture, axes = viz.figure("A title", width=width, height=3)
    count = base.draw_text(axes, stories.sample(20, rng=np.random.default_rng(0)), title="twenty stories")
    picture.draw_without_rendering()
    box, frame = axes.texts[0].get_window_extent(), axes.get_window_extent()
    assert count > len(axes.texts[0].get_text().split("\n"))  # there was not room for all
    assert box.y0 >= frame.y0 - 2 and box.y1 <= frame.y1 + 2
    assert box.x0 >= frame.x0 - 2 and box.x1 <= picture.bbox.x1


def test_text_is_wrapped_at_words_and_parted_by_empty_lines():
    lines = base.text_lines(["one two three four five six seven", "next\n\nline"], 110, 10)
    assert lines == ["one two three four", "five six seven", "", "next", "", "line"]
    code = base.text_lines(["def f(x):\n    return x"], 110, 10, "monospace")
    assert code == ["def f(x):", "    return x"]


def test_letters_of_one_width_fill_the_width_and_no_more():
    picture, axes = viz.figure("", width=6, height=3)
    base.draw_text(axes, ["x" * 500], family="monospace")
    picture.draw_without_rendering()
    box, frame = axes.texts[0].get_window_extent(), axes.get_window_extent()
    assert 0.9 * frame.width < box.width <= frame.width


def test_control_characters_are_shown_as_a_sign():
    assert base.printable("a\x1b[31mb\x00\r\n\té") == "a�[31mb��\n�é"
    assert base.text_lines(["a\x07b"], 110, 10) == ["a�b"]


def test_only_recipes_for_text_say_that_their_samples_are_texts():
    texts = {name for name in recipes.names() if recipes.get(name).build.text}
    assert texts == {"gpt-chat", "gpt-code", "gpt-shakespeare", "gpt-shakespeare-long", "gpt-stories",
                     "ngram-shakespeare", "ngram-stories"}


def test_a_formula_in_a_sample_is_drawn_as_it_is(tmp_path):
    picture, axes = viz.figure("")
    base.draw_text(axes, ["costs $5 and $\\frac$"])
    viz.save(picture, tmp_path / "a.png")
