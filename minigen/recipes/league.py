"""The league: every family's recipe on the digits and on the grid, several seeds each, measured under one protocol.

ENTRIES says who plays. A row is one run: what its result.json says of the likelihood, and what is measured here.

    samples       `judging.judge`: as many as there are digits held out (447), or 2,500 points, drawn and measured with
                  the run's seed; the same training pictures, held-out pictures and frozen network for all. So at each
                  seed all rows have the same floor, which is a row of its own, "real".
    nats          of the held-out digits, or −log q of true points; exact, a bound, or a density by an ODE, (11.31)
    sampling      milliseconds of the processor for each sample, 64 digits or 2,500 points drawn at once, one thread:
                  the median of three after a warm-up. The processor's time depends on what else is running, but less
                  than the clock's.
    training      seconds of the processor, one thread: those of `STEPS` steps, times the run's steps by STEPS. The
                  validations between are left out. (`seconds`, what the clock said, stands in the row as well.)
    FLOPs         of products (`metrics/flops.py`): of the same steps, and for each sample
    parameters    of the networks that draw a sample, and of all that is trained

A row is kept as league.json in the run's folder, with the hash of the result.json that it belongs to, and is not
measured again until one of them changes or the protocol does. league_table.py makes tables of rows, league_picture.py
the figure.
"""

import difflib
import hashlib
import re
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigen.errors import CommandError
from minigen.kernels.threads import num_threads
from minigen.metrics.flops import count_flops
from minigen.recipes import judging, running

PROTOCOL = 1  # to be raised whenever rows that were measured before no longer compare
STEPS = 16  # training steps that are timed and counted: an epoch, or nearly
DIGITS, POINTS = 64, judging.POINTS  # how many are drawn at once to see how long it takes
SEEDS = (0, 1, 2)


class Entry(NamedTuple):
    """Who plays.

    recipe:   its name
    world:    "digits" or "grid"
    family:   as the table calls it
    way:      how a sample comes about: "at once", "in turn" (number by number) or "in steps"
    nats:     dict from a kind, "exact", "bound" or "ODE", to the metric of result.json that is −log p in nats, without
              the number at its end, if it has one (test_iwae500); the first kind is the one that ranks
    draws:    the parts of the model that draw a sample, "" for all of it
    """

    recipe: str
    world: str
    family: str
    way: str
    nats: dict
    draws: tuple = ("",)


ENTRIES = (
    Entry("pixelcnn-digits", "digits", "PixelCNN", "in turn", {"exact": "test_nll"}),
    Entry("made-digits", "digits", "MADE", "in turn", {"exact": "test_nll"}),
    Entry("vae-digits", "digits", "VAE", "at once", {"bound": "test_iwae"}, ("decoder",)),
    Entry("vae-digits-categorical", "digits", "VAE, plain", "at once", {"bound": "test_iwae"}, ("decoder",)),
    Entry("vae-flow-digits", "digits", "VAE with flows", "at once", {"bound": "test_iwae"}, ("decoder", "prior")),
    Entry("realnvp-digits", "digits", "RealNVP", "at once", {"bound": "test_weighted"}, ("flow",)),
    Entry("spline-digits", "digits", "spline flow", "at once", {"bound": "test_weighted"}, ("flow",)),
    Entry("diffusion-digits", "digits", "diffusion*", "in steps", {"bound": "test_bound", "ODE": "test_ode"}),
    Entry("gan-digits", "digits", "GAN*", "at once", {}, ("generator",)),
    Entry("maf-grid", "grid", "MAF", "in turn", {"exact": "test_nll"}),
    Entry("maf-grid-spline", "grid", "MAF with splines", "in turn", {"exact": "test_nll"}),
    Entry("flow-matching-grid", "grid", "flow matching", "in steps", {"ODE": "nll"}),
    Entry("diffusion-grid", "grid", "diffusion", "in steps", {}),
    Entry("score-grid", "grid", "score matching", "in steps", {}),
    Entry("gan-grid", "grid", "GAN", "at once", {}, ("generator",)),
    Entry("gan-grid-vanilla", "grid", "GAN, plain", "at once", {}, ("generator",)),
    Entry("consistency-grid", "grid", "consistency†", "at once", {}, ("student",)),
    Entry("consistency-grid-sharp", "grid", "consistency, sharpened†", "at once", {}, ("student",)),
    Entry("diffusion-gan-grid", "grid", "diffusion GAN", "in steps", {}, ("generator",)),
)  # fmt: skip


def entries(only=None, names=None):
    """Who plays, as Entries in the order of ENTRIES.

    only:     "digits" or "grid"; None: both
    names:    of recipes; None: all
    Raises:   CommandError for a recipe that is not in the league, or not in that part of it.
    """
    found = {entry.recipe: entry for entry in ENTRIES if only in (None, entry.world)}
    for name in names or ():
        if name not in found:
            close = difflib.get_close_matches(name, found, n=3, cutoff=0.5) or found
            part = f" of the {only}" if only else ""
            raise CommandError(f"leaderboard: {name!r} is not in the league{part}; expected one of {', '.join(close)}")
    return [entry for name, entry in found.items() if not names or name in names]


def rows(chosen, seeds=SEEDS, *, runs="runs", read=False, quick=False, steps=None, say=print):
    """One row for each entry and seed: read, or measured, or trained and measured. A list of dicts.

    runs:     the folder of the runs, each in RECIPE-seedN
    read:     train nothing
    quick, steps: the size of the runs, as for `recipes.run`
    Raises:   CommandError for a run of another size or other steps, and with `read` for one that is missing or not
              finished.
    """
    found, seeds = [], tuple(dict.fromkeys(seeds))
    for entry in chosen:
        today = _experiment(entry, seeds[0], quick, steps)
        for seed in seeds:
            folder = Path(runs) / f"{entry.recipe}-seed{seed}"
            _prepare(entry, folder, {"recipe": entry.recipe, "seed": seed, "quick": quick, "steps": steps}, read, say)
            _check_steps(entry, folder, today)
            row = running.read_json(folder / "league.json")
            key = {"protocol": PROTOCOL, "result": _hash(folder / "result.json")}
            if row is None or any(row.get(name) != value for name, value in key.items()):
                say(f"{folder}: measuring")
                row = key | measure(entry, folder)
                try:
                    running.write_json(folder / "league.json", row)
                except OSError as error:
                    raise CommandError(f"leaderboard: {folder}/league.json: cannot be written ({error})") from error
            found.append(row)
    return found


def _prepare(entry, folder, wanted, read, say):
    """See to it that the folder holds the finished run that is wanted."""
    from minigen import recipes

    begun = running.read_json(folder / "config.json")
    odd = {name: begun.get(name) for name, value in wanted.items() if begun and begun.get(name) != value}
    if odd:
        there = ", ".join(f"{name}: there {value!r}, expected {wanted[name]!r}" for name, value in odd.items())
        raise CommandError(f"leaderboard: {folder}: holds a run with other settings ({there}); move it away, or name "
                           f"another folder by --runs")
    if begun and (folder / "result.json").exists():
        return
    if read:
        what = "an unfinished run" if begun else "no run"
        size = " --quick" * wanted["quick"] + (f" --steps {wanted['steps']}" if wanted["steps"] else "")
        raise CommandError(f"leaderboard: {folder}: holds {what}; expected a finished one, for --read trains nothing: "
                           f"`minigen train {entry.recipe}{size} --seed {wanted['seed']} --out {folder}"
                           f"{' --resume' * bool(begun)}`")
    recipes.run(entry.recipe, quick=wanted["quick"], seed=wanted["seed"], steps=wanted["steps"], out=folder,
                resume=begun is not None, say=say)


def _experiment(entry, seed, quick, steps):
    from minigen import recipes

    return recipes.get(entry.recipe).build(seed, quick, **({} if steps is None else {"steps": steps}))


def _check_steps(entry, folder, experiment):
    """Refuse a run of other steps than the recipe takes today; one that may stop early may have taken fewer."""
    taken, own = (running.read_json(folder / "result.json") or {}).get("steps"), experiment.steps
    if taken is None:
        raise CommandError(f"leaderboard: {folder}/result.json: is not what `minigen train` writes; move the run away")
    if not (taken == own or experiment.patience and taken < own):
        raise CommandError(f"leaderboard: {folder}: is a run of {taken} steps, {entry.recipe} now takes {own}; move it "
                           "away, to train it again")


# -- measuring --------------------------------------------------------------------------------------------------------


def measure(entry, folder):
    """The row of a finished run: a dict that JSON can hold. What it holds: see the module's docstring.

    Raises:   CommandError if its result lacks the metric of `nats`.
    """
    result = running.read_json(folder / "result.json")
    experiment, taken = running.load(folder), result["steps"]
    nats = {kind: _metric(result, metric, folder) for kind, metric in entry.nats.items()}
    judgement = judging.judge(experiment, seed=result["seed"])
    told = judging.as_dict(judgement)
    parts = [_part(experiment.model, name) for name in entry.draws]
    parameters = {"drawing": sum(part.num_parameters() for part in parts), "all": experiment.model.num_parameters()}
    with num_threads(1):
        sampling = _sampling(experiment, POINTS if judgement.features is None else DIGITS)
        training = _training(experiment)  # the last, for it changes the model
    return {
        "recipe": entry.recipe, "seed": result["seed"], "quick": result["quick"], "steps": taken,
        "shortened": running.read_json(folder / "config.json")["steps"] is not None, "nats": nats,
        "figures": told["figures"], "counts": told["counts"], "features": told["features"], "parameters": parameters,
        "seconds": result["seconds"], "processor_seconds": training[0] / STEPS * taken,
        "milliseconds": 1000 * sampling[0],
        "flops": {"training": training[1] // STEPS * taken, "sample": sampling[1]},
        "versions": running.versions(), "machine": running.machine(1),
    }  # fmt: skip


def _metric(result, metric, folder):
    found = [value for name, value in result["metrics"].items() if re.fullmatch(rf"{metric}\d*", name)]
    if not found:
        raise CommandError(f"leaderboard: {folder}/result.json: has no metric {metric}, only "
                           f"{', '.join(result['metrics'])}")
    return found[0]


def _part(model, name):
    return getattr(model, name) if name else model


def _sampling(experiment, n):
    """Seconds of the processor for each sample, and FLOPs, of n samples drawn at once."""
    with count_flops() as count:
        experiment.sample(n, np.random.default_rng(0))
    times = []
    for repeat in range(3):
        began = time.process_time()
        experiment.sample(n, np.random.default_rng(repeat))
        times.append(time.process_time() - began)
    return statistics.median(times) / n, count.total // n


def _training(experiment):
    """Seconds of the processor for STEPS training steps, and their FLOPs."""
    with count_flops() as count:  # the first steps set up what later ones find
        for _ in range(STEPS):
            experiment.step()
    began = time.process_time()
    for _ in range(STEPS):
        experiment.step()
    return time.process_time() - began, count.total


def _hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -- the command ------------------------------------------------------------------------------------------------------


def leaderboard(found, *, json_path=None, picture_path=None, markdown_path=None, say=print):
    """Print the tables of some rows, and write what is asked for: the rows, the figure, the tables in Markdown.

    Raises:   CommandError if a file cannot be written, or is to hold Markdown and has no place for it.
    """
    from minigen.recipes import league_picture, league_table

    if picture_path is not None and Path(picture_path).suffix != ".png":
        raise CommandError(f"leaderboard: --picture {picture_path}: expected a name that ends in .png")
    for line in league_table.lines(found):
        say(line)
    try:
        if json_path is not None:
            running.write_json(Path(json_path), {"rows": found})
        if picture_path is not None:
            league_picture.draw(found, picture_path)
        if markdown_path is not None:
            league_table.write_markdown(found, markdown_path)
    except (OSError, UnicodeDecodeError) as error:
        where = getattr(error, "filename", None) or markdown_path
        raise CommandError(f"leaderboard: {where}: cannot be written ({error})") from error
    for path in (json_path, picture_path, markdown_path):
        if path is not None:
            say(f"written: {path}")


def read_rows(path, chosen, seeds=None):
    """The rows of a file that was written by --json, those of some entries and seeds.

    Raises:   CommandError if the file is missing, is no such file, or was measured under another protocol.
    """
    content = running.read_json(Path(path))
    if content is None or not isinstance(content.get("rows"), list):
        raise CommandError(f"leaderboard: {path}: holds no rows; expected what `minigen leaderboard --json` wrote")
    _complete(path, content["rows"], {"recipe", "seed", "protocol"})
    names = {entry.recipe for entry in chosen}
    found = [row for row in content["rows"] if row["recipe"] in names and (seeds is None or row["seed"] in seeds)]
    other = {row["protocol"] for row in found} - {PROTOCOL}
    if other or not found:
        what = f"measured under protocol {other.pop()}, this is {PROTOCOL}" if other else "no row that is wanted"
        raise CommandError(f"leaderboard: {path}: {what}; run `minigen leaderboard --json {path}`")
    _complete(path, found, {"quick", "shortened", "nats", "figures", "counts", "parameters", "flops", "milliseconds",
                            "processor_seconds", "machine"})  # fmt: skip
    if len({(row["recipe"], row["seed"]) for row in found}) < len(found):
        raise CommandError(f"leaderboard: {path}: holds a run twice; run `minigen leaderboard --json {path}`")
    return found


def _complete(path, rows, keys):
    for row in rows:
        lacking = keys - set(row) if isinstance(row, dict) else keys
        if lacking:
            raise CommandError(f"leaderboard: {path}: a row lacks {', '.join(sorted(lacking))}; run `minigen "
                               f"leaderboard --json {path}`")
