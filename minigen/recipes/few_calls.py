"""Quality against calls of the network: letters by every family that makes them in steps, measured alike.

    python -m minigen.recipes.few_calls RUN [RUN …] --to figures/13_letters_by_calls.json

reads finished runs of recipes that draw the letter asked for, lets each draw the same letters with 1, 2, 4, … calls of
its network, prints and writes the figures (those of other runs that are in the file already stay), and draws the file
as a picture beside it, 13_letters_by_calls.png. Without a RUN it only draws.

Protocol: 260 letters, evenly from all 26, from the noise of one seed; their Fréchet distance from the training letters
in the frozen network's features, and the share that it reads as asked. With so few letters the distances are larger
than those in result.json, where there are 1,000; the floor is that of the first 260 held-out letters. Differences of
less than about a tenth are chance; but all ways along a flow begin with the same noise, so they share most of it.

An experiment says by `ways` what it can do, {name: calls}, and draws by `drawn_along`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from minigen.data.cache import atomic_write
from minigen.errors import CommandError, MinigenError
from minigen.metrics import features
from minigen.metrics.classification import accuracy
from minigen.metrics.frechet import frechet_distance
from minigen.recipes import running

PICTURES, CHANCE = 260, 0.1
MARKERS = "osD^vP*X"
COLOURS = (None,) * 5 + ("crimson", "slateblue", "saddlebrown")  # None: the palette's own, which end in a pale grey


def measured(experiment, pictures=PICTURES, *, say=print):
    """Figures of each way of an experiment: {way: {calls: {"frechet", "read"}}}, and of the held-out pictures.

    Returns:  {way: {calls: figures}}, figures of as many held-out pictures
    """
    read = features.load(experiment.reader)
    train = read(experiment.train[0].reshape(-1, experiment.side, experiment.side) / experiment.high)
    labels = np.arange(pictures) % experiment.classes

    def figures(drawn, asked):
        found = frechet_distance(read(np.asarray(drawn) / experiment.high), train)
        return {"frechet": float(found), "read": accuracy(asked, experiment.read(drawn))}

    table = {}
    for way, counts in experiment.ways.items():
        table[way] = {}
        for calls in counts:
            rng = np.random.default_rng([experiment.seed, 4])
            drawn = experiment.drawn_along(way, calls, labels, rng)
            table[way][str(calls)] = found = figures(drawn, labels)
            say(f"{way:<24} {calls:>4} calls   " + "   ".join(f"{key} {x:.3f}" for key, x in found.items()))
    images, asked = (part[:pictures] for part in experiment.held_out)
    return table, figures(images.reshape(-1, experiment.side, experiment.side), asked)


def picture(content, path):
    """Fréchet distance over calls, a line for each way (a mark for one that has one number only), into a PNG file.

    content:  {"pictures": n, "floor": figures, "ways": {way: {calls: figures}}}, as in the JSON file
    """
    from minigen import viz

    figure, axis = viz.figure(finding(content), height=5.2)
    for index, (way, found) in enumerate(content["ways"].items()):
        counts = sorted(found, key=int)
        axis.plot([int(count) for count in counts], [found[count]["frechet"] for count in counts],
                  marker=MARKERS[index % len(MARKERS)], markersize=10 if len(counts) == 1 else 5, label=way,
                  linestyle="-" if index < 3 else "--", color=COLOURS[index % len(COLOURS)])  # fmt: skip
    axis.axhline(content["floor"]["frechet"], color=viz.colour("data"), linestyle=":", label="held-out letters")
    ticks = sorted({int(count) for found in content["ways"].values() for count in found})
    axis.set(xscale="log", xlabel="calls of the network", ylabel=f"Fréchet distance of {content['pictures']} letters")
    axis.set_xticks(ticks, [f"{count}" for count in ticks], minor=False)
    axis.minorticks_off()
    axis.set_ylim(0, 4)
    axis.legend(fontsize=9, loc="upper right")
    viz.save(figure, path)
    return path


def finding(content, reference="DDIM", calls="20"):
    """The title: which way needs fewest calls to be as good as DDIM with 20, but for CHANCE."""
    bar = content["ways"].get(reference, {}).get(calls)
    if bar is None:
        return "Fewer and fewer calls"
    enough = bar["frechet"] + CHANCE
    fewest = {way: min((int(count) for count, row in found.items() if row["frechet"] <= enough), default=None)
              for way, found in content["ways"].items()}  # fmt: skip
    good = {way: count for way, count in fewest.items() if count is not None and count < int(calls)}
    if not good:
        return f"No way with fewer calls is as good as {reference} with {calls}"
    best = min(good, key=lambda way: (good[way], content["ways"][way][str(good[way])]["frechet"]))
    return f"As good as {reference} with {calls} calls, with {good[best]}: {best}"


def main(arguments=None):
    """Measure runs, write the JSON file, draw it."""
    parser = argparse.ArgumentParser(prog="python -m minigen.recipes.few_calls",
                                     description="Measure what each family makes of few calls of its network.")
    parser.add_argument("runs", type=Path, nargs="*", help="folders of finished runs")
    parser.add_argument("--to", type=Path, required=True, help="the JSON file; the picture lies beside it")
    options = parser.parse_args(arguments)
    try:
        content = running.read_json(options.to) or {"pictures": PICTURES, "ways": {}}
        for run in options.runs:
            experiment = _of_letters(run)
            table, content["floor"] = measured(experiment, content["pictures"])
            content["ways"] |= table
        if "floor" not in content:
            raise CommandError(f"few_calls: {options.to}: is not there yet; expected a RUN to measure")
    except MinigenError as error:
        parser.error(str(error))
    with atomic_write(options.to) as stream:
        stream.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    print(f"written: {options.to}, {picture(content, options.to.with_suffix('.png'))}")


def _of_letters(run):
    """The trained experiment of a finished, full-sized run that draws letters along `ways`."""
    from minigen.recipes import load

    experiment, result = load(run), running.read_json(run / "result.json")
    if result is None or result["quick"] or running.read_json(run / "config.json")["steps"] is not None:
        raise CommandError(f"few_calls: {run}: is unfinished or was cut short; expected a finished run of full size")
    if getattr(experiment, "reader", None) != "glyphs" or not getattr(experiment, "ways", None):
        raise CommandError(f"few_calls: {run}: is a run of {result['recipe']}; expected one of letters in steps")
    return experiment


if __name__ == "__main__":
    main()
