"""gpt-shakespeare: a small GPT on the characters of tiny-shakespeare, as nanoGPT's README configures it for a CPU.

4 blocks of 4 heads, 128 wide, 64 characters of context, no biases, no dropout; 2,000 steps of 12 random windows each.
AdamW with β₂ = 0.99 and a decay of 0.1 on matrices (not on the scales of the norms), gradients clipped at length 1; the
rate rises to 10⁻³ over 100 steps and falls along half a cosine to 10⁻⁴. The text is downloaded on request, or given:
`minigen train gpt-shakespeare --data FILE`.

Protocol: trained on the first 90 % of the characters, measured on the last 10 % (called validation, as usual for this
text), on all of it, in nats per character. The weights are those of the last step; nothing is chosen on the validation
text.

    validation                 cut into windows one after the other, each read from its beginning, so that a character
                               has 1 to 64 characters of context: what nanoGPT estimates from random windows
    validation_with_context    windows that overlap by half: every character has at least 33 characters of context, as
                               far as the text has them. To compare with an n-gram, which always has its whole context

Differs: from nanoGPT, in the order of the random numbers, and in the warm-up, whose rates are 1 % higher (the 1st of
100 steps has 1/100 of the highest rate, there 1/101).
"""

from pathlib import Path

import numpy as np

from minigen.autograd import no_grad
from minigen.data import fetch
from minigen.data.characters import Characters
from minigen.errors import ShapeError
from minigen.models import generation
from minigen.models.gpt import GPT, Config
from minigen.optim import AdamW, Schedule, cosine
from minigen.recipes import base
from minigen.train import Counter

PASSAGE = 300  # characters of a sample


class Experiment(base.Experiment):
    """Data, model, training step and evaluation (see recipes/base.py)."""

    text = True
    settings = {"block_size": 64, "layers": 4, "heads": 4, "width": 128, "bias": False}
    quick_settings = {"block_size": 32, "layers": 2, "heads": 4, "width": 64, "bias": False}
    batch_size = 12
    full_steps, quick_steps = 2_000, 400
    falling = staticmethod(cosine)
    rate, final = 1e-3, 0.1  # the highest, and what part of it is left at the end
    in_picture, family = 6, None  # samples, and their letters
    checkpoint_every = 500

    def __init__(self, seed, quick=False, *, data=None, steps=None):
        self.seed, self.quick = seed, quick
        self.rng = np.random.default_rng(seed)
        self.load(seed, quick, data)
        self.steps = steps or (self.quick_steps if quick else self.full_steps)
        self.model = self.make_model()
        self.block_size = self.model.config.block_size
        self.optimizers = self.make_optimizers()
        self.schedules = [Schedule(optimizer, self.falling, total=self.steps, warmup=min(100, self.steps // 5),
                                   final=self.final) for optimizer in self.optimizers.values()]
        self.taken = Counter()
        self.state = {"model": self.model, **self.optimizers, "steps": self.taken, "rng": self.rng}

    def make_model(self):
        """The GPT, with fresh weights."""
        settings = self.quick_settings if self.quick else self.settings
        return GPT(Config(self.tokenizer.size, **settings), rng=self.rng)

    def make_optimizers(self):
        """A dict from names to optimisers, which share the parameters."""
        return {"optimizer": AdamW(groups(self.model, decay=0.1), lr=self.rate, betas=(0.9, 0.99))}

    def clipped(self):
        """The parameters whose gradients are clipped together: all."""
        return self.model.parameters()

    def load(self, seed, quick, data):
        """The text in two parts, as numbers, and the alphabet."""
        text = fetch.tiny_shakespeare(path=data)
        self.tokenizer = Characters.of(text)
        tokens = self.tokenizer.encode(text)
        cut = int(0.9 * len(tokens))
        self.train, self.validation = tokens[:cut], tokens[cut:]

    def batch(self):
        """Random windows of the training text, (B, T + 1)."""
        first = self.rng.integers(len(self.train) - self.block_size, size=self.batch_size)  # (B,)
        return self.train[first[:, None] + np.arange(self.block_size + 1)]

    def step(self):
        """One step on the mean of −log p over all characters of a batch."""
        self.advance()
        loss = self.model.loss(self.batch()).mean() * (1 / self.block_size)
        return {"loss": base.descend(loss, *self.optimizers.values(), clipped=self.clipped())}

    def advance(self):
        """Set the rates for the step to come; returns how many were taken before it."""
        taken = self.taken.advance()
        for schedule in self.schedules:
            schedule(taken)
        self.model.train()
        return taken

    def evaluate(self):
        """The cross-entropies of the whole validation text, and of as much training text, in nats per character."""
        return {"validation": cross_entropy(self.model, self.validation),
                "validation_with_context": cross_entropy(self.model, self.validation, stride=self.block_size // 2),
                "training": cross_entropy(self.model, self.train[: len(self.validation)])}

    def sample(self, n, rng):
        """n passages, a list of str."""
        self.model.eval()
        # After an empty line, where in this text somebody begins to speak.
        start = self.tokenizer.encode("\n\n" if "\n" in self.tokenizer.alphabet else self.tokenizer.alphabet[0])
        rows = generation.generate(self.model, np.tile(start, (n, 1)), PASSAGE, rng=rng)
        return [self.tokenizer.decode(row).strip() for row in rows]

    def draw(self, axes, n, rng, title=None):
        """As many of n samples as there is room for."""
        base.draw_text(axes, self.sample(min(n, self.in_picture), rng), title=title, family=self.family)

    def sample_picture(self, path, n, rng):
        """n samples in a PNG file, as tall as they need; returns the path."""
        from minigen import viz

        texts, size = self.sample(n, rng), 9
        lines = 1 + len(base.text_lines(texts, 72 * viz.WIDTH, size, self.family))
        picture, axes = viz.figure(f"The first {n} samples, not picked", height=lines * base.LINE * size / 72 + 0.5)
        base.draw_text(axes, texts, size=size, family=self.family)
        viz.save(picture, path)
        return Path(path)

    def pictures(self, folder):
        """Samples, and the loss over the steps."""
        samples = self.sample_picture(Path(folder) / "samples.png", self.in_picture, np.random.default_rng(0))
        return [samples, base.loss_picture(folder)]


def groups(model, decay):
    """The parameters for AdamW: matrices shrink, vectors (biases, the scales of the norms) do not."""
    parameters = list(model.parameters())
    return [{"params": [p for p in parameters if p.ndim >= 2], "weight_decay": decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}]


def blocks_and_rest(model):
    """For Muon the weight matrices of the blocks, for another optimiser everything else: two lists."""
    matrices = [p for p in model.h.parameters() if p.ndim == 2]
    inside = set(map(id, matrices))
    return matrices, [p for p in model.parameters() if id(p) not in inside]


@no_grad()
def cross_entropy(model, tokens, *, stride=None, rows=64):
    """−mean log p over a text cut into windows, in nats per token; every token but the first is predicted once.

    stride:   a window of block_size predictions begins after every `stride` tokens; of each but the first, only the
              last `stride` predictions count, so that they have more than block_size − stride tokens of context.
              Default block_size: windows one after the other, each read from its beginning.
    Shapes:   tokens (T,) → float
    Raises:   ShapeError if stride is not from 1 to block_size.
    """
    model.eval()
    size, last = model.config.block_size, len(tokens) - 1
    stride = size if stride is None else stride
    if not 1 <= stride <= size:
        raise ShapeError(f"cross_entropy: stride is {stride}; expected 1 to {size}, the block size")
    first = np.arange(0, last - size + 1, stride)  # (windows,), of the whole ones
    total = 0.0
    for i in range(0, len(first), rows):
        log_p = model.log_prob(tokens[first[i : i + rows, None] + np.arange(size + 1)]).data  # (rows, block)
        total -= float(log_p[:, -stride:].sum()) + (float(log_p[0, :-stride].sum()) if i == 0 else 0)
    done = first[-1] + size if len(first) else 0  # predictions that were counted
    if done < last:  # the last window is shorter
        start = first[-1] + stride if len(first) else 0
        total -= float(model.log_prob(tokens[None, start:]).data[0, done - start :].sum())
    return total / last


RECIPE = base.Recipe(
    name="gpt-shakespeare",
    summary="a GPT of 0.8 million weights on tiny-shakespeare, nanoGPT's configuration for a CPU",
    lesson="07",
    build=Experiment,
    # Seeds 0, 1, 2 gave 1.893, 1.910, 1.897, and with context 1.871, 1.881, 1.871 (quick: 2.46 to 2.48). The ends are
    # these ± 0.03. The goal, nanoGPT's 1.88, is missed by 0.013 to 0.03, but so nanoGPT misses it: written in PyTorch
    # with the same settings it gave 1.909 and 1.891 on the whole held-out tenth (seeds 0 and 1). 1.88 is an estimate
    # from 20 batches: for the first of these two models 200 such estimates lay between 1.868 and 1.948, with a standard
    # deviation of 0.016.
    band={"validation": (1.86, 1.94), "validation_with_context": (1.84, 1.91)},
    quick_band={"validation": (2.4, 2.53)},
    anchor="the same configuration: nanoGPT's README 1.88 nats per character; the 5-gram 1.669",
    source="Radford et al. 2019, GPT-2; Karpathy 2022, nanoGPT (config/train_shakespeare_char.py, README)",
    budget_seconds=300,
    takes_data=True,
)
