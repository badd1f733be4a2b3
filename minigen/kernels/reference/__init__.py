"""Each kernel in plain NumPy: the text that says what it computes.

These are the definitions. The compiled kernels one folder up have the same names and arguments, and tests hold the two
together. With MINIGEN_KERNELS=reference the whole package runs on this folder alone.
"""

from minigen.kernels.reference.attention import *  # noqa: F403
from minigen.kernels.reference.convolution import *  # noqa: F403
from minigen.kernels.reference.elementwise import *  # noqa: F403
from minigen.kernels.reference.indexing import *  # noqa: F403
from minigen.kernels.reference.joining import *  # noqa: F403
from minigen.kernels.reference.loss import *  # noqa: F403
from minigen.kernels.reference.normalization import *  # noqa: F403
from minigen.kernels.reference.optimizer import *  # noqa: F403
from minigen.kernels.reference.pooling import *  # noqa: F403
from minigen.kernels.reference.product import *  # noqa: F403
from minigen.kernels.reference.random import *  # noqa: F403
from minigen.kernels.reference.rows import *  # noqa: F403
