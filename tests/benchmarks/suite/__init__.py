"""The benchmark behind `minigen bench`: minigen beside PyTorch, JAX and HIPS autograd, on one machine.

    sizes.py             the four training steps: sizes, data, noise, arithmetic
    steps_minigen.py     … in minigen
    steps_torch.py       … in PyTorch, eager, tuned and compiled
    steps_functional.py  … in JAX and HIPS autograd
    kernel_cases.py      the single kernels: which, at which sizes, with how much arithmetic and memory traffic
    kernels_minigen.py   … in minigen
    kernels_torch.py     … in PyTorch
    chain.py             a chain of tiny operations: what an engine costs per operation
    worker.py            one engine in a process of its own, which does what it is told through a pipe
    harness.py           starts workers, interleaves them, medians and quartiles
    machine.py           what this machine could do at most: arithmetic, and bandwidth by level of cache
    steps.py, kernels.py, startup.py, scaling.py     the chapters of the report: what is measured and how
    report.py            all of it in order; the JSON, the table
    figure.py            the picture

Nothing here is imported by minigen itself, and nothing but this folder imports PyTorch or JAX.
"""
