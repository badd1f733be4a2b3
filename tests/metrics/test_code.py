"""Places in source, where a continuation ends, and what counts as right."""

import ast

import pytest

from minigen.metrics.code import (
    completed,
    ended,
    is_over,
    name_is_over,
    names_right,
    next_name,
    parse_rate,
    parses,
    places,
    unfinished,
)

SOURCE = '''"""A module named so."""

import os


@cached
def area(width, height=2):
    """Width times height, not size."""
    # a comment about nothing
    if width:
        return width * height
    return os.path.join(_hidden, f"{width}")


class Box:
    size = area(
        3,
    )


total = area(1)
'''


@pytest.fixture(scope="module")
def found():
    return places(SOURCE)


def test_places_are_the_names_in_the_code_of_functions_and_classes(found):
    names = [next_name(place.after) for place in found]
    assert names[:6] == ["cached", "area", "width", "height", "width", "width"]
    assert names[6:] == ["height", "os", "path", "join", *["width"] * (names.count("width") - 3), "Box", "size", "area"]
    # no keyword, no word of a docstring or comment, nothing hidden, nothing outside of functions and classes
    assert not {"return", "if", "Width", "comment", "_hidden", "total"} & set(names)


def test_a_place_and_its_rest_are_the_source(found):
    for place in found:
        whole = place.statement + place.after
        assert SOURCE.startswith(place.before + place.after)
        assert ast.parse(whole).body[0].name in ("area", "Box")
        assert whole.startswith(("@cached", "class"))
        assert not place.before.endswith(" ") or place.after.startswith(" ")


def test_the_space_before_a_name_belongs_to_the_continuation(found):
    times = next(place for place in found if place.before.endswith("width *"))
    assert times.after.startswith(" height\n")
    assert unfinished(times)
    inside = next(place for place in found if place.before.endswith("area("))
    assert inside.after.startswith("width, height=2):")


def test_only_places_where_the_statement_is_not_yet_python_are_unfinished(found):
    assert not unfinished(found[0])  # in a decorator: the next line is unindented, the statement would seem to end
    for place in found[1:]:
        assert unfinished(place) == (not parses(place.statement))
    last = [place for place in found if place.before.endswith("return")]
    assert last and not any(map(unfinished, last))  # `return` alone is Python already


@pytest.mark.parametrize("text,name", [
    ("width)", "width"), (" width", "width"), ("a1_b.c", "a1_b"), ("_x", "_x"), ("  width", ""), ("\nwidth", ""),
    ("(width", ""), ("3x", ""), ("", ""),
])  # fmt: skip
def test_the_next_name(text, name):
    assert next_name(text) == name


@pytest.mark.parametrize("text,over", [("", False), (" ", False), ("wid", False), ("wid)", True), (" wid", False),
                                       (" wid ", True), ("((", True), ("\n ", True)])  # fmt: skip
def test_a_name_is_over_when_nothing_more_can_change_it(text, over):
    assert name_is_over(text) == over
    if over:
        assert {next_name(text + more) for more in ("a", "1", "(", " ")} == {next_name(text)}


def test_a_statement_ends_before_the_next_unindented_line_that_closes_no_bracket():
    body = "1\n    y = 2\n\n    return y"
    assert ended(body + "\n\n\ndef g():\n    pass") == body
    assert ended(body + "\n\n# of the next") == body
    assert ended(body + "\f") == body
    assert ended("1,\n)\n\nx") == "1,\n)"
    assert is_over("1\nx") and not is_over("1\n    x\n)\n")


def test_what_did_not_end_is_cut_back_to_its_last_whole_line(found):
    place = next(place for place in found if place.before.endswith("width *"))
    assert completed(place, " 2\n    x = (1") == place.statement + " 2"
    assert completed(place, " 2 + (1") == place.statement


def test_the_true_text_is_always_right_and_nothing_never(found):
    some = [place for place in found if unfinished(place)]
    truth = [place.after + "\n\nx" for place in some]
    assert parse_rate(some, truth) == names_right(some, truth) == 1
    assert parse_rate(some, [""] * len(some)) == names_right(some, [""] * len(some)) == 0


def test_shares_count_each_place_once(found):
    some = [place for place in found if place.before.endswith(("width *", "area("))][:2]
    assert [unfinished(place) for place in some] == [True, True]
    assert parse_rate(some, ["height):\n    pass\n\nx", " (\n\nx"]) == 0.5
    assert names_right(some, ["width:", " width"]) == 0.5


@pytest.mark.parametrize("text,good", [("x = 1", True), ("x =", False), ("def f(:", False), ("x = '\0'", False),
                                       ("(" * 500, False), ("  x", False), ("", True)])  # fmt: skip
def test_parsing_never_raises(text, good):
    assert parses(text) == good


def test_a_source_that_does_not_parse_is_refused():
    with pytest.raises(SyntaxError):
        places("def (")
