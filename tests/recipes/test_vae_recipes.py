"""The quick size of every VAE recipe lands in its band, twice in the same bits, and its pictures can be drawn."""

import json

import numpy as np
import pytest

from minigen import recipes

QUICK = ["vae-digits", "vae-digits-categorical"]


@pytest.fixture(scope="module", params=[*QUICK, "vae-glyphs"])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    result = recipes.run(request.param, quick=True, out=folder / "run", progress=False, say=lambda line: None)
    return folder / "run", result


def test_quick_run_lands_in_its_band(run):
    folder, result = run
    assert result["landed"] is True, result["metrics"]
    assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["metrics"] == result["metrics"]
    assert all((folder / name).stat().st_size > 1000 for name in result["pictures"])


def test_a_finished_run_can_be_loaded_and_gives_the_same_figures(run):
    folder, result = run
    experiment = recipes.load(folder)
    again = experiment.evaluate()
    assert again == pytest.approx(result["metrics"], rel=1e-6)
    images = experiment.sample(7, np.random.default_rng(0))
    assert images.shape[0] == 7 and np.isfinite(images).all() and images.std() > 0.5


@pytest.mark.parametrize("name", QUICK)
def test_the_same_seed_gives_the_same_losses_and_another_seed_others(name):
    def losses(seed):
        experiment = recipes.get(name).build(seed, True, steps=5)
        return [report.metrics["loss"] for report in experiment.fit(progress=False)]

    assert losses(3) == losses(3) != losses(4)
