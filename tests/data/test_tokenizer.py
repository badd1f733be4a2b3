"""Byte pairs: nothing is lost, merges are those of a naive count, and what is saved comes back."""

import json
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.data import stories
from minigen.data.tokenizer import PIECES, BytePairs
from minigen.errors import DataError

TEXT = stories.corpus(20_000, rng=np.random.default_rng(0))
TOKENIZER = BytePairs.train(TEXT, 400, special=["<end>", "\n"])


def naive(data, wanted):
    """Equation (7.16) by counting everything again for every merge."""
    pieces = [list(piece) for piece in PIECES.findall(data)]
    merges = []
    while len(merges) < wanted:
        counts = Counter(pair for piece in pieces for pair in zip(piece, piece[1:], strict=False))
        if not counts or max(counts.values()) < 2:
            break
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(pair)
        for k, piece in enumerate(pieces):
            i, joined = 0, []
            while i < len(piece):
                if tuple(piece[i : i + 2]) == pair:
                    joined.append(255 + len(merges))
                    i += 2
                else:
                    joined.append(piece[i])
                    i += 1
            pieces[k] = joined
    return merges, [token for piece in pieces for token in piece]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_come_back(data):
    assert TOKENIZER.decode_bytes(TOKENIZER.encode(data)) == data
    assert b"".join(PIECES.findall(data)) == data


@settings(deadline=None)
@given(st.text(max_size=100))
def test_any_text_comes_back(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@settings(deadline=None, max_examples=60)
@given(st.text("abc ", max_size=120), st.integers(0, 12))
def test_merges_and_tokens_are_those_of_the_naive_algorithm(text, wanted):
    merges, tokens = naive(text.encode(), wanted)
    found = BytePairs.train(text, 256 + wanted)
    assert found.merges == merges
    assert found.encode(text).tolist() == tokens


def test_merges_of_real_text_are_those_of_the_naive_algorithm():
    part = TEXT[:5000]
    merges, tokens = naive(part.encode(), 60)
    found = BytePairs.train(part, 316)
    assert found.merges == merges and found.encode(part).tolist() == tokens


def test_a_case_worked_out_by_hand():
    """aaabdaaabac: aa (97, 97) 4 times, then (aa)a against ab: both twice; the smaller numbers first."""
    found = BytePairs.train("aaabdaaabac", 258)
    assert found.merges[0] == (97, 97)
    assert found.merges[1] == (97, 98)
    assert found.encode("aaab").tolist() == [256, 257]


def test_special_texts_are_one_token_and_cut_others():
    end, line = TOKENIZER.size - 2, TOKENIZER.size - 1
    assert TOKENIZER.encode("<end>").tolist() == [end]
    assert TOKENIZER.encode("\n").tolist() == [line]
    around = TOKENIZER.encode("the boy<end>the boy").tolist()
    assert around == [*TOKENIZER.encode("the boy"), end, *TOKENIZER.encode("the boy")]
    assert BytePairs(special=["a", "ab"]).encode("ab a").tolist() == [257, 32, 256]  # the longer one first
    assert len(BytePairs.train(TEXT, 300, special=["\n"])) == 300


def test_text_becomes_shorter_and_no_token_reaches_over_a_word():
    tokens = TOKENIZER.encode(TEXT)
    assert tokens.dtype == np.int64 and len(tokens) < len(TEXT) / 2
    assert all(len(PIECES.findall(token)) == 1 for token in TOKENIZER._bytes[:-2])  # but for special texts


def test_broken_utf8_is_shown_not_refused():
    assert BytePairs().decode(np.array([97, 0xC3, 98])) == "a�b"


def test_what_is_saved_comes_back(tmp_path):
    TOKENIZER.save(tmp_path / "t.json")
    again = BytePairs.load(tmp_path / "t.json")
    assert (again.merges, again.special) == (TOKENIZER.merges, TOKENIZER.special)
    assert again.encode(TEXT[:999]).tolist() == TOKENIZER.encode(TEXT[:999]).tolist()
    assert "format" in json.loads((tmp_path / "t.json").read_text())
    for content in ("{}", "nonsense", '{"format": "other"}'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(DataError, match="cannot be read"):
            BytePairs.load(tmp_path / "bad.json")


def test_the_same_text_gives_the_same_merges():
    assert BytePairs.train(TEXT, 400, special=["<end>", "\n"]).merges == TOKENIZER.merges


def test_a_megabyte_is_learnt_in_seconds():
    began = time.process_time()
    BytePairs.train(stories.corpus(1_000_000, rng=np.random.default_rng(1)), 1000)
    assert time.process_time() - began < 15


@pytest.mark.parametrize(("call", "message"), [
    (lambda: BytePairs.train("ab", 255), "expected at least 256"),
    (lambda: BytePairs([(97, 256)]), "merge 0"),
    (lambda: BytePairs(special=["a", "a"]), "none twice"),
    (lambda: BytePairs(special=[""]), "no empty one"),
    (lambda: BytePairs().decode([256]), "expected 0 to 255"),
    (lambda: BytePairs().decode([[1]]), "expected"),
    (lambda: BytePairs().decode([1.5]), "whole"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
