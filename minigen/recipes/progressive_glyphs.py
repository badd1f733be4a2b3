"""progressive-glyphs: letters in four calls, by a student of diffusion-glyphs that makes its long steps in one.

The student is a copy of its teacher to begin with. It learns to land by one step of DDIM's where the teacher lands by
two patient ones, (13.78) and (13.79), each of two calls: sixteen calls become four, in one stage. Its four steps lie
evenly and are fixed, so it is trained at four times only. Data are noised to one of them; targets have no noise.

The goal is `gain` ≥ 0, a Fréchet distance with four calls that is not above that of the teacher's with 20 steps of
DDIM's, of 1,000 letters, asked for alike, from the same noise (see `taught.Letters`).

**Which student?** Four calls, first trials with the teacher of seed 0; Fréchet distance of 1,000 letters, in brackets
that of 260 by one call. From the same noise the teacher had 0.74 with 20 steps of DDIM's, 1.65 with 4, and 0.63 where
its flow leads (20 steps of DPM-Solver++). CPU seconds of one core beside other programs.

    student                                            steps    CPU    Fréchet
    consistency, 18 intervals, Heun's steps            1,200    143    1.17 (3.1)
    consistency, 8 intervals, patient teacher            900    120    0.97 (2.7)    as in consistency-glyphs
    consistency, 4 intervals, patient teacher            900    148    1.00 (2.7)
    four steps, each as three of the teacher's DDIM    1,000    114    1.00

A consistency model has to answer for the whole way at once, and what it got wrong is mended only by new noise; who
goes a quarter of the way has less to learn. So the student is not the one that can do with a single call.

**How long?** The teacher's sixteen calls have 0.50 of 1,000 letters with this recipe's noise, DDIM's 20 have 0.57. What
the student loses comes from all four steps alike: with only one of them by the student and the others by the teacher,
0.51 to 0.53. It does not understand them well enough yet, and there practice helps (seed 0; CPU on one core):

    steps       rate    questions                                 CPU    Fréchet
     1,500     1e-3     new in each step                          260    0.645
     1,500     5e-4     new in each step                          266    0.624
     1,500     2.5e-4   new in each step                          274    0.628
     5,000     5e-4     new in each step                          750    0.588
    10,000     3e-4     40,000, asked beforehand                  671    0.581
    20,000     5e-4     60,000, asked beforehand                1,300    0.556 and 0.574 (other random numbers)
    20,000     4e-4     60,000, a network for each step         1,267    0.568
    18,000     5e-4     16,000 at a time, nine times            1,475    0.564    this recipe

A question costs four calls of the teacher, a step of training on it three. As the answer has no noise, it may serve
again; but not too often: asked beforehand, each served eleven times, and of those it knew the student had a loss of
0.00048, of new ones 0.00076. Now each serves four times. A rate above 5e-4 first breaks what the copied weights know.
Shorter steps early on (to 0.84, 0.66, 0.38 and 0) and a teacher with guidance (1.15: 0.60 by sixteen calls) were no
gain.
"""

import numpy as np

from minigen.data.batches import Batches
from minigen.models import samplers
from minigen.models.distillation import patient, slope_loss
from minigen.recipes import base, taught


class Experiment(taught.Letters):
    """The letters of diffusion-glyphs and a network like its own; loss and sampler of a student."""

    calls, substeps = 4, 2  # steps of the student's; of the teacher's in one of them, of two calls each
    questions, quick_questions, uses = 16_000, 520, 4  # how many are asked at a time, and how often each answer serves
    rate, averaging, quick_averaging = 5e-4, 0.995, 0.9
    full_steps, quick_steps = 18_000, 40
    ways = {"progressive distillation": (4,)}
    checkpoint_every = 2_000

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        super().__init__(seed, quick, data=data, steps=steps)
        self.count = self.quick_questions if quick else self.questions
        self.batches = Batches((np.arange(self.count),) * 2, self.batch_size, rng=np.random.default_rng([seed, 1]))
        self.state["batches"] = self.batches
        self.asked, self.answers = None, None

    def begin(self):
        """The student begins as its teacher."""
        taught.copy_weights(self.teacher.network, self.model.network)

    def times(self):
        """The times of the student's steps, falling."""
        return samplers.even_times(self.schedule, self.calls)

    def losses(self, which, _):
        """How far one step of the student is from the teacher's, (13.78).   Shapes: numbers of questions (B,) → (B,)"""
        turn = (self.taken.value - 1) * self.batch_size // (self.uses * self.count)
        if self.asked != turn:  # after a pause the same ones again, for they come from the seed
            self.asked, self.answers = turn, self.ask(np.random.default_rng([self.seed, 5, turn]))
        labels, t, noised, slope = (part[which] for part in self.answers)
        return slope_loss(self.model.predictor(labels), self.schedule, noised, t, slope)

    def ask(self, rng):
        """Fresh questions and the teacher's answers: labels, times, noised letters, and ε̃ of (13.77) for each."""
        which, times = rng.integers(len(self.train[0]), size=self.count), self.times()
        images, labels = (part[which] for part in self.train)
        t = times[rng.integers(self.calls, size=self.count)]
        noised, slope = (np.empty((self.count, 1, self.side, self.side), np.float32) for _ in range(2))
        for i in range(0, self.count, self.at_once):
            part = slice(i, i + self.at_once)
            clean = self.seen(images[part])
            noised[part] = self.schedule.noised(clean, t[part], rng.standard_normal(clean.shape, dtype=np.float32))
            teacher = patient(self.teacher.predictor(labels[part]), self.schedule, times, steps=self.substeps)
            slope[part] = teacher(noised[part], t[part])
        return labels, t, noised, slope

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
    # Seeds 0, 1, 2 gave 0.987 to 0.990 read as asked, Fréchet 0.564, 0.604 and 0.906, gain 0.008, −0.004 and 0.002.
    band={"read_as_asked": (0.97, 1.0), "frechet": (0.4, 1.2), "gain": (-0.04, 0.06)},
    quick_band={"gain": (0.3, 10.0)},  # quick, of a teacher's 112 that has learnt next to nothing
    anchor="its teacher by 20 steps of DDIM: gain 0",
    source="Salimans & Ho 2022, arXiv:2202.00512",
    budget_seconds=4500,  # beside other programs, without the teacher's; alone on one core it takes about 1,475
    takes_data=True,
)
