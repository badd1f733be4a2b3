"""Text as whole numbers and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen.data.characters import Characters
from minigen.errors import DataError


@given(st.text(min_size=1))
def test_decoding_undoes_encoding_for_any_text(text):
    characters = Characters.of(text)
    tokens = characters.encode(text)
    assert tokens.shape == (len(text),) and tokens.dtype == np.int64
    assert characters.decode(tokens) == text
    assert characters.size == len(characters) == len(set(text)) == tokens.max() + 1


def test_the_order_of_the_alphabet_gives_the_numbers():
    assert Characters("cab").encode("abc").tolist() == [1, 2, 0]
    assert Characters.of("hello").alphabet == "ehlo"


def test_an_empty_text_has_no_tokens():
    assert Characters("ab").encode("").shape == (0,)
    assert Characters("ab").decode([]) == ""


@pytest.mark.parametrize("stranger", ["z", "é", "😀", "\x00", "\ud800"])
def test_an_unknown_character_is_named_with_its_position(stranger):
    with pytest.raises(DataError) as caught:
        Characters("bcd").encode("bcd" + stranger + "q")
    assert repr(stranger) in str(caught.value) and "position 3" in str(caught.value)


@pytest.mark.parametrize("tokens", [[0, 3], [-1], [0.5], [[0]]])
def test_what_is_no_token_is_refused(tokens):
    with pytest.raises(DataError, match="Characters.decode"):
        Characters("abc").decode(tokens)


@pytest.mark.parametrize("alphabet", ["", "aba", ["ab"], [1]])
def test_what_is_no_alphabet_is_refused(alphabet):
    with pytest.raises(DataError, match="alphabet"):
        Characters(alphabet)
