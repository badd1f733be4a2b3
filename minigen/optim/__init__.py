"""Optimisers: from gradients to better parameters.

Read in this order: flat.py (many parameters in one array), optimizer.py (what all optimisers share), sgd.py, adam.py,
muon.py (the rules themselves), decay.py (which parameters shrink), clip.py, schedule.py (the learning rate over time),
ema.py (the average of the parameters).
"""

from minigen.optim.adam import Adam, Adamax, AdamW
from minigen.optim.clip import clip_grad_norm_
from minigen.optim.decay import decay_groups
from minigen.optim.ema import EMA
from minigen.optim.muon import Muon
from minigen.optim.optimizer import Optimizer
from minigen.optim.schedule import Schedule, constant, cosine, linear
from minigen.optim.sgd import SGD

__all__ = [
    "EMA", "SGD", "Adam", "AdamW", "Adamax", "Muon", "Optimizer", "Schedule", "clip_grad_norm_", "constant", "cosine",
    "decay_groups", "linear",
]  # fmt: skip
