"""Recipes: every trained result, each defined once.

    recipes.names()                       # what there is
    recipes.get("vae-digits")             # the Recipe
    recipes.run("vae-digits", seed=1)     # train, evaluate, draw, write result.json
    recipes.load("runs/vae-digits-seed1") # the trained Experiment again

Machinery: base.py (what a recipe is), running.py (how one is run), judging.py (how good its samples are), features.py
(the networks that samples are judged with), planar.py, asked.py and picture_diffusion.py (what recipes share that make
points, pictures on demand, and those by diffusion), demo.py (all of them, small), league.py, league_table.py and
league_picture.py (all families measured alike).
Every other module in this folder is a recipe: `vae_digits.py` defines RECIPE, named "vae-digits".
"""

import difflib
import importlib
import pkgutil

from minigen.errors import RecipeError
from minigen.recipes.base import Experiment, Recipe
from minigen.recipes.running import load, run

__all__ = ["Experiment", "Recipe", "get", "load", "names", "register", "run", "unregister"]

MACHINERY = ("asked", "base", "demo", "features", "few_calls", "judging", "league", "league_picture", "league_table",
             "picture_diffusion", "planar", "running", "taught")
_registered = {}


def names():
    """The names of all recipes, sorted."""
    modules = (module.name for module in pkgutil.iter_modules(__path__) if module.name not in MACHINERY)
    return sorted({name.replace("_", "-") for name in modules} | set(_registered))


def get(name):
    """The Recipe of that name.

    Raises:   RecipeError, with the names that come close, if there is none.
    """
    if name in _registered:
        return _registered[name]
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(names()) or 'none'}"
        raise RecipeError(f"no recipe is called {name!r}; {hint}")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    recipe = getattr(module, "RECIPE", None)
    if not isinstance(recipe, Recipe) or recipe.name != name:
        raise RecipeError(f"{module.__name__} must define RECIPE, a Recipe named {name!r}")
    return recipe


def register(recipe):
    """Add a recipe of your own for this process: then it is run like the others."""
    if recipe.name in names():
        raise RecipeError(f"there is a recipe called {recipe.name!r} already")
    _registered[recipe.name] = recipe


def unregister(name):
    """Take a registered recipe out again."""
    _registered.pop(name, None)
