"""Byte-pair encoding: text as whole numbers, a common word one number, a rare one several, and any bytes at all.

Begin with the 256 bytes as tokens. Count, over a training text, how often each pair of neighbouring tokens occurs; make
the most frequent pair a new token, everywhere; count again; and so on until there are enough tokens,

    (a, b) = argmax count(ab),      every ab → one new token.                                       (7.16)

Of equally frequent pairs the one with the smaller numbers is taken, so that the result is known in advance. To encode a
text the same merges are made in the same order. To decode it, the tokens' bytes are put one after the other; nothing
is lost, for any bytes.

The text is first cut into pieces (a word with the space before it, digits, signs, white space), and no token reaches
over the border of two pieces: or "dog.", "dog!" and "dog?" would be three tokens. So only the distinct pieces need be
looked at, each with how often it occurs. And a merge changes the counts only in pieces that contain its pair. Training
keeps for each pair the set of those pieces, and a heap of counts, where entries that are out of date are passed over
when they come up: a megabyte takes seconds.

Source: Sennrich, Haddow & Birch 2015, arXiv:1508.07909; bytes and pieces: Radford et al. 2019 (GPT-2).  Differs: the
pieces are cut by bytes, and all bytes from 128 on count as letters.
"""

import heapq
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from minigen.data.cache import atomic_write
from minigen.errors import DataError

PIECES = re.compile(rb"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z\x80-\xff]+| ?[0-9]+| ?[^\sA-Za-z0-9\x80-\xff]+|\s+(?!\S)|\s+")
FORMAT = "minigen byte pairs 1"


class BytePairs:
    """Tokens 0 … 255, the bytes; then one for each merge, in order; then one for each special text.

        tokenizer = BytePairs.train(text, 1000, special=["<end>"])
        tokens = tokenizer.encode("some text<end>")        # (T,) int64
        tokenizer.decode(tokens)                           # "some text<end>"

    merges:    pairs (a, b) of tokens; merge i makes token 256 + i.
    special:   texts that are one token wherever they occur, and never part of another.
    Raises:    DataError if a merge is of tokens that do not exist before it, or a special text is empty or twice there.
    """

    def __init__(self, merges=(), special=()):
        self.merges = [tuple(map(int, merge)) for merge in merges]
        self.special = list(special)
        self._bytes = [bytes([byte]) for byte in range(256)]
        for a, b in self.merges:
            if not (0 <= a < len(self._bytes) and 0 <= b < len(self._bytes)):
                raise DataError(f"BytePairs: merge {len(self._bytes) - 256} is of {a} and {b}; expected two of the "
                                f"{len(self._bytes)} tokens before it")
            self._bytes.append(self._bytes[a] + self._bytes[b])
        specials = [text.encode("utf-8", "surrogatepass") for text in self.special]
        if not all(specials) or len(set(specials)) < len(specials):
            raise DataError(f"BytePairs: special texts {self.special}; expected no empty one and none twice")
        self._numbers = {text: len(self._bytes) + i for i, text in enumerate(specials)}
        self._bytes += specials
        self._rank = {pair: i for i, pair in reversed(list(enumerate(self.merges)))}
        self._cuts = re.compile(b"(" + b"|".join(map(re.escape, sorted(specials, key=len, reverse=True))) + b")")
        self._known = {}  # piece → its tokens

    # -- training -----------------------------------------------------------------------------------------------------

    @classmethod
    def train(cls, text, size, *, special=()):
        """Learn merges from a text, a str or bytes, until there are `size` tokens, or no pair occurs twice.

        Equation: (7.16)                                                                     [lesson 07, eq. 7.16]
        Raises:   DataError if size is below 256 and the number of special texts together.
        """
        special = list(special)
        wanted = size - 256 - len(special)
        if wanted < 0:
            raise DataError(f"BytePairs.train: size is {size}; expected at least {256 + len(special)}: 256 bytes and "
                            f"{len(special)} special texts")
        pieces = cls(special=special)._pieces(_as_bytes(text))
        found = Counter(piece for piece, number in pieces if number is None)
        return cls(_learn([list(piece) for piece in found], list(found.values()), wanted), special)

    # -- there and back -----------------------------------------------------------------------------------------------

    @property
    def size(self):
        """V, how many tokens there are."""
        return len(self._bytes)

    def __len__(self):
        return self.size

    def __repr__(self):
        return f"BytePairs({len(self.merges)} merges, special={self.special})"

    def encode(self, text):
        """A text, a str or bytes, as numbers; special texts in it become their tokens.   Shapes: → (T,) int64"""
        tokens = []
        for piece, number in self._pieces(_as_bytes(text)):
            if number is not None:
                tokens.append(number)
                continue
            known = self._known.get(piece)
            if known is None:
                known = self._merge(piece)
                if len(self._known) < 100_000:
                    self._known[piece] = known
            tokens += known
        return np.array(tokens, dtype=np.int64)

    def decode(self, tokens):
        """Numbers as a str; bytes that are no UTF-8, as a model may write them, become the sign �.

        Shapes:   (T,) whole numbers below V → str
        Raises:   DataError if a number is out of range, or they are not whole.
        """
        return self.decode_bytes(tokens).decode("utf-8", "replace")

    def decode_bytes(self, tokens):
        """Numbers as bytes: exactly those that were encoded.   Raises: as `decode`"""
        tokens = np.asarray(tokens)
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise DataError(f"BytePairs.decode: tokens have shape {tokens.shape}, type {tokens.dtype}; expected (T,) "
                            f"whole numbers")
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.size:
            raise DataError(f"BytePairs.decode: tokens run from {tokens.min()} to {tokens.max()}; expected 0 to "
                            f"{self.size - 1}")
        return b"".join([self._bytes[token] for token in tokens.tolist()])

    def _pieces(self, data):
        """Pairs (piece, None), and (special text, its number)."""
        for part in self._cuts.split(data) if self.special else [data]:
            number = self._numbers.get(part)
            if number is not None:
                yield part, number
            else:
                yield from ((piece, None) for piece in PIECES.findall(part))

    def _merge(self, piece):
        """All merges of one piece, the oldest first."""
        tokens = list(piece)
        while len(tokens) > 1:
            rank = min(self._rank.get(pair, len(self.merges)) for pair in zip(tokens, tokens[1:], strict=False))
            if rank == len(self.merges):
                break
            tokens = replaced(tokens, self.merges[rank], 256 + rank)
        return tokens

    # -- on disk ------------------------------------------------------------------------------------------------------

    def save(self, path):
        """Write merges and special texts as JSON."""
        content = {"format": FORMAT, "merges": self.merges, "special": self.special}
        with atomic_write(Path(path)) as stream:
            stream.write((json.dumps(content) + "\n").encode())

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.   Raises: DataError if it is something else."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']!r}")
            return cls(content["merges"], content["special"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"BytePairs.load: {path} cannot be read ({error}); expected JSON of {FORMAT!r}") from error


def _as_bytes(text):
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)


def replaced(tokens, pair, new):
    """The tokens with every occurrence of the pair made one, from left to right."""
    result, i = [], 0
    while i < len(tokens):
        if i + 1 < len(tokens) and tokens[i] == pair[0] and tokens[i + 1] == pair[1]:
            result.append(new)
            i += 2
        else:
            result.append(tokens[i])
            i += 1
    return result


def _learn(pieces, weights, wanted):
    """Merges learnt from distinct pieces (lists of tokens), which occur `weights` times each."""
    counts, places = Counter(), defaultdict(set)  # pair → how often; the numbers of the pieces it may be in
    for number, (piece, weight) in enumerate(zip(pieces, weights, strict=True)):
        for pair in zip(piece, piece[1:], strict=False):
            counts[pair] += weight
            places[pair].add(number)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < wanted:
        count, pair = heapq.heappop(heap)
        if counts[pair] != -count:
            continue  # out of date: the right entry is in the heap as well
        if -count < 2:
            break
        changed = set()
        for number in places.pop(pair):
            before, weight = pieces[number], weights[number]
            after = pieces[number] = replaced(before, pair, 256 + len(merges))
            for sign, piece in ((-weight, before), (weight, after)):
                for neighbours in zip(piece, piece[1:], strict=False):
                    counts[neighbours] += sign
                    changed.add(neighbours)
                    if sign > 0:
                        places[neighbours].add(number)
        merges.append(pair)
        for other in changed:
            if counts[other] > 0:
                heapq.heappush(heap, (-counts[other], other))
            else:
                del counts[other]
    return merges
