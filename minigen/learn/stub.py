"""Has the learner begun? An untouched exercise is a function whose body is `...` (and perhaps a docstring).

The test is on the compiled code, so it needs no source text and works in any notebook, console or file: Python
compiles `...`, `pass` and nothing at all to the same few instructions, "return None".
"""

import types


def _template(body):
    scope = {}
    exec(f"def function(x):\n    {body}", scope)
    return scope["function"].__code__.co_code


_UNTOUCHED = {_template(body) for body in ("...", "'''doc'''\n    ...", "'''doc'''")}


def is_stub(function):
    """True if the body of a Python function does nothing at all."""
    if not isinstance(function, types.FunctionType):
        return False
    code = function.__code__
    # `return 1` has the same instructions, but a constant besides None and the docstring.
    return code.co_code in _UNTOUCHED and set(code.co_consts) <= {None, function.__doc__}
