"""The judge of lesson 11's open exercise."""

import pytest

from minigen.learn import solvers


@pytest.mark.parametrize("plan", [{}, {"sampler": "heun", "steps": 4},
                                  {"sampler": "dpm", "spacing": "karras", "steps": 5},
                                  {"sampler": "ddim", "spacing": "snr", "eta": 0.5, "steps": 3}])  # fmt: skip
def test_questions_are_foretold(plan):
    assert solvers.run(plan, n=10)[1] == solvers.questions(plan)


@pytest.mark.parametrize("plan", [{"sampler": "dpm", "spacing": "snr", "highest": 12.0},
                                  {"sampler": "dpm", "spacing": "snr", "steps": 10, "highest": 10.0}])  # fmt: skip
def test_a_good_plan_passes(plan):
    passed, text = solvers.better_plan(lambda: plan)
    assert passed, text
