"""consistency-glyphs: letters in one call or in four, by a consistency model that diffusion-glyphs teaches.

With σ_d = 1, (13.72) is the x̂₀ = α x − σ v of the teacher's for F = −v, but for ς_min: so the student begins with the
teacher's network, the sign of its last layer turned. The times are eight even steps of the cosine schedule, the first
is moved from 0 to ς = 0.02; the teacher goes each interval in a step of (13.79), two calls. f⁻ is the moving average.

Four calls go back to times 0.75, 0.5 and 0.25 with fresh noise, (13.75). `frechet` and `gain` are those of four calls,
see `taught.Letters`. The training is short; for more about four calls see progressive-glyphs, which is better at them.
"""

import numpy as np

from minigen.models import samplers
from minigen.models.distillation import Consistency, patient
from minigen.recipes import base, taught


class Experiment(taught.Letters):
    """The letters of diffusion-glyphs and a network like its own; loss and sampler of a consistency model."""

    calls, intervals, substeps = 4, 8, 1
    least_noise = 0.02  # ς_min
    rate, averaging, quick_averaging = 3e-4, 0.99, 0.9
    full_steps, quick_steps = 900, 40
    ways = {"consistency": (1, 2, 4)}

    def make_model(self, rng):
        """The leap to the end of the path, with the U-Net of diffusion-glyphs."""
        first = float(self.schedule.time_of(-2 * np.log(self.least_noise)))
        times = np.append(first, samplers.even_times(self.schedule, self.intervals)[-2::-1])
        return Consistency(self.make_network(rng), self.schedule, times)

    def begin(self):
        """The student begins as its teacher's x̂₀: with σ_d = 1, (13.72) is x̂₀ = α x − σ v for F = −v, but for ς_min."""
        taught.copy_weights(self.teacher.network, self.model.network)
        for parameter in self.model.network.last.parameters():
            parameter.overwrite(-parameter.data)

    def losses(self, images, labels):
        """How much f changes over one step of the patient teacher's, (13.73), (B,)."""
        teacher = patient(self.teacher.predictor(labels), self.schedule, self.model.times[::-1], steps=self.substeps)
        return self.model.loss(self.seen(images), teacher, labels, rng=self.rng, averaged=self.ema.averaged, order=1)

    def draw_asked(self, labels, rng):
        """One letter for each label, in four calls."""
        return self.drawn_along(None, self.calls, labels, rng)

    def drawn_along(self, way, calls, labels, rng):
        """The same in so many calls, by way of times that lie evenly."""
        through = samplers.even_times(self.schedule, calls)[1:-1]
        with self.ema.averaged():
            return self.in_parts(labels, rng, lambda noise, part: self.model.sample(noise, labels[part],
                                                                                    through=through, rng=rng))


RECIPE = base.Recipe(
    name="consistency-glyphs",
    summary="diffusion-glyphs' letters in four calls, by a consistency model that it teaches",
    lesson="13",
    build=Experiment,
    # Seeds 0, 1, 2 gave 0.981 to 0.988 read as asked, Fréchet 0.81, 0.88 and 1.22, gain −0.24, −0.27 and −0.32. Quick,
    # seeds 0 and 1: gain 18 and 10, of a teacher that has learnt next to nothing.
    band={"read_as_asked": (0.96, 1.0), "frechet": (0.5, 1.6), "gain": (-0.5, -0.1)},
    quick_band={"gain": (3.0, 45.0)},
    anchor="its teacher by 20 steps of DDIM: gain 0",
    source="Song, Dhariwal, Chen & Sutskever 2023, arXiv:2303.01469",
    budget_seconds=900,  # beside other programs, without the teacher's; alone on one core it takes about 120
    takes_data=True,
)
