"""Running a recipe: train, evaluate, draw, and write down what came out.

A run's folder holds

    config.json      what was asked for: enough to build the same experiment again
    metrics.jsonl    one line per step
    checkpoints/     the two newest
    weights.npz      the trained model
    *.png            pictures
    result.json      the figures, the band, whether they landed in it, times, versions, machine: written last, so a
                     folder with a result.json is a finished run
"""

import importlib.metadata
import json
import math
import os
import platform
import time
from collections import deque
from pathlib import Path

from minigen.data.cache import atomic_write
from minigen.errors import CheckpointError, RecipeError
from minigen.kernels.threads import get_num_threads
from minigen.train import Checkpoints, capture, read_metrics, restore
from minigen.train import load as load_tree
from minigen.train import save as save_tree
from minigen.version import __version__


def run(name, *, quick=False, seed=None, steps=None, out=None, resume=False, data=None, progress=True, say=print):
    """Train a recipe and write its folder. Returns the content of result.json as a dict.

    out:     the folder; default runs/NAME-seedN.
    resume:  go on with a run that was stopped. Without it a folder that holds a run is refused.
    data:    a local path that stands in for a download.
    say:     what to call with each line of text for the reader.

    Raises:  RecipeError if the folder is in use, or the run in it was started with other settings.
    """
    from minigen.recipes import get

    began = time.perf_counter()
    recipe = get(name)
    if data is not None and not recipe.takes_data:
        raise RecipeError(f"recipe {name}: makes or brings its own data, so --data {data} has no place in it")
    seed = recipe.seed if seed is None else seed
    folder = Path(out) if out is not None else Path("runs") / f"{name}-seed{seed}"
    config = {"recipe": name, "seed": seed, "quick": quick, "steps": steps,
              "data": None if data is None else str(Path(data).absolute())}
    finished = _claim(folder, config, resume, say)
    if finished is not None:
        return finished
    experiment = _build(config)
    say(f"{name}: {recipe.summary} ({experiment.steps} steps, seed {seed})")
    again = f"minigen train {name}{' --quick' * quick} --seed {seed}{f' --steps {steps}' if steps else ''} " \
            f"--out {folder} --resume{f' --data {data}' if data else ''}"
    reports = experiment.fit(folder=folder, resume=resume, progress=progress, settings=config, label=name,
                             how_to_resume=again)
    earlier = _seconds(folder) if resume else 0.0
    deque(reports, maxlen=0)
    save_tree(folder / "weights.npz", {"recipe": name, "state": capture(experiment.kept())})
    curves = read_metrics(folder)
    metrics = experiment.metrics = _plain(experiment.evaluate(), name)
    pictures = [str(Path(path).relative_to(folder)) for path in experiment.pictures(folder)]
    landed = recipe.landed(metrics, quick)
    band = recipe.quick_band if quick else recipe.band
    result = {
        "recipe": name, "lesson": recipe.lesson, "seed": seed, "quick": quick,
        "steps": curves["seconds"][-1][0] if curves else 0,
        "metrics": metrics,
        "band": {metric: list(ends) for metric, ends in band.items()},
        "landed": all(landed.values()) if landed else None, "landed_metrics": landed,
        "anchor": recipe.anchor,
        "seconds": round(_seconds(folder), 3), "budget_seconds": recipe.budget_seconds,
        "total_seconds": round(earlier + time.perf_counter() - began, 3),
        "pictures": pictures, "versions": versions(), "machine": machine(experiment.threads),
    }  # fmt: skip
    write_json(folder / "result.json", result)
    for line in summary(result, folder):
        say(line)
    return result


def load(folder):
    """The trained experiment of a run's folder, ready to sample. Of an unfinished run, its newest checkpoint.

    Raises:  RecipeError if the folder holds no run; CheckpointError if its weights cannot be read.
    """
    folder = Path(folder)
    config = read_json(folder / "config.json")
    if config is None:
        raise RecipeError(f"{folder}: holds no run (no config.json); `minigen train RECIPE --out {folder}` makes one")
    experiment = _build(config)
    kept = experiment.kept()
    if (folder / "weights.npz").exists():
        tree = load_tree(folder / "weights.npz")
    else:
        tree = Checkpoints(folder / "checkpoints").read_newest()
        if tree is None:
            raise RecipeError(f"{folder}: the run was stopped before its first checkpoint; add --resume to train it")
        best = (tree.get("stopping") or {}).get("kept")
        tree = {"state": best or {name: tree["state"][name] for name in kept}}
    if not isinstance(tree.get("state"), dict):
        raise CheckpointError(f"{folder / 'weights.npz'}: does not hold the weights of a run")
    restore(kept, tree["state"])
    return experiment


def summary(result, folder):
    """The lines to print at the end of a run."""
    size = "quick size" if result["quick"] else "full size"
    yield (f"{result['recipe']} · seed {result['seed']} · {size} · {result['steps']} steps · "
           f"{result['seconds']:.1f} s of training, {result['total_seconds']:.1f} s in all")
    width = max(map(len, result["metrics"]), default=0)
    for metric, value in result["metrics"].items():
        verdict = ""
        if metric in result["band"]:
            inside = "landed in" if result["landed_metrics"][metric] else "MISSED"
            verdict = f"   {inside} its band, {_interval(*result['band'][metric])}"
        yield f"  {metric:<{width}}  {value:10.4g}{verdict}"
    yield f"  compare: {result['anchor']}"
    yield f"  written: {Path(folder) / 'result.json'}" + "".join(f", {name}" for name in result["pictures"])


def versions():
    """The versions that a result depends on."""
    found = {"minigen": __version__, "python": platform.python_version()}
    for package in ("numpy", "scipy", "numba"):
        found[package] = importlib.metadata.version(package)
    return found


def machine(threads=None):
    """The machine that a time depends on: the processor's name, the cores we may use, the threads that compute.

    threads:  what training was limited to; None if it was not.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = get_num_threads() if threads is None else threads
    return {"cpu": _cpu_name(), "cores": cores, "threads": threads, "system": platform.system()}


def _cpu_name():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _build(config):
    from minigen.recipes import get

    options = {} if config["steps"] is None else {"steps": config["steps"]}
    return get(config["recipe"]).build(config["seed"], config["quick"], data=config["data"], **options)


def _claim(folder, config, resume, say):
    """Make the folder ours. Returns the result if the run is finished, None if there is something to do."""
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"{folder}: is a file; expected a folder, or the name of a new one")
    earlier, result = read_json(folder / "config.json"), read_json(folder / "result.json")
    if earlier is not None and not resume:
        what = "a finished run" if result is not None else "an unfinished run"
        raise RecipeError(f"{folder}: holds {what} of {earlier['recipe']}, seed {earlier['seed']}. "
                          f"--resume goes on with it; --out DIR takes another folder")
    if earlier is not None and earlier != config:
        changes = (f"{key}: then {earlier.get(key)!r}, now {config.get(key)!r}"
                   for key in sorted(set(earlier) | set(config)) if earlier.get(key) != config.get(key))
        raise RecipeError(f"{folder}: cannot be resumed with other settings: {'; '.join(changes)}")
    if result is not None:
        say(f"{folder}: this run is finished already")
        for line in summary(result, folder):
            say(line)
        return result
    if resume and not Checkpoints(folder / "checkpoints").steps():
        say(f"{folder}: no checkpoint to resume from; starting at the first step")
    try:
        write_json(folder / "config.json", config)
    except OSError as error:
        raise RecipeError(f"{folder}: cannot be written ({error})") from error
    return None


def _seconds(folder):
    """Seconds of training so far, from the log."""
    seconds = read_metrics(folder).get("seconds")
    return seconds[-1][1] if seconds else 0.0


def _plain(metrics, name):
    """Metrics as a dict of finite floats."""
    plain = {metric: float(value) for metric, value in metrics.items()}
    odd = {metric: value for metric, value in plain.items() if not math.isfinite(value)}
    if odd:
        raise RecipeError(f"recipe {name}: the evaluation gave {odd}; expected finite numbers")
    return plain


def _interval(low, high):
    if low is None or high is None:
        return f"≥ {low:g}" if high is None else f"≤ {high:g}"
    return f"{low:g} to {high:g}"


def write_json(path, content):
    """A dict into a JSON file, all at once or not at all.   Raises: OSError if it cannot be written."""
    with atomic_write(path) as stream:
        stream.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path):
    """The dict in a JSON file; None if there is no such file.   Raises: RecipeError if it cannot be read as one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: is not what minigen writes; expected a JSON object")
    return content
