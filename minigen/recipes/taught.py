"""What recipes share whose model is taught by another one: where the teacher comes from, and how it is kept.

The teacher is a recipe of its own, trained before. The first step looks for it, in this order:

    --data RUN               a finished run of the teacher's recipe
    runs/TEACHER-seedN       the same, with the student's seed, where `minigen train TEACHER` leaves it
    nothing found            the teacher is trained first, into that folder, and tells so

The quick size always trains a small teacher of its own, of some seconds, unless it is given one. From then on the
teacher's averaged weights are a part of the student's state: a run that is resumed or loaded needs no other folder.
"""

import functools
from pathlib import Path

import numpy as np

from minigen.errors import RecipeError
from minigen.metrics import features
from minigen.metrics.frechet import frechet_distance
from minigen.models import samplers
from minigen.models.diffusion import Diffusion
from minigen.recipes import diffusion_glyphs, running
from minigen.recipes.picture_diffusion import SAMPLERS
from minigen.train import capture, restore


class Taught:
    """For an Experiment whose step is taught; comes before it among the bases.

    teacher_recipe:        the teacher's name
    quick_teacher_steps:   of the teacher that the quick size trains
    teacher:               its model, a Module, in the state; its weights are right from the first step on
    """

    teacher_recipe, quick_teacher_steps = None, None

    def taught_by(self, teacher, quick, data):
        """Called at the end of __init__ with a model like the teacher's, for its weights to be put in."""
        self.teacher, self.quick, self.data = teacher, quick, data
        self.state["teacher"] = teacher

    def kept(self):
        """The teacher is saved with the trained model."""
        return super().kept() | {"teacher": self.teacher}

    def step(self):
        """One training step, before the first of which the teacher is found."""
        if not self.taken.value:
            found = find(self.teacher_recipe, self.seed, data=self.data,
                         quick_steps=self.quick_teacher_steps if self.quick else None)  # fmt: skip
            with found.ema.averaged():
                restore({"teacher": self.teacher}, capture({"teacher": found.model}))
            self.begin()
            first = {f"average.{name}": parameter.data for name, parameter in self.model.named_parameters()}
            self.ema.load_state_dict({"decay": self.ema.decay, "updates": 0, **first})
        return super().step()

    def begin(self):
        """What is done once, when the teacher is there and nothing is trained: the student's first weights."""


class Letters(Taught, diffusion_glyphs.Experiment):
    """A student of diffusion-glyphs: its letters, a network like its own, few calls.

    What is reported beside the figures of diffusion-glyphs, of as many letters, asked for alike, from the same noise:

        frechet_teacher    the Fréchet distance of the teacher's by 20 steps of DDIM's, as its authors take them
        gain               frechet_teacher − frechet: not below 0 if the student is as good with its few calls
    """

    teacher_recipe, quick_teacher_steps = "diffusion-glyphs", 60
    teacher_calls = 20

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        super().__init__(seed, quick, steps=steps)
        network = self.make_network(np.random.default_rng(0))
        self.taught_by(Diffusion(network, self.schedule, prediction=self.prediction), quick, data)

    def evaluate(self):
        """The figures of diffusion-glyphs and of the teacher."""
        found = super().evaluate()
        labels = np.arange(self.judged_on or len(self.held_out[0])) % self.classes
        drawn = self.in_parts(labels, np.random.default_rng(self.seed), lambda noise, part: SAMPLERS["DDIM"](
            self.teacher.predictor(labels[part]), self.schedule, self.teacher_calls, noise, None))  # fmt: skip
        read = features.load(self.reader)
        z = [read(images.reshape(-1, self.side, self.side) / self.high) for images in (drawn, self.train[0])]
        found["frechet_teacher"] = float(frechet_distance(*z))
        return found | {"gain": found["frechet_teacher"] - found["frechet"]}

    def in_parts(self, labels, rng, draw):
        """Letters for labels, (B,) → (B, H, W) of 0 … high; `draw` makes a slice of them from its noise."""
        noise = samplers.starting_noise(self.schedule, (len(labels), 1, self.side, self.side), rng=rng)
        parts = [slice(i, i + self.at_once) for i in range(0, len(labels), self.at_once)]
        return self.ink(np.concatenate([draw(noise[part], part) for part in parts]))


def copy_weights(source, target):
    """Put one network's weights into another of the same shape."""
    values = dict(source.named_parameters())
    for name, parameter in target.named_parameters():
        parameter.overwrite(values[name].data)


def find(name, seed, *, data=None, quick_steps=None):
    """The trained teacher, an Experiment, from where the module's docstring says.

    Raises:   RecipeError if the folder holds a run of another recipe, or of the quick size or fewer steps.
    """
    from minigen.recipes import load, run

    if data is None and quick_steps is not None:
        return _quick(name, seed, quick_steps)
    folder = Path("runs") / f"{name}-seed{seed}" if data is None else Path(data)
    if data is None and not (folder / "result.json").is_file():
        print(f"{name}: no finished run in {folder}; the teacher is trained first")
        run(name, seed=seed, out=folder, resume=True)
    config = running.read_json(folder / "config.json")
    if config is None or "recipe" not in config:
        raise RecipeError(f"{folder}: is no run of {name}")
    if config["recipe"] != name:
        raise RecipeError(f"{folder}: holds a run of {config['recipe']}; expected one of {name}")
    if not (folder / "result.json").is_file():
        raise RecipeError(f"{folder}: holds an unfinished run of {name}; `minigen train {name} --resume --out …`")
    if quick_steps is None and (config["quick"] or config["steps"]):
        raise RecipeError(f"{folder}: holds a run of {name} that was cut short; --data RUN names another teacher")
    return load(folder)


@functools.lru_cache(maxsize=8)
def _quick(name, seed, steps):
    from minigen.recipes import get

    experiment = get(name).build(seed, True, steps=steps)
    for _ in experiment.fit(progress=False):
        pass
    return experiment
