"""Text from a folder of Python files made for the test: what is left out, no duplicates, parts by name."""

import ast
import hashlib

import pytest

from minigen.data import pytext
from minigen.errors import DataError

PROSE = ["This sentence is long enough to be taken for prose, number {}.", "It is followed by another paragraph, {}."]


@pytest.fixture
def library(tmp_path):
    """Sixty modules with different texts, one copy, and things to be left out."""
    for i in range(60):
        word = chr(97 + i % 26) * (i // 26 + 1)
        folder = tmp_path / ("" if i % 2 else "package")
        folder.mkdir(exist_ok=True)
        (folder / f"module{i}.py").write_text(
            f'"""Module {word} explains at some length what the purpose of {word} might be.\n\n    listing = 1\n"""\n'
            f"import sys\n\n# About {word}.\ndef function_{word}(first, second):\n"
            f'\t"""Returns what {word} makes of the first and the second argument."""\n\treturn first + second\n')
    (tmp_path / "other.py").write_text((tmp_path / "module1.py").read_text().replace("first + second", "FIRST+second"))
    (tmp_path / "foreign.py").write_text('s = "a statement with a letter outside of ASCII, é, is left out"\nkept = 1\n')
    (tmp_path / "broken.py").write_text("def (:\n")
    for name in ("test/any.py", "tests/any.py", "test_any.py", "site-packages/any.py", "encodings/any.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('"""A forbidden text that must not be found anywhere in what is returned."""\n')
    return tmp_path


def documents(found):
    return [document for part in pytext.PARTS for document in getattr(found, part)]


@pytest.mark.parametrize("make", [pytext.prose, pytext.code])
def test_documents_are_in_one_part_each_nothing_long_twice_and_all_in_the_alphabet(make, library):
    found = make(folder=library)
    names = [document.name for document in documents(found)]
    assert len(names) == len(set(names)) >= 60
    assert all(getattr(found, part) for part in pytext.PARTS)
    assert not [name for name in names if "test" in name or "encodings" in name or "site-packages" in name]
    everything = "".join(found.text(part) for part in pytext.PARTS)
    assert "forbidden" not in everything and set(everything) <= set(pytext.ALPHABET)
    pieces = [piece for document in documents(found) for piece in document.text.split("\n\n" if make is pytext.code
                                                                                     else "\n") if len(piece) > 60]
    shapes = [pytext._normalised(piece) for piece in pieces]
    assert len(set(shapes)) == len(shapes)


def test_code_still_parses_and_keeps_its_comments(library):
    found = documents(pytext.code(folder=library))
    for document in found:
        ast.parse(document.text)
    assert "# About b." in dict(found)["module1.py"] and "\t" not in dict(found)["module1.py"]
    assert dict(found)["foreign.py"] == "kept = 1"
    assert dict(found)["other.py"] == "import sys", "a near copy keeps only what is short"


def test_prose_is_one_paragraph_a_line_without_listings(library):
    text = dict(documents(pytext.prose(folder=library)))["module1.py"]
    assert text == ("Module b explains at some length what the purpose of b might be.\n"
                    "Returns what b makes of the first and the second argument.")


def test_a_module_is_in_the_same_part_as_its_docstrings(library):
    for part in pytext.PARTS:
        prose, code = ({document.name for document in getattr(found, part)}
                       for found in (pytext.prose(folder=library), pytext.code(folder=library)))
        assert prose <= code


def test_the_size_is_capped_by_whole_documents_and_a_smaller_cap_takes_a_subset(library):
    whole = pytext.code(folder=library)
    large, small = (documents(pytext.code(characters=n, folder=library)) for n in (4000, 1000))
    assert set(small) < set(large) < set(documents(whole))
    assert sum(len(document.text) + 1 for document in large) <= 4000


def test_the_fingerprint_tells_texts_apart_and_is_repeatable(library):
    first, second = pytext.prose(folder=library), pytext.prose(folder=library)
    assert first == second and first.sha256 == second.sha256 and len(first.sha256) == 64
    assert first.sha256 != pytext.code(folder=library).sha256
    digest = hashlib.sha256("".join(f"{part}\0{d.name}\0{d.text}\0" for part in pytext.PARTS
                                    for d in getattr(first, part)).encode())
    assert first.sha256 == digest.hexdigest()
    assert "3." in first.python


def test_a_python_without_sources_is_told(tmp_path):
    for make in (pytext.prose, pytext.code):
        with pytest.raises(DataError, match="without its sources"):
            make(folder=tmp_path / "nothing")
    with pytest.raises(DataError, match="part is 'dev'"):
        pytext.PyText((), (), (), "").text("dev")


@pytest.mark.slow
def test_the_library_of_this_python_gives_megabytes():
    prose, code = pytext.prose(), pytext.code()
    assert sum(len(prose.text(part)) for part in pytext.PARTS) > 500_000
    assert sum(len(code.text(part)) for part in pytext.PARTS) > 3_000_000
    for document in documents(code):
        ast.parse(document.text)
    lines = [{line.strip() for line in prose.text(part).split("\n") if len(line) > 80} for part in pytext.PARTS]
    assert not (lines[0] & lines[1] or lines[0] & lines[2] or lines[1] & lines[2])
