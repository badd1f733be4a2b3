"""Chapter 4: how long one waits. `import minigen`, and the first training step, with the kernels compiled or not.

Each figure is a fresh process. Cold: an empty cache folder, so that every kernel is compiled. Warm: the same folder
again. PyTorch's import and first step stand beside it.
"""

import json
import statistics
import subprocess
import sys
import tempfile

from .harness import environment
from .sizes import SIZES

IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
STEP = """
import json, sys, time
from pathlib import Path
began = time.perf_counter()
from suite import sizes
from suite.{module} import build
name, folder = sys.argv[1], Path(sys.argv[2])
step = build(name, sizes.SIZES[name], folder)
built = time.perf_counter()
step()
first = time.perf_counter()
step()
print(json.dumps([built - began, first - built, time.perf_counter() - first]))
"""


def measure(torch=True, quick=False, say=print):
    """{"import": {package: seconds}, "first_step": {name: {"cold", "warm", "torch": …}}}; quick: imports only."""
    packages = ["minigen", *(["torch"] if torch else [])]
    imports = {name: _import_seconds(name, 2 if quick else 7) for name in packages}
    say("import: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in imports.items()))
    if quick:
        return {"import": imports}
    first, total = {}, 0.0
    with tempfile.TemporaryDirectory() as cache:
        for name in SIZES:
            found = {kind: _first_step(name, "steps_minigen", cache) for kind in ("cold", "warm")}
            if torch:
                found["torch"] = _first_step(name, "steps_torch", cache)
            total += found["cold"]
            first[name] = found
            say(f"{name}: first step " + ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in found.items()))
    say(f"first steps of all four, one after the other, on a machine that has never run them: {total:.1f} s")
    return {"import": imports, "first_step": first, "cold_total": round(total, 2)}


def _import_seconds(package, times):
    found = [float(_run(["-c", IMPORT.format(package)])) for _ in range(times + 1)]
    return round(statistics.median(found[1:]), 3)  # the first may have had to compile Python files


def _first_step(name, module, cache):
    """Seconds of the first step alone."""
    command = ["-c", STEP.format(module=module), name]
    with tempfile.TemporaryDirectory() as folder:
        if module == "steps_torch":  # which starts from the weights that minigen leaves
            _run(["-c", STEP.format(module="steps_minigen"), name, folder], MINIGEN_CACHE=cache)
        _, first, _ = json.loads(_run([*command, folder], MINIGEN_CACHE=cache))
    return round(first, 3)


def _run(arguments, **extra):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment(**extra))
    if done.returncode:
        raise RuntimeError(f"{arguments[-2:]}: {done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]
