import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_importing_the_data_modules_loads_neither_matplotlib_nor_pooch():
    program = """
import sys
before = set(sys.modules)
import minigen.data
from minigen.data import batches, cache, characters, digits, fetch, glyphs, idx, pytext, sources, stories, toy2d
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded & {"matplotlib", "pooch", "requests", "PIL"}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                          timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.stdout.strip() == "[]"
