import functools

import pytest

from minigen.learn.stub import is_stub


def ellipsis(x, *, rng): ...


def docstring_and_ellipsis(x):
    """What to write."""
    ...


def only_docstring(x):
    """What to write."""


def only_pass(x):
    pass


@pytest.mark.parametrize("function", [ellipsis, docstring_and_ellipsis, only_docstring, only_pass])
def test_a_body_that_does_nothing_is_a_stub(function):
    assert is_stub(function)


def test_a_stub_in_a_notebook_cell_has_no_source_and_is_still_a_stub():
    scope = {}
    exec("def f(mean, log_var):\n    # your code here\n    ...\n", scope)
    assert is_stub(scope["f"])


def returns_one(x):
    return 1


def returns_text(x):
    return "text"


def returns_input(x):
    return x


def forgot_return(x):
    x + 1


def raises(x):
    raise NotImplementedError


@pytest.mark.parametrize("function", [returns_one, returns_text, returns_input, forgot_return, raises, abs,
                                      functools.partial(ellipsis), lambda x: x])
def test_anything_that_does_something_is_not_a_stub(function):
    assert not is_stub(function)
