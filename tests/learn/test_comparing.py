import numpy as np
import pytest

import minigen as mg
from minigen.errors import ShapeError
from minigen.learn import compare
from minigen.learn.comparing import numbers


def test_agreement_shows_both_sides_and_the_error(capsys):
    compare([1.0, 2.0], np.array([1.0, 2.01]), expect=0.02, names=("closed form", "Monte Carlo"))
    out = capsys.readouterr().out
    assert out == ("closed form: 1  2\nMonte Carlo: 1  2.01\n"
                   "✓ agree: largest difference 0.01, expected at most 0.02\n")


def test_disagreement_is_said_and_not_raised(capsys):
    compare(1.0, 1.5, expect=0.1)
    assert "✗ do NOT agree: largest difference 0.5" in capsys.readouterr().out


def test_relative_difference(capsys):
    compare(1001.0, 1000.0, expect=0.002, relative=True)
    assert "✓ agree: largest relative difference 0.001" in capsys.readouterr().out


def test_nan_never_agrees(capsys):
    compare([1.0, np.nan], [1.0, np.nan], expect=1e9)
    assert "NOT" in capsys.readouterr().out


def test_tensors_are_compared_by_their_numbers(capsys):
    compare(mg.tensor([1.0], requires_grad=True) * 2, np.array([2.0]), expect=1e-6)
    assert "✓" in capsys.readouterr().out


def test_different_shapes_are_an_error_because_broadcasting_would_hide_them():
    with pytest.raises(ShapeError, match=r"one side has shape \(3, 1\), the other has \(3,\)"):
        compare(np.zeros((3, 1)), np.zeros(3), expect=1.0)


def test_long_arrays_are_shortened():
    assert numbers(np.arange(100.0)) == "0  1  2  3  4  5  … (100 numbers)"
