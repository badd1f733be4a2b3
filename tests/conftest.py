"""What all tests share: the --slow option, and the tiny recipe."""

import importlib.util
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def pytest_addoption(parser):
    """`pytest --slow` also runs the tests that take more than ten seconds."""
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config):
    """Declare the marker, so that a misspelt one is noticed."""
    config.addinivalue_line("markers", "slow: takes more than ten seconds; run with --slow")


def pytest_collection_modifyitems(config, items):
    """Skip what is marked slow unless --slow is given."""
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def tiny():
    """The module tests/tiny_recipe.py."""
    spec = importlib.util.spec_from_file_location("tiny_recipe", TESTS / "tiny_recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny_recipe(tiny):
    """The tiny recipe, registered for one test."""
    from minigen import recipes

    recipes.register(tiny.RECIPE)
    yield tiny.RECIPE
    recipes.unregister(tiny.RECIPE.name)
