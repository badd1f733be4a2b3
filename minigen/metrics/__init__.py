"""Metrics: numbers that say how good a model is, each with its unit.

- `likelihood`: nats, bits per dimension, averages with their standard errors.
- `ranking`: the area under the ROC curve, exact, with ties.
"""
