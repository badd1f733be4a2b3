"""A learner's folder of their own for every test, so that no test touches anybody's progress."""

import pytest


@pytest.fixture(autouse=True)
def learner_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGEN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
