"""Fast inner loops on plain arrays: ndarray in, ndarray out, no Tensor in sight.

`reference.py` holds each kernel in plain NumPy. That text is the definition of what the kernel computes.
"""
