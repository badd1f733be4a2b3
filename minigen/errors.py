"""Every error that minigen raises on purpose.

A message names the function, the values or shapes it met, and what it expected:
`matmul: shapes (32, 784) and (400, 20) do not align: 784 ≠ 400`.
"""


class MinigenError(Exception):
    """The root: `except MinigenError` catches whatever minigen itself reports."""


class ShapeError(MinigenError, ValueError):
    """Two shapes do not fit together, or one is not what a function expects."""


class DataError(MinigenError):
    """A data set could not be had, or is not what it claims to be."""


class OfflineError(DataError):
    """A download was needed and no mirror could be reached."""


class CorruptError(DataError):
    """Bytes are there, but they are truncated, malformed or fail their checksum."""


class GraphError(MinigenError, RuntimeError):
    """The computation graph cannot do what was asked: no history, released, or changed in place since."""


class AnomalyError(MinigenError, ArithmeticError):
    """`detect_anomaly` met the first NaN or infinity."""


class GradcheckError(MinigenError, AssertionError):
    """An analytic gradient disagrees with the numerical one."""


class StateError(MinigenError, KeyError):
    """A state dict does not fit the module or optimiser it is loaded into."""

    def __str__(self):
        return str(self.args[0])  # KeyError would quote the message and escape its line breaks


class TrainingError(MinigenError, ArithmeticError):
    """Training cannot go on: the loss or a weight is no longer a finite number, or the loop was set up wrongly."""


class CheckpointError(MinigenError):
    """A checkpoint is truncated, corrupted, foreign, or belongs to a run with other settings."""


class RecipeError(MinigenError):
    """A recipe is unknown, incomplete, or its output folder is already in use."""


class CommandError(MinigenError):
    """The command line asks for something that cannot be done here, and says what to do instead."""
