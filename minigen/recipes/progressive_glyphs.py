"""progressive-glyphs: letters in four calls, by a student of diffusion-glyphs that makes its long steps in one.
"""

import numpy as np

from minigen.models import samplers
from minigen.models.distillation import halving_loss, patient
from minigen.recipes import base, taught


class Experiment(taught.Letters):
    """The letters of diffusion-glyphs and a network like its own; loss and sampler of a student."""

    stops = (0.84, 0.66, 0.38, 0.0)  # where the student's steps end; they begin at the schedule's end
    shares = (0.3, 0.35, 0.2, 0.15)  # of the training that each of the steps has
    substeps = 1  # of each half of them, that the teacher goes
    rate, averaging, quick_averaging = 8e-4, 0.99, 0.9
    full_steps, quick_steps = 2_000, 40
    ways = {"progressive distillation": (4,)}

    def begin(self):
        """The student begins as its teacher."""
        taught.copy_weights(self.teacher.network, self.model.network)

    def times(self, parts=1):
        """The times of the student's steps, falling, or of as many `parts` of each."""
        ends = np.concatenate([[self.schedule.end], self.stops])
        return np.interp(np.arange(parts * len(self.stops) + 1) / parts, np.arange(len(ends)), ends)

    def losses(self, images, labels):
        """How far one step of the student's is from two of the teacher's, (13.78), (B,)."""
        times = self.times(2)
        teacher = patient(self.teacher.predictor(labels), self.schedule, times, steps=self.substeps)
        return halving_loss(self.model.predictor(labels), teacher, self.schedule, self.seen(images), times,
                            rng=self.rng, i=self.rng.choice(len(self.shares), size=len(labels), p=self.shares))

    def draw_asked(self, labels, rng):
        """One letter for each label, by the averaged student's steps."""
        with self.ema.averaged():
            return self.in_parts(labels, rng, lambda noise, part: samplers.ddim(
                self.model.predictor(labels[part]), self.schedule, self.times(), noise))  # fmt: skip

    def drawn_along(self, way, calls, labels, rng):
        """For few_calls.py: it knows one number of calls."""
        return self.draw_asked(labels, rng)


RECIPE = base.Recipe(
    name="progressive-glyphs",
    summary="diffusion-glyphs' letters in four calls, by a student of progressive distillation",
    lesson="13",
    build=Experiment,
    band={"read_as_asked": (0.9, 1.0)},
    quick_band={"read_as_asked": (0.05, 0.6)},
    anchor="its teacher by 20 steps of DDIM: gain 0",
    source="Salimans & Ho 2022, arXiv:2202.00512",
    budget_seconds=1500,
    takes_data=True,
)
