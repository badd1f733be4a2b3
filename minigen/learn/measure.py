"""What a call costs: seconds and memory."""

import time
import tracemalloc


def cost(function, *arguments, repeats=3):
    """The least seconds of several calls, and the megabytes that a call has at once, at most, besides its arguments.

    The first call, in which kernels may be compiled, is not measured. Memory is measured in a call of its own, since
    watching it takes time.

    Returns:   (seconds, megabytes)
    """
    function(*arguments)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*arguments)
        seconds.append(time.perf_counter() - start)
    tracemalloc.start()
    try:
        function(*arguments)
        return min(seconds), tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
