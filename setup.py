"""`pip install .` and `python setup.py` both end here; everything they need to know is in pyproject.toml."""

from setuptools import setup

setup()
