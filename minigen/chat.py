"""Talking to a trained run of gpt-chat: in the terminal (`minigen chat`), or in a notebook, turn by turn.

    experiment = chat.load()                                  # the newest run of gpt-chat below runs/
    history = []
    history = chat.turn(experiment, history, "My name is Mia.", rng=rng)     # prints the answer as it is drawn
    history = chat.turn(experiment, history, "What is my name?", rng=rng)
    history[-1].text                                          # "Your name is Mia."

A history is a list of turns (role, text), oldest first. The model has no other memory: everything it knows of the
conversation is read again from the history, as much of it as fits into its block.
"""

import json
import sys
from pathlib import Path

import numpy as np

from minigen import recipes
from minigen.data.dialogues import Turn
from minigen.errors import CommandError

RECIPE = "gpt-chat"
TEMPERATURE = 0.5  # lower than the 1 of training: an answer that is a little likelier is a little more often right


def load(folder=None):
    """The trained experiment of a run's folder; default the newest run of gpt-chat below runs/.

    Raises:   CommandError if there is none, or it is a run of a recipe that cannot answer.
    """
    folder = newest() if folder is None else Path(folder)
    experiment = recipes.load(folder)
    if not hasattr(experiment, "reply"):
        raise CommandError(f"chat: {folder} holds a run of another recipe, which cannot answer; expected "
                           f"one of {RECIPE}")
    return experiment


def newest(below="runs"):
    """The folder of the newest finished run of gpt-chat in a folder, or one level deeper.

    Raises:   CommandError that says how to train one.
    """
    found = []
    for pattern in ("*/result.json", "*/*/result.json"):
        for path in Path(below).glob(pattern):
            try:
                named = json.loads(path.read_text(encoding="utf-8")).get("recipe")
            except (OSError, ValueError, AttributeError):
                continue  # not a run
            if named == RECIPE:
                found.append((path.stat().st_mtime_ns, path.parent))
    if not found:
        minutes = -(-recipes.get(RECIPE).budget_seconds // 60)
        raise CommandError(f"chat: there is no trained run of {RECIPE} in {below}/; `minigen train {RECIPE}` makes one "
                           f"in at most {minutes:.0f} minutes, or name its folder: minigen chat DIR")
    return max(found)[1]


def show(piece):
    """Print a piece of an answer at once."""
    print(recipes.base.printable(piece), end="", flush=True)


def turn(experiment, history, text, *, rng, temperature=TEMPERATURE, show=show):
    """Say something, and show the answer piece by piece as it is drawn.

    history:      the turns so far, [] at the beginning; it is left as it is.
    temperature:  0 takes the likeliest token each time, 1 draws as the model would.
    show:         a function that gets each piece of text, at the end a line break.
    Returns:      the history with the two new turns.
    """
    history = [*history, Turn("user", text)]
    forgotten = experiment.fitting(history)[1] - experiment.fitting(history[:-2])[1] if len(history) > 2 else 0
    if forgotten > 0:
        show(f"[too long to remember all: the oldest {experiment.fitting(history)[1]} turns are forgotten]\n")
    pieces = []
    for piece in experiment.reply(history, rng=rng, temperature=temperature):
        pieces.append(piece)
        show(piece)
    show("\n")
    return [*history, Turn("assistant", "".join(pieces))]


def main(folder=None, *, seed=None, temperature=TEMPERATURE, lines=None):
    """A conversation in the terminal, until an empty line, /quit, or the end of the input (Ctrl-D).

    lines:    where the user's lines come from; default the keyboard, or what is piped in.
    """
    experiment = load(folder)
    for stream in (sys.stdin, sys.stdout):  # bytes that are no text, signs that the terminal lacks: no reason to end
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    rng, history = np.random.default_rng(seed), []
    print("Talk to a small model that has seen made-up dialogues only. Say your name, put a ball somewhere, ask for "
          "it;\nadd numbers up to 20; ask for the opposite of hot, for RELON backwards (in capitals), or: what can you "
          "do?\nAn empty line, /quit or Ctrl-D ends.")
    for line in typed() if lines is None else lines:
        if line.strip() in ("", "/quit"):
            break
        history = turn(experiment, history, line.strip(), rng=rng, temperature=temperature)


def typed():
    """The lines that are typed, each after a prompt. Piped lines are shown, so that the output reads as a dialogue."""
    keyboard = sys.stdin.isatty()
    while True:
        try:
            line = input("> ")
        except EOFError:
            print()
            return
        if not keyboard:
            print(line)
        yield line
