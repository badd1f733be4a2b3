"""MNIST, Fashion-MNIST and tiny-shakespeare: downloaded once, checked, kept in the cache folder.

Each file has several mirrors and one SHA-256. The mirrors are tried in turn until one delivers those very
bytes; anything else (no network, not found, cut short, altered) counts against the mirror and is told at the
end. Bytes that fail the check never take the file's name in the cache, and what is in the cache is checked
again at every use.

A local copy can stand in for any download: `path=` a folder or a file. Then the rule is softer, because the
data are the reader's own choice: they must be well formed (else CorruptError), but when they are not the
known ones, a warning says so and the work goes on. Figures from such data are not comparable with published
ones.

Downloading needs pooch (`pip install "minigen[download]"`); a local copy or a filled cache does not.
"""

import contextlib
import logging
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigen.data.cache import cache_dir, sha256
from minigen.data.idx import parse_idx, read_idx, unpack
from minigen.data.sources import FASHION_MNIST, MNIST, TINY_SHAKESPEARE
from minigen.errors import CorruptError, DataError, OfflineError


class ImageSet(NamedTuple):
    """28×28 grey images 0…255 and their labels 0…9."""

    train_images: np.ndarray                     # (B, 1, 28, 28) uint8
    train_labels: np.ndarray                     # (B,) int64
    test_images: np.ndarray
    test_labels: np.ndarray


IMAGE_ADVICE = ("Without a network, minigen.data.digits (1,797 handwritten digits) and minigen.data.glyphs "
                "(any number of letters) are in the package; or give a local copy: path=FOLDER, on the "
                "command line --data FOLDER.")
TEXT_ADVICE = "Without a network, give any text file of your own: path=FILE, on the command line --data FILE."


def mnist(*, path=None, progress=True):
    """MNIST: 60,000 training and 10,000 test images of handwritten digits.

    They come from the cache, else a mirror, else OfflineError; or from `path`: a folder with the four IDX
    files, gzipped or not (torchvision's MNIST/raw will do), or Keras' mnist.npz.

    Shapes:   ImageSet of train_images (60000, 1, 28, 28), train_labels (60000,), and test_…
    Source:   LeCun, Cortes & Burges 1998.  Differs: nothing.
    Raises:   OfflineError if no mirror delivers; CorruptError if the bytes are not what they should be;
              DataError if pooch is missing or the cache cannot be written.
    """
    return load_images(MNIST, path=path, progress=progress)


def fashion_mnist(*, path=None, progress=True):
    """Fashion-MNIST: 60,000 training and 10,000 test images of clothes; arguments as in `mnist`.

    Shapes:   as `mnist`
    Source:   Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747, MIT licence.  Differs: nothing.
    Raises:   as `mnist`
    """
    return load_images(FASHION_MNIST, path=path, progress=progress)


def tiny_shakespeare(*, path=None, progress=True):
    """1,115,394 characters of Shakespeare, 65 distinct ones, as one str; `path` may be any UTF-8 text file.

    Source:   Karpathy 2015, char-rnn.  Differs: nothing.
    Raises:   as `mnist`
    """
    return load_text(TINY_SHAKESPEARE, path=path, progress=progress)


def load_images(source, *, path=None, progress=True):
    """An ImageSet from a source, or from a local folder or .npz that stands in for it."""
    if path is None:
        raw = []
        for file in source.files:
            target = cache_dir() / source.name / file.name
            retrieve(file, target, what=source.name, advice=IMAGE_ADVICE, progress=progress)
            raw.append(read_idx(target))
        return _image_set(source.name, raw)
    return _local_images(source, Path(path))


def load_text(file, *, path=None, progress=True):
    """A text from its mirrors, or from a local file, or a folder with a file of its name or input.txt."""
    if path is None:
        path = cache_dir() / file.name
        retrieve(file, path, what=file.name, advice=TEXT_ADVICE, progress=progress)
    else:
        path = Path(path)
        if path.is_dir():
            path = _first_existing([path / file.name, path / "input.txt"], file.name)
    data = _read_bytes(path, file.name)
    _note_if_other(file, path, sha256(data))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorruptError(f"{file.name}: {path} is not UTF-8 text (byte {error.start})") from error
    if not text:
        raise CorruptError(f"{file.name}: {path} is empty")
    return text


def retrieve(file, target, *, what, advice, progress=True):
    """Make sure that `target` holds the file's bytes, downloading them from the first mirror that has them.

    Each attempt goes to a temporary file beside the target and takes its name only when the SHA-256 is right,
    so several processes may do this at once.

    Raises:   CorruptError if mirrors answered but none with the right bytes; OfflineError if none delivered
              it; DataError if pooch is missing or the folder cannot be written.
    """
    target = Path(target)
    damaged = ""
    try:
        if sha256(target) == file.sha256:
            return target
        damaged = f"\n  {target} (cached copy): wrong checksum"
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DataError(f"{what}: cannot read {target} ({error})") from error
    try:
        import pooch
        import requests
    except ImportError as error:
        raise DataError(f'{what}: downloading {file.name} needs pooch: pip install "minigen[download]". '
                        f"{advice}") from error
    pooch.get_logger().setLevel(logging.WARNING)
    failures, answered = [], False
    for url in file.urls:
        with _progress_bar(file.name, progress) as bar:
            # identity: a server must not pack what is checked byte for byte.
            download = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 14, timeout=30,
                                            headers={"Accept-Encoding": "identity"})
            try:
                pooch.retrieve(url, known_hash=f"sha256:{file.sha256}", fname=target.name, path=target.parent,
                               downloader=download)
                return target
            except requests.exceptions.ChunkedEncodingError as error:
                answered = True
                failures.append(f"{url}: cut short ({error})")
            except requests.exceptions.RequestException as error:
                failures.append(f"{url}: {_short(error)}")
            except ValueError:
                # pooch's complaint about the hash; those of requests were caught above.
                answered = True
                failures.append(f"{url}: wrong checksum")
            except OSError as error:
                raise DataError(f"{what}: cannot write {target} ({error}). Set MINIGEN_CACHE to a folder "
                                f"that can be written.") from error
    kind = CorruptError if answered else OfflineError
    problem = "no mirror has the right bytes" if answered else "no mirror delivered it"
    raise kind(f"{what}: {file.name} could not be downloaded, {problem}:\n  " + "\n  ".join(failures)
               + damaged + f"\n{advice}")


def _local_images(source, path):
    if path.is_dir():
        raw = []
        for file in source.files:
            name = file.name.removesuffix(".gz")
            names = [name, f"{name}.gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"]
            folders = [path, path / "raw", path / "MNIST" / "raw", path / "FashionMNIST" / "raw"]
            found = _first_existing([folder / name for folder in folders for name in names], source.name)
            data = unpack(found)
            raw.append(parse_idx(data, found))
            _note_if_other(file, found, sha256(data))
        return _image_set(source.name, raw)
    try:
        with np.load(path, allow_pickle=False) as archive:
            raw = [archive[key] for key in ("x_train", "y_train", "x_test", "y_test")]
    except FileNotFoundError as error:
        raise DataError(f"{source.name}: {path} does not exist") from error
    except (ValueError, KeyError, EOFError, OSError, TypeError, AttributeError, zipfile.BadZipFile,
            zlib.error) as error:
        # NumPy takes any file that is no archive for a pickle and offers to load it unsafely: that advice stays here.
        reason = "it is not an archive" if "pickle" in str(error) else error
        raise CorruptError(f"{source.name}: {path} is neither a folder of IDX files nor an .npz with "
                           f"x_train, y_train, x_test, y_test ({reason})") from error
    images = _image_set(source.name, raw)
    for file, array in zip(source.files, raw, strict=True):
        # The bytes of the IDX file that would hold this array.
        header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
        _note_if_other(file, path, sha256(header + array.astype(np.uint8).tobytes()))
    return images


def _image_set(name, raw):
    """Check that four arrays are 28×28 byte images and as many labels 0…9, and name them."""
    for images, labels, part in ((raw[0], raw[1], "train"), (raw[2], raw[3], "test")):
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or not len(images):
            raise CorruptError(f"{name}: {part} images have shape {images.shape}, type {images.dtype}; "
                               f"expected (B, 28, 28), uint8")
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise CorruptError(f"{name}: {part} labels have shape {labels.shape}, type {labels.dtype}; "
                               f"expected ({len(images)},), whole numbers")
        if labels.min() < 0 or labels.max() > 9:
            raise CorruptError(f"{name}: {part} labels run from {labels.min()} to {labels.max()}; "
                               f"expected 0 to 9")
    return ImageSet(raw[0][:, None], raw[1].astype(np.int64), raw[2][:, None], raw[3].astype(np.int64))


def _note_if_other(file, path, digest):
    if digest != file.unpacked_sha256:
        warnings.warn(f"{path} is used in place of {file.name}, but is not the known file (SHA-256 {digest}, "
                      f"known {file.unpacked_sha256}): results are not comparable with published ones",
                      stacklevel=4)


def _first_existing(paths, what):
    for path in paths:
        if path.is_file():
            return path
    raise DataError(f"{what}: {paths[0].parent} holds no file named "
                    + " or ".join(dict.fromkeys(path.name for path in paths)))


def _read_bytes(path, what):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{what}: cannot read {path} ({error.strerror or error})") from error


def _short(error):
    """The gist of a requests error: its status, or the kind of failure without urllib3's nesting."""
    response = getattr(error, "response", None)
    return f"{response.status_code} {response.reason}" if response is not None else type(error).__name__


@contextlib.contextmanager
def _progress_bar(name, wanted):
    """A tqdm bar for pooch to fill, or False."""
    if not wanted:
        yield False
        return
    from tqdm import tqdm

    # pooch asks whether the bar is true, for tqdm a total above zero, and then sets the real total.
    with tqdm(total=1, desc=name, unit="B", unit_scale=True, leave=False) as bar:
        yield bar
