"""`show_source`: the package's code beside the text, read from the file that runs. No second copy can go stale."""

import inspect
import textwrap
from pathlib import Path

import minigen
from minigen.errors import MinigenError
from minigen.learn.page import show

_ROOT = Path(minigen.__file__).resolve().parent.parent


def show_source(obj, start=None, end=None, *, docstring=True):
    """Show the source of a function, class, method or module, or the part of it that matters.

    start, end:  text found in the first and last line wanted; by default from the first line to the last.
    docstring:   False leaves out a function's or class's own docstring.
    Raises:      MinigenError if the source or one of the texts is not there.
    """
    heading, code = excerpt(obj, start, end, docstring=docstring)
    show(f"`{heading}`\n```python\n{code}\n```", f"# {heading}\n{code}\n")


def excerpt(obj, start=None, end=None, *, docstring=True):
    """What `show_source` shows: (file and line numbers, code without common indentation)."""
    obj = inspect.unwrap(getattr(obj, "__func__", obj)) if callable(obj) else obj
    obj = getattr(obj, "fget", obj) if isinstance(obj, property) else obj
    try:
        lines, first = inspect.getsourcelines(obj)
        file = Path(inspect.getsourcefile(obj)).resolve()
    except (TypeError, OSError):
        raise MinigenError(f"show_source: there is no Python source for {obj!r}") from None
    first = max(first, 1)
    begin = 0 if start is None else _find(lines, start, 0, obj)
    stop = len(lines) if end is None else _find(lines, end, begin, obj) + 1
    chosen = list(enumerate(lines))[begin:stop]
    if not docstring:
        inside = _docstring_lines(lines)
        chosen = [(number, line) for number, line in chosen if number not in inside]
    code = textwrap.dedent("".join(line for _, line in chosen)).rstrip()
    name = file.relative_to(_ROOT).as_posix() if file.is_relative_to(_ROOT) else file.name
    return f"{name}, lines {first + begin}–{first + stop - 1}", code


def _find(lines, text, begin, obj):
    for number in range(begin, len(lines)):
        if text in lines[number]:
            return number
    name = getattr(obj, "__name__", repr(obj))
    raise MinigenError(f"show_source: no line of {name} contains {text!r}")


def _docstring_lines(lines):
    """The line numbers, from 0, of the docstring of the definition in `lines`."""
    import ast

    tree = ast.parse(textwrap.dedent("".join(lines)))
    node = tree if not tree.body else tree.body[0] if hasattr(tree.body[0], "body") else tree
    head = node.body[0] if node.body else None
    if not (isinstance(head, ast.Expr) and isinstance(head.value, ast.Constant) and isinstance(head.value.value, str)):
        return range(0)
    return range(head.lineno - 1, head.end_lineno)
