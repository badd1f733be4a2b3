"""Real text without a download: what Python's standard library says about itself, and its source.

    prose = pytext.prose()              # a PyText: docstrings and the help topics of pydoc, one paragraph a line
    code = pytext.code()                # a PyText: the source, in whole top-level statements
    prose.text("train")                 # one str; documents are separated by END
    prose.python, prose.sha256          # whose text this is, and a fingerprint of every letter of it

Every installed Python brings it along, but every version another one: a figure measured on it goes with `sha256`.

What is done to it. Tests, tables of data and what belongs to one machine are left out. Letters outside ASCII lead to
their paragraph or statement being left out, so that the alphabet is the same everywhere. **Duplicates** are left out: a
paragraph or statement that occurred before, in any document, is dropped, also if it differs only in case, white space,
punctuation or digits. So nothing long is in two parts. **Parts:** a document (one module, or one topic) belongs to
train (8 of 10), validation or test by a hash of its name; a module's docstrings and its source are in the same part.
"""

import ast
import contextlib
import functools
import hashlib
import platform
import re
import string
import sysconfig
import warnings
from pathlib import Path
from typing import NamedTuple

from minigen.errors import DataError

END = "\f"  # the form feed that closes a document in a stream, as it closes a page
ALPHABET = END + "\n" + " " + "".join(sorted(set(string.printable) - set(string.whitespace)))
PARTS = ("train", "validation", "test")
SHORT = 40  # normalised characters: what is shorter may occur again, as `import sys` does

# Tests; demonstrations; tables of data (encodings, entities, topics, tokens); generated for one machine; not the
# library's own. Matched against each folder and the file's name without .py.
LEFT_OUT = re.compile(r"(site|dist)-packages|tests?|test_.*|.*_tests?|idle_test|turtledemo|lib2to3|encodings|entities|"
                      r"pydoc_data|_sysconfigdata.*|config-.*|__pycache__|__phello__|__hello__|ensurepip|_bundled")


class Document(NamedTuple):
    """One module or topic: its name, and its text."""

    name: str
    text: str


class PyText(NamedTuple):
    """Documents in three parts, and whose they are.

    python:   the version that they come from, such as "CPython 3.12.3"
    """

    train: tuple
    validation: tuple
    test: tuple
    python: str

    def text(self, part):
        """A part as one str, each document closed by END.   Raises: DataError if there is no such part."""
        if part not in PARTS:
            raise DataError(f"PyText.text: part is {part!r}; expected one of {', '.join(PARTS)}")
        return "".join(document.text + END for document in getattr(self, part))

    @property
    def sha256(self):
        """SHA-256 of all parts, names and texts."""
        digest = hashlib.sha256()
        for part in PARTS:
            for document in getattr(self, part):
                digest.update("\0".join((part, *document, "")).encode())
        return digest.hexdigest()


def prose(*, characters=None, folder=None):
    """The docstrings of the standard library, and pydoc's help topics.

    characters:  at most so many in all; whole documents, the same ones for the same number. None: all.
    folder:      where the sources are, in place of those of this Python (then without pydoc's topics)
    Raises:      DataError if there are no sources, as in a Python that was stripped to save space.
    """
    documents = [Document(module.name, _paragraphs("\n\n".join(module.docstrings)))
                 for module in _modules(_library(folder))]
    if folder is None:
        documents += [Document(f"topic {name}", _paragraphs(text)) for name, text in sorted(_topics().items())]
    return _corpus(documents, characters, "\n")


def code(*, characters=None, folder=None):
    """The source of the standard library, as whole top-level statements, with the comments before them.

    characters, folder, Raises:   as `prose`
    """
    documents = [Document(module.name, module.statements) for module in _modules(_library(folder))]
    return _corpus(documents, characters, "\n\n")


# -- where it comes from ----------------------------------------------------------------------------------------------


class _Module(NamedTuple):
    name: str
    docstrings: list
    statements: list


def _library(folder):
    return Path(sysconfig.get_paths()["stdlib"] if folder is None else folder).absolute()


@functools.lru_cache(maxsize=1)
def _modules(folder):
    """Each module, in the order of the names; a tuple. It takes some seconds, and is kept."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if any(LEFT_OUT.fullmatch(step) for step in name.removesuffix(".py").split("/")):
            continue
        with contextlib.suppress(OSError, UnicodeDecodeError, SyntaxError, ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old spellings in the library itself
            source = path.read_text(encoding="utf-8").expandtabs()
            tree = ast.parse(source)
            found.append(_Module(name, _docstrings(tree), _statements(source, tree)))
    if not found:
        raise DataError(f"pytext: {folder} holds no readable .py files: this Python came without its sources, as in "
                        f"some minimal images. Use another Python, or give folder=, any folder of Python files")
    return tuple(found)


def _topics():
    """pydoc's topics; some packagers leave them out."""
    try:
        from pydoc_data import topics
    except ImportError:
        return {}
    return topics.topics


def _docstrings(tree):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return [text for text in texts if text]


# -- what is made of it -----------------------------------------------------------------------------------------------


def _paragraphs(text):
    """The paragraphs that are prose, each as one line: a list. Listings, tables and headings are left out."""
    lines = (" ".join(block.split()) for block in re.split(r"\n\s*\n", text))
    return [line for line in lines if _is_prose(line)]


def _is_prose(line):
    letters = sum(character.isalpha() or character == " " for character in line)
    return len(line) >= SHORT and letters >= 0.85 * len(line) and ">>>" not in line and line[-1] in ".!?:)"


def _statements(source, tree):
    """The top-level statements with the comments before them, each a str: a list."""
    lines, pieces, start = source.split("\n"), [], 0
    for node in tree.body:
        if node.end_lineno > start:  # several statements may share a line
            pieces.append("\n".join(line.rstrip() for line in lines[start : node.end_lineno]).strip("\n"))
            start = node.end_lineno
    return pieces


def _corpus(documents, characters, between):
    """Pieces of documents → PyText: ASCII only, no piece twice, whole documents up to the wanted size."""
    seen, kept, size = set(), [], 0
    for name, pieces in documents:
        new = []
        for piece in pieces:
            shape = _normalised(piece)
            if set(piece) <= set(ALPHABET) - {END} and shape not in seen:
                new.append(piece)
            if len(shape) >= SHORT:
                seen.add(shape)
        if new:
            kept.append(Document(name, between.join(new)))
    chosen = {part: [] for part in PARTS}
    for document in sorted(kept, key=lambda document: _hash(document.name)):  # for a part of it: some of each kind
        size += len(document.text) + 1
        if characters is not None and size > characters:
            break
        chosen[_part(document.name)].append(document)
    return PyText(*(tuple(sorted(chosen[part])) for part in PARTS),
                  f"{platform.python_implementation()} {platform.python_version()}")


def _normalised(piece):
    """A piece without what near-duplicates differ in: case, white space, punctuation, digits."""
    return re.sub(r"[\W\d_]+", "", piece.lower())


def _hash(name):
    return hashlib.sha256(name.encode()).hexdigest()


def _part(name):
    """The part of a document: 8 of 10 train, one validation, one test."""
    return {0: "validation", 1: "test"}.get(int(_hash(name)[:8], 16) % 10, "train")
