"""The whole repository is clean by ruff's rules (pyproject.toml says which)."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_ruff_finds_nothing():
    pytest.importorskip("ruff")
    root = Path(__file__).parent.parent
    run = subprocess.run([sys.executable, "-m", "ruff", "check", "--output-format", "concise", root],
                         capture_output=True, text=True)  # fmt: skip
    assert run.returncode == 0, run.stdout
