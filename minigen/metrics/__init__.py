"""Metrics: numbers that say how good a model is, each with its unit.

- `likelihood`: nats, bits per dimension, averages with their standard errors.
- `classification`: accuracy with its standard error, and what is taken for what.
- `ranking`: the area under the ROC curve, exact, with ties.
- `code`: of completed source, the share that parses, and the share of names that are right.
"""
