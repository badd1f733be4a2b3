"""All exercises: those in EXERCISES of every module `minigen.learn.exercises.lessonNN`."""

import functools
import importlib
import pkgutil

from minigen.catalog import as_number
from minigen.errors import MinigenError
from minigen.learn import exercises as lessons


@functools.cache
def _all():
    found = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(lessons.__path__)):
        for item in importlib.import_module(f"{lessons.__name__}.{module}").EXERCISES:
            if item.id in found or module != f"lesson{item.lesson}":
                raise MinigenError(f"learn: exercise {item.id} in {module}.py is there twice, or in the wrong file")
            found[item.id] = item
    return found


def exercises(lesson=None):
    """The exercises in order: of one lesson ("05", 5 or "A1"), or of all."""
    wanted = None if lesson is None else as_number(lesson)
    return [item for item in _all().values() if wanted in (None, item.lesson)]


def exercise(id):
    """The exercise of that id.

    Raises:   MinigenError that lists the ids there are.
    """
    try:
        return _all()[id]
    except KeyError:
        raise MinigenError(f"learn: there is no exercise {id!r}; there are {', '.join(_all())}") from None
