"""Data: small sets that come with the package, made data of known density, and a few downloads.

In the package, no network needed:

- `digits`: 1,797 real handwritten digits, 8×8 pixels of 17 grey levels, with the split that every result
  uses.
- `toy2d`: points in the plane with an exact log density and entropy, so that a model's error can be measured.
- `glyphs`: letters and figures drawn from matplotlib's fonts, 28×28 or 16×16, with attributes and captions.
- `phantoms`: slices of heads drawn from ellipses, some with a lesion whose place is known.
- `stories`: short stories from a grammar (`grammar`, `grammar_parts`) whose exact entropy is known.
- `dialogues`: dialogues between a user and an assistant, by rules (`dialogue_rules`) that know all right answers.
- `pytext`: prose and code from the standard library of the Python that runs this.

On request, over the network or from a local copy:

- `fetch`: MNIST, Fashion-MNIST, tiny-shakespeare; `sources` says from where, with which checksums.

For all of them:

- `batches`: shuffled minibatches, and an endless stream of them whose place can be saved and restored.
- `characters`: text as whole numbers and back.
- `tokenizer`: the same with whole words as numbers, by byte-pair encoding.
- `shifts`: pictures moved by a pixel or two, so that a model sees more than there is.
- `idx`: the file format of MNIST.
- `cache`: where files that were made or downloaded are kept, and how they are written safely.

Importing this package imports numpy and nothing heavier: matplotlib and pooch are loaded by the one function
that needs each.
"""
