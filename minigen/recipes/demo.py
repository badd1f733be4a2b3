"""The demo: every recipe that has a demo size, one after the other, and one picture of what they learnt.

    demo/NAME/       the run of each recipe, as `running.py` writes it
    demo/demo.png    samples of each, side by side
    demo/demo.json   all results
"""

import json
import time
from pathlib import Path

import numpy as np

from minigen.data.cache import atomic_write
from minigen.errors import MinigenError, RecipeError
from minigen.version import __version__

SAMPLES = 36


def demo(out=None, *, names=None, progress=True, say=print):
    """Run the demo. Returns the content of demo.json as a dict.

    out:     the folder; default runs/demo, or runs/demo-2 and so on if that exists.
    names:   which recipes; default all that have a demo size.

    Raises:  RecipeError if the folder is in use, or, when all is done, if a recipe failed.
    """
    from minigen import recipes, viz

    began = time.perf_counter()
    chosen = [recipes.get(name) for name in (recipes.names() if names is None else names)]
    chosen = sorted((recipe for recipe in chosen if recipe.demo_steps), key=lambda recipe: (recipe.lesson, recipe.name))
    if not chosen:
        raise RecipeError("demo: no recipe has a demo size")
    folder = _free_folder() if out is None else Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RecipeError(f"{folder}: is not an empty folder; --out DIR takes another one")
    results, failed = [], {}
    picture, axes = viz.figure("", rows=-(-len(chosen) // 2), columns=min(2, len(chosen)), width=9)
    panels = np.ravel(axes)
    for index, recipe in enumerate(chosen):
        say(f"[{index + 1}/{len(chosen)}] {recipe.name}: {recipe.summary}")
        try:
            result = recipes.run(recipe.name, quick=True, steps=recipe.demo_steps, out=folder / recipe.name,
                                 progress=progress, say=_quiet)
            recipes.load(folder / recipe.name).draw(
                panels[index], SAMPLES, np.random.default_rng(0), title=f"{recipe.name} (lesson {recipe.lesson})")
        except MinigenError as error:
            failed[recipe.name] = str(error)
            say(f"      failed: {error}")
            panels[index].set_axis_off()
            continue
        results.append(result)
        say(f"      {result['seconds']:.1f} s of training, {result['total_seconds']:.1f} s in all")
    for panel in panels[len(chosen):]:
        panel.set_axis_off()
    seconds = sum(result["seconds"] for result in results)
    viz.set_title(picture, f"Learnt in {seconds:.0f} seconds: the first samples of each model, not picked")
    viz.save(picture, folder / "demo.png")
    outcome = {"minigen": __version__, "seconds": round(time.perf_counter() - began, 3), "picture": "demo.png",
               "recipes": results, "failed": failed}
    with atomic_write(folder / "demo.json") as stream:
        stream.write((json.dumps(outcome, indent=1, ensure_ascii=False) + "\n").encode())
    for line in table(results):
        say(line)
    say(f"{len(results)} of {len(chosen)} models trained in {outcome['seconds']:.0f} s. "
        f"Look at {folder / 'demo.png'}; the numbers are in {folder / 'demo.json'}.")
    if failed:
        raise RecipeError("demo: failed: " + "; ".join(f"{name} ({why})" for name, why in failed.items()))
    return outcome


def table(results):
    """Lines of a table: recipe, lesson, steps, seconds, figures."""
    rows = [("recipe", "lesson", "steps", "seconds", "figures at demo size")]
    rows += [
        (result["recipe"], result["lesson"], str(result["steps"]), f"{result['seconds']:.1f}",
         ", ".join(f"{metric} {value:.4g}" for metric, value in result["metrics"].items()))
        for result in results
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _free_folder():
    folder, number = Path("runs") / "demo", 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"demo-{number}"
    return folder


def _quiet(line):
    """The demo says less than a run of one recipe."""
