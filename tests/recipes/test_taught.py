"""Students: where the teacher is found, what the student begins with, and that a finished run needs no teacher."""

import json

import numpy as np
import pytest

from minigen import recipes
from minigen.autograd import Tensor, no_grad
from minigen.errors import RecipeError
from minigen.models import samplers
from minigen.models.diffusion import Diffusion
from minigen.models.distillation import many_steps
from minigen.recipes import consistency_glyphs, progressive_glyphs, rectified_grid, taught


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Teachers of two steps."""
    for student in (taught.Letters, rectified_grid.Experiment):
        monkeypatch.setattr(student, "quick_teacher_steps", 2)
    yield
    taught._quick.cache_clear()


def silent(name, folder, **settings):
    recipes.run(name, quick=True, out=folder, progress=False, say=lambda line: None, **settings)


def test_the_first_step_finds_the_teacher_and_the_student_begins_as_it():
    student = progressive_glyphs.Experiment(0, True, steps=1)
    before = student.teacher.network.last.weight.data.copy()
    student.step()
    found = taught.find("diffusion-glyphs", 0, quick_steps=2)
    assert found is taught.find("diffusion-glyphs", 0, quick_steps=2)  # trained once only
    with found.ema.averaged():
        for (name, ours), (_, theirs) in zip(student.teacher.named_parameters(), found.model.named_parameters(),
                                             strict=True):
            np.testing.assert_array_equal(ours.data, theirs.data, err_msg=name)
    assert np.abs(student.teacher.network.last.weight.data - before).max() > 0
    start = student.ema._average["network.first.weight"] - student.teacher.network.first.weight.data
    assert np.abs(start).max() < 1e-3  # one small step away


def test_a_consistency_model_begins_as_its_teachers_guess_of_the_clean_picture():
    student = consistency_glyphs.Experiment(0, True, steps=1)
    rng = np.random.default_rng(1)
    for parameter in student.teacher.parameters():
        parameter.overwrite(parameter.data + 0.1 * rng.standard_normal(parameter.shape).astype(np.float32))
    student.begin()
    x, labels, t = rng.standard_normal((3, 1, 28, 28)).astype(np.float32), np.array([0, 5, 25]), np.full(3, 0.6)
    with no_grad():
        said = Diffusion(student.teacher.network, student.schedule, prediction="v").predictor(labels)(x, t)
        leap = student.model(Tensor(x), t, labels).data
    clean = student.schedule.clean_from("eps", said, x, t)
    assert np.abs(leap - clean).mean() < 0.02 * np.abs(clean).mean()  # they differ by ς_min = 0.02


def test_the_teachers_answers_lead_one_step_of_the_student_where_its_own_patient_steps_lead():
    student = progressive_glyphs.Experiment(0, True, steps=2)
    student.step()
    labels, t, noised, slope = student.answers
    times = student.times()
    assert len(labels) == student.quick_questions and set(t) == set(times[:-1])
    for high, low in zip(times[:-1], times[1:], strict=True):
        rows = np.flatnonzero(t == high)[:5]
        predict, start = student.teacher.predictor(labels[rows]), noised[rows]
        patiently = many_steps(predict, student.schedule, start, np.full(5, high), np.full(5, low),
                               steps=student.substeps)  # fmt: skip
        at_once = samplers.ddim(lambda x, t, rows=rows: slope[rows], student.schedule, [high, low], start)
        np.testing.assert_allclose(at_once, patiently, atol=2e-3 * np.abs(patiently).max())


def test_answers_serve_a_few_times_and_are_the_same_after_a_pause(tmp_path, monkeypatch):
    monkeypatch.setattr(progressive_glyphs.Experiment, "quick_questions", 32)  # one batch: each serves four steps
    seen, ask = [], progressive_glyphs.Experiment.ask

    def noted(self, rng):
        found = ask(self, rng)
        seen.append((self.taken.value, found[2].sum()))
        return found

    monkeypatch.setattr(progressive_glyphs.Experiment, "ask", noted)
    whole = progressive_glyphs.Experiment(0, True, steps=9)
    for _ in whole.fit(progress=False):
        pass
    assert [step for step, _ in seen] == [1, 5, 9] and len({total for _, total in seen}) == 3
    first = list(seen)
    seen.clear()
    stopped = progressive_glyphs.Experiment(0, True, steps=9)
    for report in stopped.fit(progress=False, folder=tmp_path, checkpoint_every=2):
        if report.step == 6:
            break
    resumed = progressive_glyphs.Experiment(0, True, steps=9)
    for _ in resumed.fit(progress=False, folder=tmp_path, resume=True, checkpoint_every=2):
        pass
    assert set(seen) <= set(first) | {(7, first[1][1])} and (7, first[1][1]) in seen
    np.testing.assert_array_equal(resumed.model.network.last.weight.data, whole.model.network.last.weight.data)


def test_further_calls_of_consistency_glyphs_go_back_to_times_that_are_practised(monkeypatch):
    student, asked = consistency_glyphs.Experiment(0, True, steps=1), []
    student.at_once, forward = 100, type(student.model).forward

    def noted(self, x, t, labels=None):
        asked.append(float(t))
        return forward(self, x, t, labels)

    monkeypatch.setattr(type(student.model), "forward", noted)
    student.draw_asked(np.array([3, 4]), np.random.default_rng(0))
    assert asked == pytest.approx([1.0, 0.75, 0.5, 0.25]) and set(asked) <= set(student.model.times)


def test_a_finished_run_needs_no_teacher(tmp_path, monkeypatch):
    silent("rectified-grid", tmp_path / "run", steps=3)
    monkeypatch.setattr(taught, "find", None)
    again = recipes.load(tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert again.evaluate() == pytest.approx(result["metrics"], rel=1e-5)


def test_a_given_run_is_the_teacher_and_a_wrong_one_is_refused(tmp_path, monkeypatch):
    silent("flow-matching-grid", tmp_path / "teacher", steps=3)
    silent("rectified-grid", tmp_path / "student", steps=3, data=tmp_path / "teacher")
    teacher, student = recipes.load(tmp_path / "teacher"), recipes.load(tmp_path / "student")
    with teacher.ema.averaged():
        np.testing.assert_array_equal(student.teacher.network.last.weight.data, teacher.model.network.last.weight.data)
    with pytest.raises(RecipeError, match="holds a run of flow-matching-grid; expected one of diffusion-glyphs"):
        taught.find("diffusion-glyphs", 0, data=tmp_path / "teacher")
    with pytest.raises(RecipeError, match="was cut short"):
        taught.find("flow-matching-grid", 0, data=tmp_path / "teacher")
    with pytest.raises(RecipeError, match="is no run of flow-matching-grid"):
        taught.find("flow-matching-grid", 0, data=tmp_path / "nothing")
    (tmp_path / "teacher" / "result.json").unlink()
    with pytest.raises(RecipeError, match="holds an unfinished run of flow-matching-grid"):
        taught.find("flow-matching-grid", 0, data=tmp_path / "teacher")
    (tmp_path / "teacher" / "config.json").write_text("{}")
    with pytest.raises(RecipeError, match="is no run of flow-matching-grid"):
        taught.find("flow-matching-grid", 0, data=tmp_path / "teacher")


def test_a_teacher_that_is_not_there_is_trained_first_and_says_so(tmp_path, monkeypatch, capsys, tiny_recipe):
    monkeypatch.chdir(tmp_path)
    found = taught.find("tiny", 4)
    assert "the teacher is trained first" in capsys.readouterr().out
    assert (tmp_path / "runs" / "tiny-seed4" / "result.json").is_file()
    again = taught.find("tiny", 4)
    assert "trained first" not in capsys.readouterr().out and type(again) is type(found)
