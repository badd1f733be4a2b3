"""Every recipe, run: a stopped run resumes in the same bits; the quick size lands in its band; with --slow the full."""

import json

import numpy as np
import pytest

from minigen import recipes
from minigen.train import capture

STEPS, STOP = 24, 13


def leaves(tree, path=""):
    """Pairs (path, bits) of everything in a tree."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{path}/{key}")
    else:
        yield path, (tree.dtype, tree.shape, tree.tobytes()) if isinstance(tree, np.ndarray) else repr(tree)


def finished(experiment, folder, *, stop=None, resume=False):
    """Train to the end, or to a stop; the state as a dict from path to bits."""
    for report in experiment.fit(folder=folder, resume=resume, progress=False, checkpoint_every=5):
        if report.step == stop:
            break
    return dict(leaves(capture(experiment.state)))


@pytest.mark.parametrize("name", recipes.names())
def test_a_stopped_run_resumes_in_the_same_bits(name, tmp_path):
    build = recipes.get(name).build
    whole = finished(build(3, True, steps=STEPS), tmp_path / "whole")
    stopped = finished(build(3, True, steps=STEPS), tmp_path / "stopped", stop=STOP)
    resumed = finished(build(3, True, steps=STEPS), tmp_path / "stopped", resume=True)
    assert whole != stopped, "nothing in the state changes with training"
    assert [path for path in whole if whole[path] != resumed.get(path)] == []


@pytest.mark.parametrize("name", recipes.names())
def test_another_seed_is_another_run(name, tmp_path):
    build = recipes.get(name).build
    first, second = (next(build(seed, True, steps=STEPS).fit(progress=False)).metrics for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize("name", recipes.names())
def test_the_quick_size_lands_in_its_band(name, tmp_path):
    result = recipes.run(name, quick=True, out=tmp_path / "run", progress=False, say=lambda line: None)
    assert result["landed"] is True, result["metrics"]
    assert json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8")) == result
    assert all((tmp_path / "run" / picture).is_file() for picture in result["pictures"])
    assert recipes.load(tmp_path / "run").evaluate() == pytest.approx(result["metrics"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", recipes.names())
def test_the_full_size_lands_in_its_band(name, tmp_path):
    result = recipes.run(name, out=tmp_path / "run", progress=False, say=lambda line: None)
    assert result["landed"] is True, result["metrics"]
