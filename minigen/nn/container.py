"""Modules made of modules."""

from minigen.nn.module import Module


class ModuleList(Module):
    """A list of modules whose parameters are found; their names are 0, 1, 2, …"""

    def __init__(self, modules=()):
        for module in modules:
            self.append(module)

    def append(self, module):
        """Add a module at the end. Returns self."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected a Module, got {type(module).__name__}")
        setattr(self, str(len(self)), module)
        return self

    def __len__(self):
        return sum(1 for _ in self.named_children())

    def __iter__(self):
        return self.children()

    def __getitem__(self, index):
        chosen = list(self.children())[index]
        return type(self)(*chosen) if type(self) is Sequential and isinstance(index, slice) else chosen


class Sequential(ModuleList):
    """Modules applied one after the other."""

    def __init__(self, *modules):
        super().__init__(modules)

    def forward(self, x):
        for module in self:
            x = module(x)
        return x


class Residual(Module):
    """x + block(x): the block learns what to change, and gradients pass the sum undiminished.

    Source: He et al. 2015, arXiv:1512.03385.
    """

    def __init__(self, *modules):
        self.block = Sequential(*modules)

    def forward(self, x):
        return x + self.block(x)
