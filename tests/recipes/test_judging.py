"""The table of `minigen evaluate`, for models whose faults are known: perfect, copying, collapsed, noise."""

import json
import math

import numpy as np
import pytest

from minigen import recipes
from minigen.data import glyphs, toy2d
from minigen.errors import CommandError, RecipeError, ShapeError
from minigen.metrics.likelihood import Estimate
from minigen.recipes import judging

PLAIN = {"characters": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "sizes": ("large",), "positions": ("centre",)}


class Model:
    """As much of an Experiment as judging needs."""

    def __init__(self, sample, real):
        self.sample, self._real = sample, real

    def real(self):
        return self._real


@pytest.fixture(scope="module")
def letters():
    """The real pictures: 600 to train on, 300 held out, as bytes."""
    images = glyphs.load(900, seed=50, **PLAIN).images
    return judging.Pictures(images[:600], images[600:], 255, "glyphs", PLAIN["characters"])


def drawn(n, rng, characters=PLAIN["characters"]):
    return glyphs.sample(n, rng=rng, **PLAIN | {"characters": characters}).images


def figures(model, n=None, seed=0):
    return judging.judge(model, n, seed=seed).figures


def test_a_perfect_model_is_as_good_as_the_pictures_held_out(letters):
    found = figures(Model(drawn, letters))
    assert list(found) == ["frechet", "kernel", "mmd", "precision", "recall", "density", "coverage", "legible",
                           "classes", "classes_kl", "nearest_ratio", "copied"]
    for name in ("precision", "recall", "coverage", "nearest_ratio", "copied"):
        assert found[name].samples == pytest.approx(found[name].floor, abs=0.1), name
    assert found["density"].samples == pytest.approx(1, abs=0.15)
    assert found["frechet"].samples == pytest.approx(found["frechet"].floor, rel=0.4)
    for name in ("mmd", "kernel"):
        assert isinstance(found[name].samples, Estimate)
        assert abs(found[name].samples.mean) < 4 * found[name].samples.error
    assert found["classes_kl"].samples < 0.15 and found["copied"].floor == 0.5
    assert found["classes"].samples == found["classes"].floor == 26
    assert found["legible"].samples > 0.95


def test_copies_have_the_best_scores_and_are_found(letters):
    found = figures(Model(lambda n, rng: letters.train[rng.permutation(600)[:n]], letters))
    assert found["precision"].samples == 1 and found["frechet"].samples < found["frechet"].floor
    assert found["nearest_ratio"].samples == 0 and found["copied"].samples > 0.99


def test_a_collapsed_model_loses_recall_coverage_and_classes(letters):
    found = figures(Model(lambda n, rng: drawn(n, rng, "E"), letters))
    assert found["precision"].samples > 0.9
    assert found["recall"].samples < 0.3 and found["coverage"].samples < 0.2
    assert found["classes"].samples < 5
    assert found["classes_kl"].samples == pytest.approx(math.log(26), abs=0.6)  # E is not quite 1/26 of these
    assert found["legible"].samples > 0.95
    assert found["frechet"].samples > 10 * found["frechet"].floor
    assert found["kernel"].samples.mean > 10 * found["kernel"].samples.error


def test_noise_is_no_good_in_any_figure_and_does_not_count_as_copied(letters):
    found = figures(Model(lambda n, rng: rng.uniform(0, 255, (n, 28, 28)), letters), 100)
    assert found["precision"].samples < 0.1 and found["density"].samples < 0.1 and found["copied"].samples < 0.02
    assert found["legible"].samples < 0.5
    assert found["frechet"].samples > 10 * found["frechet"].floor


def test_the_seed_decides_and_n_counts(letters):
    model = Model(drawn, letters)
    first = judging.judge(model, 60, seed=3)
    assert first.counts == {"samples": 60, "held_out": 60, "train": 600} and first.features.startswith("glyphs-")
    assert first.figures == judging.judge(model, 60, seed=3).figures != judging.judge(model, 60, seed=4).figures
    assert judging.judge(model, 310).counts == {"samples": 310, "held_out": 300, "train": 600}


def test_smaller_pictures_are_enlarged():
    images = glyphs.load(400, seed=51, size=16, **PLAIN).images
    real = judging.Pictures(images[:300], images[300:], 255, "glyphs")  # without saying which can be
    found = figures(Model(lambda n, rng: glyphs.sample(n, rng=rng, size=16, **PLAIN).images, real))
    assert found["precision"].samples > 0.8 and found["recall"].samples > 0.8 and found["classes_kl"].samples < 0.4


def test_what_lies_beyond_paper_and_ink_is_cut_off(letters):
    images = letters.held_out.astype(float)
    stretched = np.where(images == 255, 300, np.where(images == 0, -20, images))
    usual, beyond = (figures(Model(lambda n, rng, part=part: part, letters)) for part in (images, stretched))
    assert usual == beyond


@pytest.mark.parametrize("truth", [toy2d.ring(), toy2d.grid(), toy2d.moons()], ids=["ring", "grid", "moons"])
def test_points_of_the_law_itself_are_as_good_as_others_of_it(truth):
    found = figures(Model(lambda n, rng: truth.sample(n, rng=rng), judging.Points(truth)), 1000)
    if hasattr(truth, "means"):
        assert found["modes"].samples == found["modes"].floor == len(truth.means)
        assert found["high_quality"].samples == pytest.approx(0.989, abs=0.015)
        assert found["reverse_kl"].samples < 0.03
    else:
        assert list(found) == ["frechet", "mmd", "precision", "recall", "density", "coverage"]
    assert found["precision"].samples > 0.95 and found["coverage"].samples == pytest.approx(0.969, abs=0.03)


def test_points_on_one_mode_of_the_ring_are_told():
    truth = toy2d.ring()
    model = Model(lambda n, rng: [1, 0] + 0.01 * rng.normal(size=(n, 2)), judging.Points(truth))
    found = figures(model, 500)
    assert found["modes"].samples == 1 and found["reverse_kl"].samples == pytest.approx(math.log(8))
    assert found["high_quality"].samples > 0.96 and found["recall"].samples < 0.2 and found["coverage"].samples < 0.2
    assert judging.judge(model).counts["samples"] == 2500


# -- the table, the file, the picture ---------------------------------------------------------------------------------


def test_the_table_and_the_dict_say_the_same(letters):
    judgement = judging.judge(Model(drawn, letters), 80)
    text = list(judging.lines(judgement))
    assert text[0].startswith("80 samples, and 80 real pictures that were held out, both against 600 training pictures")
    assert judgement.features in text[1] and len(text) == 3 + len(judgement.figures)
    found = judging.as_dict(judgement)
    assert json.loads(json.dumps(found)) == found and found["features"] == judgement.features
    assert found["figures"]["kernel"]["samples_error"] == judgement.figures["kernel"].samples.error
    line = next(line for line in text if line.startswith("precision"))
    assert f"{found['figures']['precision']['samples']:.3f}" in line
    assert max(map(len, text)) <= 120


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0"), (0, "0"), (8, "8"), (0.98765, "0.988"), (0.98, "0.980"), (0.0012345, "0.00123"), (-0.00001, "-0.00001"),
    (12.34, "12.3"), (123.4, "123"), (float("inf"), "inf"), (Estimate(1.5, 0.25), "1.500 ± 0.250"),
    (Estimate(0.00491, 0.02), "0.005 ± 0.020"),
])  # fmt: skip
def test_numbers_are_short(value, text):
    assert judging._text(value) == text


def test_the_picture_is_drawn_for_pictures_only(letters, tmp_path):
    path = judging.picture(judging.judge(Model(drawn, letters), 60), tmp_path / "nearest.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    truth = toy2d.ring()
    points = judging.judge(Model(lambda n, rng: truth.sample(n, rng=rng), judging.Points(truth)), 100)
    assert judging.picture(points, tmp_path / "points.png") is None and not (tmp_path / "points.png").exists()


# -- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vae-digits", "vae-digits-categorical", "vae-glyphs", "made-digits",
                                  "pixelcnn-digits", "pixelcnn-glyphs", "gmm-ring",
                                  "gan-ring", "gan-grid", "gan-digits", "dcgan-glyphs", "vaegan-glyphs",
                                  "stylegan-glyphs", "score-grid", "diffusion-grid", "diffusion-digits",
                                  "diffusion-glyphs", "diffusion-phantoms", "diffusion-upscale",
                                  "diffusion-gan-grid", "diffusion-gan-glyphs",
                                  "realnvp-moons", "spline-moons", "realnvp-digits",
                                  "spline-digits", "maf-grid", "maf-grid-spline", "glow-glyphs", "vae-flow-digits",
                                  "flow-matching-grid", "flow-matching-glyphs", "rectified-glyphs",
                                  "rectified-grid", "consistency-grid", "consistency-grid-sharp",
                                  "progressive-glyphs", "consistency-glyphs"])  # fmt: skip
def test_a_run_of_each_recipe_with_samples_to_measure_is_judged(name, tmp_path):
    recipes.run(name, quick=True, steps=3, out=tmp_path / "run", progress=False, say=lambda line: None)
    text = []
    judging.evaluate(tmp_path / "run", n=60, seed=1, json_path=tmp_path / "found.json", say=text.append)
    found = json.loads((tmp_path / "found.json").read_text())
    least = 6 if "moons" in name else 9  # moons have no modes to count
    assert found["seed"] == 1 and found["counts"]["samples"] == 60 and len(found["figures"]) >= least
    assert all(math.isfinite(value) for figure in found["figures"].values() for value in figure.values())
    drawn = tmp_path / "run" / "nearest-seed1.png"
    assert drawn.exists() == (not {"ring", "grid", "moons"} & set(name.split("-")))
    assert text[-1] == f"written: {tmp_path / 'found.json'}"


def test_recipes_without_samples_to_measure_say_so(tmp_path, tiny_recipe):
    recipes.run("tiny", quick=True, out=tmp_path / "run", progress=False, say=lambda line: None)
    with pytest.raises(RecipeError, match="makes neither pictures nor points"):
        judging.evaluate(tmp_path / "run")


def test_what_cannot_be_judged_is_refused(letters, tmp_path):
    with pytest.raises(RecipeError, match="49 samples are too few to say anything; expected at least 50"):
        judging.judge(Model(drawn, letters), 49)
    with pytest.raises(RecipeError, match="60 of 60 samples are not finite"):
        judging.judge(Model(lambda n, rng: np.full((n, 28, 28), np.nan), letters), 60)
    for shape in ((12, 12), (32, 32), (28, 16)):
        with pytest.raises(ShapeError, match=f"pictures of {shape[0]}×{shape[1]} pixels; the .* network takes 28×28"):
            judging.judge(Model(lambda n, rng, shape=shape: np.zeros((n, *shape)), letters), 60)
    ring = toy2d.ring()
    with pytest.raises(RecipeError, match="1 of 60 samples are not finite"):
        judging.judge(Model(lambda n, rng: np.where(np.arange(n)[:, None] == 3, np.inf, 0.0) * np.ones((n, 2)),
                            judging.Points(ring)), 60)  # fmt: skip


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    recipes.run("gmm-ring", quick=True, steps=2, out=tmp_path / "run", progress=False, say=lambda line: None)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CommandError, match="cannot be written"):
        judging.evaluate(tmp_path / "run", n=60, json_path=tmp_path / "file" / "found.json", say=lambda line: None)
