"""diffusion-gan-glyphs: it begins as its teacher, the judge learns alone at first, and four calls make a letter."""

import numpy as np
import pytest

from minigen.autograd import Tensor, no_grad
from minigen.recipes import diffusion_gan_glyphs, taught


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """A teacher of two steps."""
    monkeypatch.setattr(taught.Letters, "quick_teacher_steps", 2)
    yield
    taught._quick.cache_clear()


def weights(module):
    return {name: parameter.data.copy() for name, parameter in module.named_parameters()}


def changed(module, before):
    return [name for name, array in weights(module).items() if np.any(array != before[name])]


def test_without_z_the_generator_begins_as_its_teachers_guess_and_the_judge_sees_by_the_teacher():
    student = diffusion_gan_glyphs.Experiment(0, True, steps=1)
    rng = np.random.default_rng(1)
    for parameter in student.teacher.parameters():
        parameter.overwrite(parameter.data + 0.1 * rng.standard_normal(parameter.shape).astype(np.float32))
    student.begin()
    x, labels = rng.standard_normal((4, 1, 28, 28)).astype(np.float32), np.array([0, 5, 25, 3])
    n, model = np.array([1, 2, 3, 4]), student.model
    last = model.generator.network.embedding.style[-1]
    for parameter in last.parameters():
        parameter.overwrite(np.zeros(parameter.shape))
    with no_grad():
        said = student.teacher.network(Tensor(x), model.times[n].astype(np.float32) * 1000, labels)
        clean = model.clean(x, n, labels, rng=rng).data
    np.testing.assert_allclose(clean, student.schedule.clean_from("v", said.data, x, model.times[n]), atol=1e-5)
    theirs = student.teacher.network.state_dict()
    for name, array in model.discriminator.sight.state_dict().items():
        np.testing.assert_array_equal(array, theirs[name])


def test_the_judge_learns_alone_at_first_then_both_and_its_sight_never():
    student = diffusion_gan_glyphs.Experiment(0, True, steps=8)
    assert student.alone == 2
    student.step()
    before, sight = weights(student.model.generator), student.model.discriminator.sight.state_dict()
    judged = weights(student.model.discriminator)
    assert set(student.step()) == {"discriminator"}
    assert not changed(student.model.generator, before) and changed(student.model.discriminator, judged)
    assert set(student.step()) == {"discriminator", "generator"}
    assert changed(student.model.generator, before)
    for name, array in student.model.discriminator.sight.state_dict().items():
        np.testing.assert_array_equal(array, sight[name])


def test_four_calls_of_the_average_make_the_letter_asked_for(monkeypatch):
    student = diffusion_gan_glyphs.Experiment(0, True, steps=2)
    student.step()
    asked, forward = [], type(student.model.generator).forward
    monkeypatch.setattr(type(student.model.generator), "forward",
                        lambda self, x, time, z, labels: asked.append((len(x), *labels)) or forward(self, x, time, z,
                                                                                                    labels))
    drawn = student.draw_asked([3, 7], np.random.default_rng(2))
    assert drawn.shape == (2, 28, 28) and drawn.min() >= 0 and drawn.max() <= 16
    assert asked == [(2, 3, 7)] * 3 and student.model.steps == 4  # and one of the teacher
    for average in student.ema._average.values():
        average += 0.05
    assert np.abs(student.draw_asked([3, 7], np.random.default_rng(2)) - drawn).max() > 1e-3
