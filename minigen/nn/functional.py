"""The functions behind the layers, under the name PyTorch users expect: `from minigen.nn import functional as F`."""

from minigen.ops import *  # noqa: F403
from minigen.ops import __all__  # noqa: F401
