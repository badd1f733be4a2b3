"""How an answer is marked, whatever the exercise; 05.2, the KL divergence, serves as the example."""

import json

import numpy as np
import pytest

import minigen as mg
from minigen import learn
from minigen.distributions import kl_standard_normal
from minigen.errors import MinigenError
from minigen.learn import mark
from minigen.learn.checking import DONE, NOT_YET, WRONG


def with_numpy(mean, log_var):
    return 0.5 * np.sum(mean**2 + np.exp(log_var) - 1 - log_var, axis=1)


def with_tensor_methods(mean, log_var):
    return 0.5 * (mean * mean + log_var.exp() - 1 - log_var).sum(1)


def with_operations(mean, log_var):
    return 0.5 * mg.sum(mean * mean + mg.exp(log_var) - 1 - log_var, dim=1)


def returns_a_list(mean, log_var):
    return [float(kl) for kl in with_numpy(mean, log_var)]


@pytest.mark.parametrize("function", [with_numpy, with_tensor_methods, with_operations, returns_a_list])
def test_arrays_and_tensors_both_serve(function):
    assert mark("05.2", function).status == DONE


def test_the_gradient_is_checked_where_there_is_one():
    assert "and so does the gradient" in mark("05.2", with_tensor_methods).message
    assert "takes arrays only" in mark("05.2", with_numpy).message


def test_a_float32_answer_is_not_failed_for_its_rounding():
    def in_float32(log_weights):
        v = log_weights.astype(np.float32)
        m = v.max(0)
        return m + np.log(np.mean(np.exp(v - m), axis=0))

    assert mark("05.3", in_float32).status == DONE


def test_only_infinity_itself_is_near_infinity():
    def finite_where_minus_infinity_is_wanted(v):
        m = np.maximum(v.max(axis=-1, keepdims=True), -1e6)
        return m[:, 0] + np.log(np.maximum(np.exp(v - m).sum(axis=-1), 1e-300))

    assert mark("01.3", finite_where_minus_infinity_is_wanted).status == WRONG


def test_an_error_is_shown_with_the_learners_own_line():
    def broken(mean, log_var):
        variance = mg.exp(log_var)
        return mean @ variance

    message = mark("05.2", broken).message
    assert "matmul" in message
    assert "in line 3 of your function:  return mean @ variance" in message


def test_an_unknown_name_is_shown_with_the_learners_own_line():
    def broken(mean, log_var):
        return 0.5 * sigma  # noqa: F821

    message = mark("05.2", broken).message
    assert "NameError" in message and "line 2 of your function" in message


def test_a_wrong_number_of_arguments_is_explained():
    message = mark("05.2", lambda mean: mean).message
    assert "take the arguments that the exercise names" in message


def test_a_forgotten_return_is_named():
    def forgot(mean, log_var):
        with_numpy(mean, log_var)

    assert "is the `return` missing?" in mark("05.2", forgot).message


def test_text_as_an_answer_is_not_numbers():
    assert "nothing that holds numbers" in mark("05.2", lambda mean, log_var: "0.3").message


def test_changing_an_input_in_place_is_wrong():
    def in_place(mean, log_var):
        mean *= mean
        return 0.5 * np.sum(mean + np.exp(log_var) - 1 - log_var, axis=1)

    assert "changes its input in place" in mark("05.2", in_place).message


def test_a_result_instead_of_the_function_is_refused_kindly():
    assert "pass it without brackets" in mark("05.2", np.zeros(4)).message


def test_an_unknown_mistake_shows_the_first_differing_case():
    message = mark("05.2", lambda mean, log_var: with_numpy(mean, log_var) + 0.001).message
    assert "The numbers differ." in message and "number 1: mean (4, 3), log_var (4, 3)" in message
    assert "yours " in message and "wanted" in message


def test_an_answer_that_is_wrong_in_one_case_only_is_wrong():
    def only_for_few_codes(mean, log_var):
        return with_numpy(mean, log_var) if mean.shape[1] < 5 else np.zeros(len(mean))

    message = mark("05.2", only_for_few_codes).message
    assert "number 2: mean (1, 5), log_var (1, 5)" in message


def test_nan_where_numbers_belong_is_pointed_out():
    message = mark("05.2", lambda mean, log_var: with_numpy(mean, log_var) * np.nan).message
    assert "inf or nan" in message


def test_more_results_than_wanted_are_counted():
    message = mark("05.2", lambda mean, log_var: (with_numpy(mean, log_var), 0.0)).message
    assert "returned 2 value(s), wanted 1" in message


def test_check_prints_and_never_raises(capsys):
    def stub(mean, log_var): ...

    def bad(mean, log_var):
        raise KeyError("z")

    learn.check("05.2", stub)
    learn.check("05.2", bad)
    learn.check("05.2", with_numpy)
    out, err = capsys.readouterr()
    assert out.startswith('not yet: the body is still `...`. learn.hint("05.2") gives a first hint.')
    assert "✗ 05.2 not right yet. It stopped with KeyError" in out and "✓ 05.2 done" in out
    assert err == ""


def test_check_remembers_tries_and_success_but_not_stubs(learner_home):
    def stub(mean, log_var): ...

    learn.check("05.2", stub)
    assert not learner_home.exists()
    learn.check("05.2", lambda mean, log_var: 0)
    learn.check("05.2", kl_standard_normal)
    learn.check("05.2", lambda mean, log_var: 0)
    entry = json.loads((learner_home / "progress.json").read_text())["exercises"]["05.2"]
    assert entry["attempts"] == 3 and entry["done"] is True


def test_hints_come_one_after_the_other_and_the_last_one_stays(capsys):
    for _ in range(4):
        learn.hint("05.2")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("05.2, hint")]
    assert [line[:18] for line in lines] == [f"05.2, hint {n} of 3:" [:18] for n in (1, 2, 3, 3)]
    assert all(text in line for text, line in zip(learn.exercise("05.2").hints, lines, strict=False))


def test_the_solution_is_the_packages_own_source(capsys):
    learn.solution("05.2")
    out = capsys.readouterr().out
    assert "minigen/distributions/kl.py" in out and "def kl_standard_normal(mean, log_var):" in out


def test_every_solution_can_be_shown(capsys):
    for item in learn.exercises():
        learn.solution(item.id)
        assert "def " in capsys.readouterr().out


def test_an_unknown_exercise_is_an_error_that_lists_the_known():
    with pytest.raises(MinigenError, match="no exercise '05.99'; there are .*05.1, 05.2"):
        learn.check("05.99", with_numpy)


def test_status_words_differ():
    assert len({NOT_YET, WRONG, DONE}) == 3
