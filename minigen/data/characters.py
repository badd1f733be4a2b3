"""Text as whole numbers: one number for each character of an alphabet."""

import numpy as np

from minigen.errors import DataError


class Characters:
    """An alphabet of V characters and the two ways between text and numbers 0 … V − 1.

        characters = Characters.of(text)          # the sorted distinct characters of a text
        tokens = characters.encode("abba")        # (T,) int64
        characters.decode(tokens)                 # "abba"

    alphabet:  a str, or another sequence of single characters, without repeats; its order gives the numbers.
    Raises:    DataError if it is empty, a character occurs twice, or an entry is not one character.
    """

    def __init__(self, alphabet):
        alphabet = list(alphabet)
        wrong = [entry for entry in alphabet if not isinstance(entry, str) or len(entry) != 1]
        if wrong or not alphabet or len(set(alphabet)) != len(alphabet):
            raise DataError(f"Characters: the alphabet is {''.join(map(str, alphabet))[:80]!r}; expected at least one "
                            f"character, single characters only, none of them twice")
        self.alphabet = "".join(alphabet)
        # A table from code point to number, −1 where there is none: encoding is one look-up for a whole text.
        points = np.array([ord(character) for character in alphabet])
        self._number = np.full(points.max() + 1, -1, dtype=np.int64)
        self._number[points] = np.arange(len(points))

    @classmethod
    def of(cls, text):
        """The alphabet of the distinct characters of a text, in the order of their code points."""
        return cls(sorted(set(text)))

    @property
    def size(self):
        """V, how many characters there are."""
        return len(self.alphabet)

    def __len__(self):
        return self.size

    def __repr__(self):
        return f"Characters({self.alphabet!r})"

    def encode(self, text):
        """A text as numbers.

        Shapes:   str of T characters → (T,) int64
        Raises:   DataError that names the first character which is not in the alphabet, and its position.
        """
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)  # (T,)
        known = points < len(self._number)
        tokens = np.where(known, self._number[np.where(known, points, 0)], -1)  # (T,)
        if len(tokens) and tokens.min() < 0:
            where = int(np.argmin(tokens))
            raise DataError(f"Characters.encode: {text[where]!r} at position {where} is none of the {self.size} "
                            f"characters {self.alphabet!r}")
        return tokens

    def decode(self, tokens):
        """Numbers as a text.

        Shapes:   (T,) whole numbers below V → str of T characters
        Raises:   DataError if a number is out of range, or they are not whole.
        """
        tokens = np.asarray(tokens)
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise DataError(f"Characters.decode: tokens have shape {tokens.shape}, type {tokens.dtype}; expected (T,) "
                            f"whole numbers")
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.size:
            raise DataError(f"Characters.decode: tokens run from {tokens.min()} to {tokens.max()}; expected 0 to "
                            f"{self.size - 1}")
        return "".join([self.alphabet[token] for token in tokens.tolist()])
