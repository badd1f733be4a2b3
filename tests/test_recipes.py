"""Every recipe, run: a stopped run resumes in the same bits; the quick size lands in its band; with --slow the full."""

import json

import numpy as np
import pytest

from minigen import recipes
from minigen.data import stories
from minigen.data.cache import cache_dir
from minigen.data.sources import TINY_SHAKESPEARE
from minigen.train import capture

STEPS, STOP = 24, 13
# What a recipe downloads, as it is called in the cache.
DOWNLOADS = dict.fromkeys(("gpt-shakespeare", "gpt-shakespeare-long", "ngram-shakespeare"), TINY_SHAKESPEARE.name)


@pytest.fixture
def stand_in(tmp_path):
    """A function from a recipe's name to keywords for `build`: a small text for those that would download one."""
    path = tmp_path / "text.txt"
    path.write_text(stories.corpus(20_000, rng=np.random.default_rng(0)), encoding="utf-8")
    return lambda name: {"data": path} if name in DOWNLOADS else {}


def skip_without_data(name):
    """The figures of a downloaded text are tested where it was downloaded before."""
    if name in DOWNLOADS and not (cache_dir() / DOWNLOADS[name]).is_file():
        pytest.skip(f"needs {DOWNLOADS[name]}: minigen fetch")


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
@pytest.mark.filterwarnings("ignore:.*in place of")
def test_a_stopped_run_resumes_in_the_same_bits(name, tmp_path, stand_in):
    build, data = recipes.get(name).build, stand_in(name)
    whole = finished(build(3, True, steps=STEPS, **data), tmp_path / "whole")
    stopped = finished(build(3, True, steps=STEPS, **data), tmp_path / "stopped", stop=STOP)
    resumed = finished(build(3, True, steps=STEPS, **data), tmp_path / "stopped", resume=True)
    assert whole != stopped, "nothing in the state changes with training"
    assert [path for path in whole if whole[path] != resumed.get(path)] == []


@pytest.mark.parametrize("name", recipes.names())
@pytest.mark.filterwarnings("ignore:.*in place of")
def test_another_seed_is_another_run_unless_nothing_is_drawn(name, stand_in):
    build, data = recipes.get(name).build, stand_in(name)
    first, second = (next(build(seed, True, steps=STEPS, **data).fit(progress=False)).metrics for seed in (0, 1))
    assert (first != second) == recipes.get(name).seeded


@pytest.mark.parametrize("name", recipes.names())
def test_the_quick_size_lands_in_its_band(name, tmp_path):
    skip_without_data(name)
    result = recipes.run(name, quick=True, out=tmp_path / "run", progress=False, say=lambda line: None)
    assert result["landed"] is True, result["metrics"]
    assert json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8")) == result
    assert all((tmp_path / "run" / picture).is_file() for picture in result["pictures"])
    assert recipes.load(tmp_path / "run").evaluate() == pytest.approx(result["metrics"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", recipes.names())
def test_the_full_size_lands_in_its_band(name, tmp_path):
    skip_without_data(name)
    result = recipes.run(name, out=tmp_path / "run", progress=False, say=lambda line: None)
    assert result["landed"] is True, result["metrics"]
