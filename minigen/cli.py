"""The command line: `minigen list`, `minigen train vae-digits`, …; each command is one short function below.

What minigen itself reports (MinigenError) comes as one message without a traceback, and the exit code 2; Ctrl-C ends
with 130. Each command imports what it needs when it runs, so that `minigen --help` answers at once.
"""

import argparse
import importlib
import os
import sys
import warnings
from pathlib import Path

from minigen.arguments import debug, temperature, whole
from minigen.errors import CommandError, MinigenError
from minigen.version import __version__


def main(arguments=None):
    """Run one command; returns the exit code."""
    options = parser().parse_args(arguments)
    if not hasattr(options, "command"):
        parser().print_help()
        return 0
    previous, warnings.showwarning = warnings.showwarning, _show_warning
    try:
        return options.command(options) or 0
    except MinigenError as error:
        if getattr(options, "debug", False):
            raise
        print(f"minigen: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minigen: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `minigen list | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        warnings.showwarning = previous


def parser():
    """The parser of all commands."""
    top = argparse.ArgumentParser(prog="minigen", description="Generative modelling, built from the first matrix "
                                  "product up: models that train in minutes on a laptop, and the lessons about them.")
    top.add_argument("--version", action="version", version=f"minigen {__version__}")
    debug(top)
    commands = top.add_subparsers(metavar="COMMAND", title="commands")

    def command(name, function, text):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(command=function)
        debug(sub)
        return sub

    command("list", list_recipes, "list the recipes: every result that can be trained here")

    train = command("train", train_recipe, "train a recipe, evaluate it, draw samples, write DIR/result.json")
    train.add_argument("recipe", metavar="RECIPE", help="a name from `minigen list`")
    train.add_argument("--quick", action="store_true", help="the small size, for a first look")
    train.add_argument("--seed", type=whole(0), metavar="N", help="default: the recipe's own")
    train.add_argument("--steps", type=whole(1), metavar="N", help="another number of training steps")
    train.add_argument("--out", type=Path, metavar="DIR", help="default: runs/RECIPE-seedN")
    train.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    train.add_argument("--data", type=Path, metavar="PATH",
                       help="a local copy that stands in for a download, or the run of a teacher")

    sample = command("sample", sample_run, "draw new samples from a trained run")
    sample.add_argument("dir", type=Path, metavar="DIR", help="the run's folder")
    sample.add_argument("--n", type=whole(1), metavar="N", help="how many (default 64, of texts 8)")
    sample.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default 0")
    sample.add_argument("--out", type=Path, metavar="FILE", help="a .png, or of texts a .txt; default "
                        "DIR/sample-seedN.png; texts are printed")

    talk = command("chat", talk_to_run, "talk to a trained run of gpt-chat")
    talk.add_argument("dir", type=Path, nargs="?", metavar="DIR", help="the run's folder; default the newest in runs/")
    talk.add_argument("--temperature", type=temperature, metavar="T",
                      help="0 always takes the likeliest word, 1 draws as the model would (default 0.5)")
    talk.add_argument("--seed", type=whole(0), metavar="N", help="the same answers again; default others every time")

    evaluate = command("evaluate", evaluate_run, "measure a trained run's samples, beside real ones that were held out")
    evaluate.add_argument("dir", type=Path, metavar="DIR", help="the run's folder")
    evaluate.add_argument("--n", type=whole(1), metavar="N",
                          help="how many samples (default: as many as pictures held out, or 2,500 points)")
    evaluate.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default 0")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")

    board = command("leaderboard", show_league, "measure every family on digits and on points, train what is missing")
    board.add_argument("--only", choices=("digits", "grid"), help="one of the two")
    board.add_argument("--recipes", nargs="+", metavar="NAME", help="default: all that are in the league")
    board.add_argument("--seeds", nargs="+", type=whole(0), metavar="N", help="default: 0 1 2")
    board.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default: runs; in RECIPE-seedN")
    board.add_argument("--read", action="store_true", help="train nothing; a run that is missing is an error")
    board.add_argument("--rows", type=Path, metavar="FILE", help="look at no run: the rows that --json wrote there")
    board.add_argument("--quick", action="store_true", help="of the small size, for a first look")
    board.add_argument("--steps", type=whole(1), metavar="N", help="another number of training steps")
    board.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, one for each run")
    board.add_argument("--picture", type=Path, metavar="FILE", help="draw them there, a .png")
    board.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables there, between their two markers")

    demo = command("demo", run_demo, "train a small model of every family, in under five minutes")
    demo.add_argument("--out", type=Path, metavar="DIR", help="default: runs/demo")

    check = command("gradcheck", gradcheck, "check every gradient against finite differences, and print the table")
    check.add_argument("names", nargs="*", metavar="NAME", help="operations or layers; default all")
    check.add_argument("--json", action="store_true", help="print JSON")

    lessons = command("lessons", open_lessons, "copy the lessons to a folder of your own and open JupyterLab there")
    lessons.add_argument("folder", nargs="?", type=Path, default=Path("minigen-lessons"), metavar="DIR",
                         help="default: minigen-lessons; what is in it already is never overwritten")
    lessons.add_argument("--no-browser", action="store_true", help="start the server, print its address")
    lessons.add_argument("--copy-only", action="store_true", help="only copy")

    command("progress", show_progress, "show which exercises are done")

    bench = command("bench", run_benchmark, "time the training steps and the kernels beside PyTorch, JAX and others")
    bench.add_argument("--quick", action="store_true", help="fewer repeats and peers: two minutes in place of fifteen")
    bench.add_argument("--only", metavar="NAME", help="one chapter, training step or kernel; a wrong name lists them")
    bench.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    bench.add_argument("--no-torch", action="store_true", help="leave PyTorch out")

    warmup = command("warmup", warm_up, "compile all kernels now, so that no training waits for it later")
    warmup.add_argument("--all", action="store_true", help="for float64 too, in which gradients are checked")

    fetch = command("fetch", fetch_data, "download a data set into the cache, and check it")
    fetch.add_argument("name", choices=("mnist", "fashion-mnist", "tiny-shakespeare"), metavar="NAME",
                       help="mnist, fashion-mnist or tiny-shakespeare")
    fetch.add_argument("--data", type=Path, metavar="PATH", help="check this local copy instead")
    return top


# -- the commands -----------------------------------------------------------------------------------------------------


def list_recipes(options):
    """A table: name, lesson, time allowed, what it is, and below each the number to compare with."""
    from minigen import recipes

    chosen = sorted(map(recipes.get, recipes.names()), key=lambda recipe: (recipe.lesson, recipe.name))
    width = max([len("recipe"), *(len(recipe.name) for recipe in chosen)])
    print(f"{'recipe':<{width}}  lesson  budget  what it is, and what to compare with")
    for recipe in chosen:
        print(f"{recipe.name:<{width}}  {recipe.lesson:<6}  {recipe.budget_seconds:>4.0f} s  {recipe.summary}")
        print(f"{'':<{width}}                  {recipe.anchor}")


def train_recipe(options):
    """Train one recipe. Missing its band is a result, not an error: the exit code is 0 and result.json says so."""
    from minigen import recipes

    recipes.run(options.recipe, quick=options.quick, seed=options.seed, steps=options.steps, out=options.out,
                resume=options.resume, data=options.data)


def sample_run(options):
    """Draw samples from a run: into a picture; texts into a file, or on the terminal."""
    import numpy as np

    from minigen import recipes

    ending = options.out.suffix if options.out else None
    if ending not in (None, ".png", ".txt"):
        raise CommandError(f"--out {options.out}: expected a name that ends in .png, or for texts in .txt")
    experiment, rng = recipes.load(options.dir), np.random.default_rng(options.seed)
    n = options.n or (8 if experiment.text else 64)
    if ending == ".txt" and not experiment.text:
        raise CommandError(f"--out {options.out}: the samples of {options.dir} are no texts; expected a name that ends "
                           f"in .png")
    if ending is None and experiment.text:
        print(recipes.base.BETWEEN.join(experiment.sample(n, rng)))
        return
    path = options.out or options.dir / f"sample-seed{options.seed}.png"
    try:
        if ending == ".txt":
            path.write_text(recipes.base.BETWEEN.join(experiment.sample(n, rng)) + "\n", encoding="utf-8")
        else:
            experiment.sample_picture(path, n, rng)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written ({error})") from error
    print(path)


def evaluate_run(options):
    """Print the table of figures, draw samples beside their nearest training pictures."""
    from minigen.recipes import judging

    judging.evaluate(options.dir, n=options.n, seed=options.seed, json_path=options.json)


def show_league(options):
    """One table for all families: of runs, of which those that are missing are trained, or of rows in a file."""
    from minigen.recipes import league

    chosen = league.entries(options.only, options.recipes)
    if options.rows and (options.read or options.quick or options.steps or options.runs != Path("runs")):
        raise CommandError("leaderboard: --rows looks at no run; expected it without --runs, --read, --quick, --steps")
    rows = league.read_rows(options.rows, chosen, options.seeds) if options.rows else league.rows(
        chosen, options.seeds or league.SEEDS, runs=options.runs, read=options.read, quick=options.quick,
        steps=options.steps)
    league.leaderboard(rows, json_path=options.json, picture_path=options.picture, markdown_path=options.markdown)


def talk_to_run(options):
    """A conversation with a trained run."""
    from minigen import chat

    chosen = chat.TEMPERATURE if options.temperature is None else options.temperature
    chat.main(options.dir, seed=options.seed, temperature=chosen)


def run_demo(options):
    """Train one small model of each family."""
    from minigen.recipes.demo import demo

    demo(options.out)


def gradcheck(options):
    """The table of gradient checks; the exit code is not 0 if a row fails."""
    from minigen import gradtable

    return gradtable.main(options.names, options.json)


def open_lessons(options):
    """Copy the lessons, say what was done, open JupyterLab."""
    from minigen import workspace

    copied, kept, newer = workspace.copy_lessons(options.folder)
    for name in copied:
        print(f"copied  {options.folder / name}")
    for name in kept:
        note = ": there is a newer version; move yours away to get it" if name in newer else ""
        print(f"yours   {options.folder / name}{note}")
    return 0 if options.copy_only else workspace.open_lab(options.folder, browser=not options.no_browser)


def show_progress(options):
    """The table of exercises."""
    from minigen.learn import progress

    progress.print_summary()


def run_benchmark(options):
    """Run the benchmark, which lies beside the tests: it is no part of an installed package."""
    folder = Path(__file__).parents[1] / "tests" / "benchmarks"
    if not (folder / "suite").is_dir():
        raise CommandError("bench: the benchmark is in the source, not in an installed package: clone the repository "
                           "and run `pip install -e '.[bench]'` and `minigen bench` there")
    sys.path.insert(0, str(folder))
    report = importlib.import_module("suite.report")
    report.main(options.quick, options.only, options.json, not options.no_torch)


def warm_up(options):
    """Compile the kernels, or see that they are compiled."""
    from minigen.kernels import warmup

    warmup.warm_up(("float32", "float64") if options.all else ("float32",))


def fetch_data(options):
    """Get one data set, or check a local copy, and say what it holds."""
    from minigen.data import fetch
    from minigen.data.cache import cache_dir

    where = options.data or cache_dir()
    if options.name == "tiny-shakespeare":
        text = fetch.tiny_shakespeare(path=options.data)
        print(f"tiny-shakespeare: {len(text):,} characters, {len(set(text))} distinct, in {where}")
        return
    load = fetch.mnist if options.name == "mnist" else fetch.fashion_mnist
    images = load(path=options.data)
    print(f"{options.name}: {len(images.train_images):,} training and {len(images.test_images):,} test images, "
          f"in {where}")


def _show_warning(message, category, filename, lineno, file=None, line=None):
    print(f"minigen: warning: {message}", file=sys.stderr)
