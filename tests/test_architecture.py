"""Which room may enter which: imports go down only. And the few habits that hold for every source file.

`faults(package)` reads the source of a package with `ast` and lists what is wrong. The package itself must have no
fault; and each kind of fault, planted in an otherwise good package, must be found.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import minigen

PACKAGE = Path(minigen.__file__).parent
LINES = 300

# What each room (a file or folder of minigen/) may import from the others. All may import errors and version, and each
# its own files, except that models do not import each other. "minigen": what a learner writes, `import minigen as mg`.
BELOW_RECIPES = {"autograd", "kernels", "ops", "nn", "distributions", "likelihoods", "optim", "data", "models",
                 "metrics", "viz", "train"}  # fmt: skip
ARROWS = {
    "errors": set(),
    "version": set(),
    "kernels": {"data.cache"},  # where compiled code is kept
    "autograd": {"kernels"},
    "ops": {"autograd", "kernels"},
    "nn": {"ops", "autograd"},
    "distributions": {"ops", "autograd"},
    "likelihoods": {"distributions", "ops", "nn", "autograd"},
    "optim": {"autograd", "kernels"},
    "data": set(),
    "models": {"nn", "distributions", "likelihoods", "ops", "autograd"},
    "metrics": {"nn", "ops", "autograd"},
    "viz": {"autograd"},  # the graph that it draws
    # data.cache: how a file is written so that it is never half there
    "train": {"optim", "autograd", "kernels.threads", "data.cache"},
    "samples": {"autograd", "ops", "nn", "distributions", "likelihoods", "optim"},
    "gradtable": {"autograd", "ops", "nn", "distributions", "likelihoods", "samples"},
    "recipes": BELOW_RECIPES,
    "catalog": set(),
    "learn": BELOW_RECIPES | {"recipes", "catalog", "minigen"},
    "workspace": set(),
    "chat": {"recipes", "data"},
    "arguments": set(),
    "cli": {*BELOW_RECIPES, "recipes", "learn", "catalog", "gradtable", "workspace", "chat", "arguments"},
    "__init__": {"autograd", "kernels.threads", "ops", "nn", "distributions", "likelihoods", "optim", "data"},
    "__main__": {"cli"},
}
# The few arrows between models: a hybrid may import the models that it joins.
BETWEEN_MODELS = {("stylegan", "gan_networks"), ("style_critic", "gan_networks"),  # how labels are checked; (8.17)
                  ("vae_gan", "vae"), ("vae_gan", "gan"),
                  ("editing", "samplers"), ("editing", "probability_flow"),
                  ("glow", "realnvp"), ("maf", "realnvp"), ("maf", "made"),  # couplings; masks (6.4)
                  ("flow_matching", "schedules"),
                  ("flow_vae", "vae"), ("class_glow", "glow"), ("class_glow", "realnvp"),
                  ("class_glow", "dequantisation"),
                  ("diffusion_gan", "gan"), ("diffusion_gan", "gan_networks"),
                  ("sharpening", "gan"), ("distillation", "samplers")}  # fmt: skip
PROTOCOLS = {"bijections"}  # what all models of one kind agree on: any model may import it

# Packages from outside the standard library, and where they may be imported; "lazy": only inside a function.
EVERYWHERE = {"numpy"}
OUTSIDE = {
    "scipy": {"kernels", "ops", "distributions", "likelihoods", "metrics", "data", "learn", "nn", "models"},
    "numba": {"kernels"},
    "llvmlite": {"kernels"},
    "matplotlib": {"viz"},
    "threadpoolctl": {"kernels"},
}
LAZILY = {
    "matplotlib": {"data/glyphs.py"},
    "cycler": {"viz/pictures.py"},
    "pooch": {"data/fetch.py"},
    "requests": {"data/fetch.py"},  # comes with pooch
    "tqdm": {"data/fetch.py", "train/progress.py", "kernels/warmup.py"},
    "IPython": {"learn/page.py", "learn/source.py"},
    "ipywidgets": {"learn/explore.py"},
}
STANDARD = set(importlib.import_module("sys").stdlib_module_names)


def faults(package):
    """What is wrong with the source files below a folder, as lines of text."""
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(package).as_posix()
        tree = ast.parse(text)
        yield from (f"{name}: {fault}" for fault in import_faults(name, tree))
        yield from (f"{name}: {fault}" for fault in habit_faults(text, tree))


def import_faults(name, tree):
    """Arrows that are not allowed."""
    room = name.split("/")[0].removesuffix(".py")
    if room not in ARROWS:
        yield f"room {room!r} has no rule in tests/test_architecture.py"
        return
    inside_functions = {
        id(node) for function in ast.walk(tree) if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }  # fmt: skip
    for node in ast.walk(tree):
        for target in imported(name, node):
            if target.split(".")[0] == "minigen":
                yield from arrow_faults(name, room, target.split(".")[1:])
            else:
                yield from outside_faults(name, room, target.split(".")[0], id(node) in inside_functions)


def imported(name, node):
    """The full names of the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        folder = ["minigen", *name.split("/")[:-1]]
        base = ".".join(folder[: len(folder) - node.level + 1] + ([node.module] if node.module else []))
    # `from minigen.models import vae` imports a module, `from minigen.models.vae import VAE` a name from one.
    return [f"{base}.{alias.name}" for alias in node.names]


def arrow_faults(name, room, target):
    """Faults of one import from inside the package; target is the path below minigen."""
    other = target[0] if target else ""
    if other not in ARROWS or other.startswith("__"):
        if "minigen" not in ARROWS[room]:
            yield f"imports {other or 'minigen'!r} from the top of the package; import it from where it is defined"
    elif room == other == "models":
        mine, theirs = name.split("/")[1].removesuffix(".py"), target[1] if len(target) > 1 else "__init__"
        if mine not in ("__init__", theirs) and (mine, theirs) not in BETWEEN_MODELS and theirs not in PROTOCOLS:
            yield f"models do not import each other: models.{theirs}"
    elif other not in (room, "errors", "version"):
        if not {".".join(target[:depth]) for depth in range(1, len(target) + 1)} & ARROWS[room]:
            yield f"{room} may not import {other}"


def outside_faults(name, room, module, lazy):
    """Faults of one import from outside the package."""
    if module in STANDARD - {"pickle", "shelve", "marshal"} or module in EVERYWHERE or room in OUTSIDE.get(module, ()):
        return
    if name in LAZILY.get(module, ()):
        if not lazy:
            yield f"imports {module} at the top; only inside the function that needs it"
        return
    yield f"may not import {module}"


def habit_faults(text, tree):
    """Length, leftovers, pickle, docstrings."""
    count = len(text.splitlines())
    if count > LINES:
        yield f"has {count} lines; past {LINES} a file holds two ideas"
    for word in re.findall(r"\b(TODO|FIXME|XXX)\b", text):
        yield f"contains {word}"
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield f"line {node.value.lineno}: allow_pickle may only be False"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
            if "allow_pickle" not in [keyword.arg for keyword in node.keywords]:
                yield f"line {node.lineno}: np.load without allow_pickle=False"
    if text.strip() and not ast.get_docstring(tree):
        yield "has no docstring"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield f"{node.name} has no docstring"


def test_the_package_has_no_fault():
    assert list(faults(PACKAGE)) == []


def test_every_room_has_a_rule_and_every_rule_a_room():
    rooms = {path.stem for path in PACKAGE.glob("*.py")}
    rooms |= {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert rooms == set(ARROWS)


def test_the_arrows_have_no_circle():
    order, left = [], {room: {arrow.split(".")[0] for arrow in arrows} - {"minigen"} for room, arrows in ARROWS.items()}
    while left:
        free = sorted(room for room, arrows in left.items() if not arrows & set(left))
        assert free, f"a circle among {sorted(left)}"
        order += free
        left = {room: arrows for room, arrows in left.items() if room not in free}
    assert order.index("autograd") < order.index("ops") < order.index("models") < order.index("recipes")


def test_every_public_method_has_a_docstring_or_inherits_one():
    bare = []
    for module in pkgutil.walk_packages(minigen.__path__, "minigen."):
        if module.name == "minigen.__main__":
            continue
        loaded = importlib.import_module(module.name)
        for thing in vars(loaded).values():
            if inspect.isclass(thing) and thing.__module__ == module.name and not thing.__name__.startswith("_"):
                bare += [
                    f"{module.name}.{thing.__name__}.{name}" for name, method in vars(thing).items()
                    if not name.startswith("_") and name not in SELF_EXPLAINING and inspect.isfunction(method)
                    and not inspect.getdoc(getattr(thing, name))
                ]  # fmt: skip
    assert bare == []


# Methods that every reader knows by name, defined once in nn.Module or in an optimiser.
SELF_EXPLAINING = {"forward", "extra_repr"}

# -- the tests are tested: each kind of fault, planted ----------------------------------------------------------------

GOOD = '"""A file."""\n'
PLANTS = {
    "an arrow that goes up": ("ops/bad.py", "from minigen.nn.layers import Linear", "ops may not import nn"),
    "a module taken from the top": ("autograd/bad.py", "from minigen import ops", "autograd may not import ops"),
    "a plain import": ("kernels/bad.py", "import minigen.autograd.tensor", "kernels may not import autograd"),
    "a relative import": ("data/bad.py", "from ..train import fit", "data may not import train"),
    "an import in a function": ("models/bad.py", "def _f():\n    import minigen.viz", "models may not import viz"),
    "an import under a condition": ("nn/bad.py", "if True:\n    from minigen import optim", "nn may not import optim"),
    "a model in a model": ("models/bad.py", "from minigen.models.vae import VAE", "import each other: models.vae"),
    "a model by its room": ("models/bad.py", "from minigen.models import vae", "import each other: models.vae"),
    "more than was allowed": ("train/bad.py", "from minigen.data.digits import load", "train may not import data"),
    "a name from the top": ("models/bad.py", "from minigen import Tensor", "imports 'Tensor' from the top"),
    "the whole package": ("models/bad.py", "import minigen as mg", "imports 'minigen' from the top"),
    "a room without a rule": ("helpers.py", "", "room 'helpers' has no rule"),
    "matplotlib": ("recipes/bad.py", "import matplotlib.pyplot as plt", "may not import matplotlib"),
    "an operation in a picture": ("viz/bad.py", "from minigen.ops import add", "viz may not import ops"),
    "matplotlib in other data": ("data/digits.py", "def _f():\n    import matplotlib", "may not import matplotlib"),
    "a lazy import at the top": ("data/fetch.py", "import pooch", "imports pooch at the top"),
    "torch": ("ops/bad.py", "def _f():\n    import torch", "may not import torch"),
    "scikit-learn": ("metrics/bad.py", "from sklearn.metrics import roc_auc_score", "may not import sklearn"),
    "numba outside the kernels": ("ops/bad.py", "from numba import njit", "may not import numba"),
    "pickle": ("train/bad.py", "import pickle", "may not import pickle"),
    "a pickle that is allowed": ("data/bad.py", "import numpy as np\nnp.load('a', allow_pickle=True)", "only be False"),
    "a load that says nothing": ("data/bad.py", "import numpy as np\nnp.load('a.npz')", "without allow_pickle=False"),
    "a leftover": ("ops/bad.py", "x = 1  # TODO: more", "contains TODO"),
    "a long file": ("ops/bad.py", "x = 1\n" * 299 + "x = 1", "has 301 lines"),
    "a function without a docstring": ("ops/bad.py", "def f():\n    return 1", "f has no docstring"),
    "a class without a docstring": ("ops/bad.py", "class A:\n    x = 1", "A has no docstring"),
}


@pytest.mark.parametrize("kind", PLANTS)
def test_a_planted_fault_is_found(tmp_path, kind):
    name, text, message = PLANTS[kind]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / "nn.py").write_text(GOOD + "from minigen.ops import add\nfrom minigen.errors import ShapeError\n")
    assert list(faults(tmp_path)) == []
    (tmp_path / name).write_text(GOOD + text + "\n")
    found = list(faults(tmp_path))
    assert len(found) == 1 and found[0].startswith(f"{name}: ") and message in found[0]


def test_a_file_without_a_docstring_is_found(tmp_path):
    (tmp_path / "nn.py").write_text("x = 1\n")
    assert list(faults(tmp_path)) == ["nn.py: has no docstring"]


@pytest.mark.parametrize(("name", "text"), [
    ("models/vae.py", "from minigen import nn, ops\nfrom minigen.distributions import kl_standard_normal"),
    ("train/bad.py", "from minigen.data.cache import atomic_write"),
    ("viz/graph.py", "from matplotlib.figure import Figure\nfrom minigen.autograd import Tensor"),
    ("data/glyphs.py", "def _draw():\n    from matplotlib.figure import Figure"),
    ("data/digits.py", "import numpy as np\nnp.load('a.npz', allow_pickle=False)"),
    ("recipes/any.py", "from minigen.models.vae import VAE\nfrom minigen.recipes import base"),
])  # fmt: skip
def test_what_is_allowed_is_no_fault(tmp_path, name, text):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(GOOD + text + "\n")
    assert list(faults(tmp_path)) == []
