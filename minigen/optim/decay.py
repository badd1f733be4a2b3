"""Which parameters should shrink.

Weight decay says: prefer small weights. That makes sense for the entries of a matrix or a filter, many of which add up
to one output. A bias, or the gain and shift of a normalisation, is one number for one output: decay would pull the
signal itself towards 0, and a gain of 0 switches its channel off. So these are left alone. They are recognised by their
shape: they have one axis, matrices and filters have two or more.
"""


def decay_groups(parameters, weight_decay):
    """Two parameter groups for an optimiser: weights, which decay, and gains, shifts and biases, which do not.

    parameters:    Tensors, such as model.parameters().
    weight_decay:  for those with two or more axes; the others get 0. A group that would be empty is left out.

    Use:      AdamW(decay_groups(model.parameters(), 0.01), lr=1e-3)                          [lesson 03, section 11]
    Source:   He et al. 2018, "Bag of tricks for image classification", arXiv:1812.01187, section 3.1.
              Differs: nothing.
    """
    parameters = list(parameters)
    groups = (
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    )
    return [group for group in groups if group["params"]]
