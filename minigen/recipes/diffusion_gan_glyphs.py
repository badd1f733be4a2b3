"""diffusion-gan-glyphs: letters in four steps of a diffusion, each of them a GAN."""

import numpy as np

from minigen.data.batches import Batches
from minigen.models import samplers
from minigen.models.diffusion_gan import DiffusionGAN, PictureForger, PictureJudge
from minigen.models.schedules import Cosine
from minigen.nn.unet import UNet
from minigen.optim import EMA, Adam
from minigen.recipes import asked, base, dcgan_glyphs
from minigen.recipes.gan_digits import put_gradient
from minigen.recipes.vae_glyphs import CAPITALS, LEVELS, SIZE
from minigen.train import Counter


class Experiment(asked.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    high, side, classes = LEVELS - 1, SIZE, len(CAPITALS)
    reader, among = "glyphs", CAPITALS
    schedule, ratios = Cosine(lowest=-10), (0.4, 1.0, 2.5)  # ς between the steps
    game = {"objective": "relativistic", "r1": 1.0, "r2": 1.0}
    lazy, fading = 4, 0.1  # penalties in every so many-th step; what is left of them after four fifths of the training
    width, multiples, attention, patch = 32, (1, 2), (1,), 2  # of the U-Net
    latent, judge_widths, features = 32, (32, 64, 64), 128
    rate, judge_rate, betas = 1e-3, 1e-3, (0.0, 0.99)
    alone = 0
    last_rate = 0.02  # the share of the rates that is left at the end; they fall from the half on
    batch_size, averaging, quick_averaging = 32, 0.998, 0.96
    full_steps, quick_steps = 4_000, 100
    at_once, checkpoint_every, threads = 65, 400, 1

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        self.train, self.held_out = self.load(quick)
        self.model = self.make_model(self.rng)
        self.batches = Batches(self.train, self.batch_size, rng=np.random.default_rng([seed, 1]))
        self.forger, self.critic = (Adam(part.parameters(), lr=rate, betas=self.betas) for part, rate in (
            (self.model.generator, self.rate), (self.model.discriminator, self.judge_rate)))  # fmt: skip
        self.ema = EMA(self.model.generator, self.quick_averaging if quick else self.averaging)
        self.taken = Counter()
        self.state = {"model": self.model, "generator": self.forger, "discriminator": self.critic, "ema": self.ema,
                      "steps": self.taken, "batches": self.batches, "rng": self.rng}

    load = dcgan_glyphs.Experiment.load  # the letters to train on, and those held out, are those of the GAN

    def make_model(self, rng):
        """The U-Net of diffusion-glyphs, told z as well, and its judge."""
        def network():
            return UNet(1, 1, width=self.width, multiples=self.multiples, attention=self.attention, patch=self.patch,
                        classes=self.classes, rng=rng)  # fmt: skip

        times = np.array([0.0, *self.schedule.time_of(-2 * np.log(self.ratios)), self.schedule.end])
        judge = PictureJudge(1, self.classes, widths=self.judge_widths, features=self.features, size=self.side,
                             sight=network(), times=times * self.schedule.time_scale, rng=rng)  # fmt: skip
        return DiffusionGAN(PictureForger(network(), self.latent, rng=rng), judge, self.schedule, times,
                            latent=self.latent, prediction="v", **self.game)

    def step(self):
        """The discriminator's step, then the generator's."""
        taken = self.taken.advance()
        share = taken / self.steps
        for optimizer, rate in ((self.forger, self.rate), (self.critic, self.judge_rate)):
            optimizer.param_groups[0]["lr"] = rate * min(1.0, max(self.last_rate, 2 * (1 - share)))
        left = 0.0 if taken % self.lazy else self.lazy * self.fading ** min(1.0, share / 0.8)
        for name in ("r1", "r2"):
            setattr(self.model, name, left * self.game[name])
        told = base.descend(self.model.discriminator_loss(*self.real_batch(), rng=self.rng).mean(), self.critic)
        if taken < self.alone:
            return {"discriminator": told, "generator": 0.0}
        forged = self.model.generator_loss(*self.real_batch(), rng=self.rng).mean()
        put_gradient(forged, self.model.generator)
        self.forger.step()
        self.ema.update()
        return {"discriminator": told, "generator": forged.item()}

    def real_batch(self):
        """Real pictures as the networks see them, (B, 1, H, W) in −1 … 1, and their labels, (B,)."""
        images, labels = next(self.batches)
        return self.seen(images), labels

    def draw_asked(self, labels, rng):
        """One picture for each label in four steps, (B,) → (B, H, W) of 0 … high."""
        labels = np.asarray(labels)
        noise = samplers.starting_noise(self.schedule, (len(labels), 1, self.side, self.side), rng=rng)
        parts = [slice(i, i + self.at_once) for i in range(0, len(labels), self.at_once)]
        with self.ema.averaged():
            pictures = [self.model.sample(noise[part], labels[part], rng=rng) for part in parts]
        return self.ink(np.concatenate(pictures))


RECIPE = base.Recipe(
    name="diffusion-gan-glyphs",
    summary="letters in four steps of a diffusion, each of them a GAN, 28×28 capitals in many typefaces",
    lesson="13",
    build=Experiment,
    band={"read_as_asked": (0.95, 1.0), "frechet": (0.28, 1.2), "recall": (0.9, 1.0)},
    quick_band={"read_as_asked": (0.0, 1.0), "frechet": (1.0, 100.0)},
    anchor="real held-out letters: read 0.998, Fréchet 0.28, recall 0.99",
    source="Xiao, Kreis & Vahdat 2021, arXiv:2112.07804",
    budget_seconds=2000,
)
