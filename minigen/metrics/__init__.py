"""Metrics: numbers that say how good a model is, each with its unit.

- `likelihood`: nats, bits per dimension, averages with their standard errors.
- `classification`: accuracy with its standard error, and what is taken for what.
- `ranking`: the area under the ROC curve, exact, with ties.
- `flops`: what a computation costs, in floating-point operations of its products.
- `code`: of completed source, the share that parses, and the share of names that are right.

What samples are worth, for models that give no likelihood (their equations belong to lesson 08):

- `modes`: which hills of a mixture the samples reach, how many lie on them, and in what proportions.
- `frechet`: the distance between two clouds of points by mean and covariance, and its bias.
- `kernel`: the distance by a kernel (MMD, KID), without bias, with its standard error.
- `neighbours`: precision, recall, density, coverage; and whether the samples are copies.
- `features`: the frozen networks in whose features pictures are compared.
"""
