"""consistency-grid and its critic: the levels of further calls, and who learns what in a step."""

import numpy as np

from minigen.models import samplers
from minigen.recipes import consistency_grid, consistency_grid_sharp, get


def test_further_calls_go_back_to_levels_that_are_practised(monkeypatch):
    experiment = consistency_grid.Experiment(0, True, steps=1)
    student, asked = experiment.model.student, []
    forward = type(student).forward

    def noted(self, x, t, labels=None):
        asked.append(float(t))
        return forward(self, x, t, labels)

    monkeypatch.setattr(type(student), "forward", noted)
    for calls in (1, 2, 4):
        asked.clear()
        points = experiment.sample(50, np.random.default_rng(0), calls=calls)
        assert points.shape == (50, 2) and len(asked) == calls and set(asked) <= set(student.times)
        ratios = samplers.noise_ratio(student.schedule, np.array(asked[1:]))
        np.testing.assert_allclose(ratios, experiment.through[calls], rtol=0.5)


def test_only_with_a_weight_does_the_critic_learn_and_its_penalties_fade():
    for build, learns in ((consistency_grid.Experiment, False), (consistency_grid_sharp.Experiment, True)):
        experiment = build(0, True, steps=4)
        before = {name: p.data.copy() for name, p in experiment.model.named_parameters()}
        experiment.step()
        first = experiment.model.r1
        found = experiment.step()
        moved = {name for name, p in experiment.model.named_parameters() if (p.data != before[name]).any()}
        assert any(name.startswith("student") for name in moved)
        assert any(name.startswith("critic") for name in moved) == ("critic" in found) == learns
        assert (experiment.model.r1 < first) == learns


def test_both_are_the_same_experiment_but_for_the_weight():
    plain, sharp = get("consistency-grid").build(3, True), get("consistency-grid-sharp").build(3, True)
    assert plain.model.weight == 0 < sharp.model.weight
    ours, theirs = plain.model.state_dict(), sharp.model.state_dict()
    assert set(ours) == set(theirs)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert plain.model.num_parameters() == plain.model.student.num_parameters() < sharp.model.num_parameters()
