"""Downloads against a real server on loopback that serves good, truncated, corrupted and missing files."""

import contextlib
import gzip
import hashlib
import http.server
import os
import socket
import struct
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from minigen.data import fetch, sources
from minigen.errors import CorruptError, DataError, OfflineError

ROOT = Path(__file__).resolve().parents[2]


def idx_bytes(array):
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (30, 28, 28), dtype=np.uint8), rng.integers(0, 10, 30, dtype=np.uint8),
            rng.integers(0, 256, (10, 28, 28), dtype=np.uint8), rng.integers(0, 10, 10, dtype=np.uint8)]


ARRAYS = arrays()
UNPACKED = [idx_bytes(array) for array in ARRAYS]
PACKED = [gzip.compress(data, mtime=0) for data in UNPACKED]
TEXT = ("To be, or not to be: that is the question.\n" * 200).encode()


def checksum(data):
    return hashlib.sha256(data).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves /good/NAME; /short/ promises more than it sends, /brief/ is cut, /altered/ has one byte wrong,
    /together/ waits in the middle of the file for a second reader to be there too; all else is 404."""

    def do_GET(self):
        self.server.asked.append(self.path)
        way, name = self.path.strip("/").split("/")
        data = self.server.files.get(name)
        if data is None or way not in ("good", "short", "brief", "altered", "together"):
            self.send_error(404)
            return
        sent = {"short": data[: len(data) // 2], "brief": data[: len(data) // 2],
                "altered": data[:-5] + b"\x01" + data[-4:]}.get(way, data)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data if way == "short" else sent)))
        self.end_headers()
        self.wfile.write(sent[: len(sent) // 2])
        if way == "together":
            self.wfile.flush()
            self.server.barrier.wait(timeout=30)
        self.wfile.write(sent[len(sent) // 2 :])

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def running_server():
    pytest.importorskip("pooch")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    names = [f"{name}.gz" for name in sources.IDX_NAMES]
    server.files = dict(zip(names, PACKED, strict=True)) | {"text": TEXT}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(running_server):
    running_server.asked = []
    return running_server


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def base(server, way):
    return f"http://127.0.0.1:{server.server_address[1]}/{way}/"


def closed_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def images(*mirrors):
    return sources._source("mnist", mirrors, [(checksum(a), checksum(b))
                                              for a, b in zip(PACKED, UNPACKED, strict=True)])


def text(*urls):
    return sources.File("text.txt", urls, checksum(TEXT), checksum(TEXT))


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_good_images_arrive_and_are_cached(server, cache):
    got = fetch.load_images(images(base(server, "good")), progress=False)
    np.testing.assert_array_equal(got.train_images, ARRAYS[0][:, None])
    np.testing.assert_array_equal(got.test_labels, ARRAYS[3])
    assert got.train_images.dtype == np.uint8 and got.train_labels.dtype == np.int64
    assert len(server.asked) == 4
    fetch.load_images(images(base(server, "good")), progress=False)
    assert len(server.asked) == 4
    assert files_in(cache) == sorted(f"mnist/{name}.gz" for name in sources.IDX_NAMES)


def test_good_text_arrives_as_written(server):
    assert fetch.load_text(text(base(server, "good") + "text"), progress=False) == TEXT.decode()


@pytest.mark.parametrize("way", ["short", "brief", "altered", "missing", "unreachable"])
def test_a_bad_mirror_falls_through_to_the_next(server, cache, way):
    first = closed_port() if way == "unreachable" else base(server, way)
    source = text(first + "text", base(server, "good") + "text")
    assert fetch.load_text(source, progress=False) == TEXT.decode()
    assert files_in(cache) == ["text.txt"]
    if way != "unreachable":
        assert server.asked == [f"/{way}/text", "/good/text"]


@pytest.mark.parametrize("way, reason", [("short", "cut short"), ("brief", "wrong checksum"),
                                         ("altered", "wrong checksum")])
def test_bad_bytes_are_refused_and_never_cached(server, cache, way, reason):
    with pytest.raises(CorruptError, match=reason) as caught:
        fetch.load_images(images(base(server, way), base(server, "missing")), progress=False)
    message = str(caught.value)
    assert f"/{way}/train-images-idx3-ubyte.gz" in message and "404" in message
    assert "minigen.data.digits" in message and "--data" in message
    assert files_in(cache) == []


def test_offline_says_what_can_be_used_instead(server, cache):
    with pytest.raises(OfflineError) as caught:
        fetch.load_images(images(closed_port(), base(server, "missing")), progress=False)
    message = str(caught.value)
    for phrase in ("mnist", "ConnectionError", "404", "minigen.data.digits", "minigen.data.glyphs", "--data"):
        assert phrase in message
    with pytest.raises(OfflineError, match="path=FILE"):
        fetch.load_text(text(closed_port() + "text"), progress=False)
    assert files_in(cache) == []


def test_a_damaged_cached_file_is_fetched_again(server, cache):
    source = text(base(server, "good") + "text")
    cache.mkdir()
    (cache / "text.txt").write_bytes(TEXT[:-1])
    assert fetch.load_text(source, progress=False) == TEXT.decode()
    assert (cache / "text.txt").read_bytes() == TEXT
    (cache / "text.txt").write_bytes(TEXT[:-1])
    with pytest.raises(OfflineError, match="cached copy.*wrong checksum"):
        fetch.load_text(text(closed_port() + "text"), progress=False)


def test_a_filled_cache_needs_neither_network_nor_pooch(cache, monkeypatch):
    cache.mkdir()
    (cache / "text.txt").write_bytes(TEXT)
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert fetch.load_text(text("http://127.0.0.1:9/text"), progress=False) == TEXT.decode()


def test_a_missing_pooch_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataError, match=r'pip install "minigen\[download\]".*minigen\.data\.digits'):
        fetch.mnist(progress=False)


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(DataError, match="MINIGEN_CACHE|cannot read"):
        fetch.load_text(text(base(server, "good") + "text"), progress=False)


def test_progress_bar_counts_the_bytes(server, capsys):
    fetch.load_text(text(base(server, "good") + "text"), progress=True)
    assert "text.txt" in capsys.readouterr().err


def test_two_processes_may_download_at_once(server, cache):
    server.barrier = threading.Barrier(2)
    program = f"""
from minigen.data import fetch, sources
source = sources.File("text.txt", ({base(server, "together") + "text"!r},), *2 * ({checksum(TEXT)!r},))
print(len(fetch.load_text(source, progress=False)))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
               for _ in range(2)]
    assert [int(process.communicate(timeout=60)[0]) for process in running] == [len(TEXT)] * 2
    assert files_in(cache) == ["text.txt"]
    assert (cache / "text.txt").read_bytes() == TEXT


def folder_of(path, contents, names=sources.IDX_NAMES, suffix=""):
    path.mkdir(parents=True, exist_ok=True)
    for name, data in zip(names, contents, strict=True):
        (path / f"{name}{suffix}").write_bytes(data)
    return path


def test_a_local_folder_stands_in_packed_or_not_without_a_note(tmp_path):
    repacked = [gzip.compress(data, compresslevel=1, mtime=1) for data in UNPACKED]
    dotted = [name.replace("-idx", ".idx") for name in sources.IDX_NAMES]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for folder in (folder_of(tmp_path / "a", UNPACKED), folder_of(tmp_path / "b", repacked, suffix=".gz"),
                       folder_of(tmp_path / "c", UNPACKED, dotted)):
            got = fetch.load_images(images(closed_port()), path=folder)
            np.testing.assert_array_equal(got.test_images[:, 0], ARRAYS[2])
        folder_of(tmp_path / "d" / "MNIST" / "raw", UNPACKED)
        fetch.load_images(images(closed_port()), path=str(tmp_path / "d"))


def test_a_local_npz_stands_in(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=ARRAYS[0], y_train=ARRAYS[1], x_test=ARRAYS[2], y_test=ARRAYS[3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = fetch.load_images(images(closed_port()), path=tmp_path / "mnist.npz")
    np.testing.assert_array_equal(got.train_labels, ARRAYS[1])


def test_other_local_data_are_used_with_a_note(tmp_path):
    folder = folder_of(tmp_path / "other", [idx_bytes(array) for array in arrays(seed=1)])
    with pytest.warns(UserWarning, match="not the known file"):
        got = fetch.mnist(path=folder)
    np.testing.assert_array_equal(got.train_images[:, 0], arrays(seed=1)[0])
    np.savez(tmp_path / "o.npz", x_train=ARRAYS[0], y_train=ARRAYS[1], x_test=ARRAYS[2], y_test=ARRAYS[3])
    with pytest.warns(UserWarning, match="not the known file"):
        fetch.fashion_mnist(path=tmp_path / "o.npz")
    (tmp_path / "mine.txt").write_text("my own words", encoding="utf-8")
    with pytest.warns(UserWarning, match="not the known file"):
        assert fetch.tiny_shakespeare(path=tmp_path / "mine.txt") == "my own words"


def test_a_local_text_may_lie_in_a_folder(tmp_path):
    (tmp_path / "input.txt").write_bytes(TEXT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fetch.load_text(text(), path=tmp_path) == TEXT.decode()


@pytest.mark.filterwarnings("ignore:.*not the known file")
def test_malformed_local_data_are_refused(tmp_path):
    wrong_size = [idx_bytes(np.zeros((3, 32, 32), np.uint8)), *UNPACKED[1:]]
    too_few_labels = [UNPACKED[0], idx_bytes(np.zeros(29, np.uint8)), *UNPACKED[2:]]
    letters = [UNPACKED[0], idx_bytes(np.full(30, 26, np.uint8)), *UNPACKED[2:]]
    truncated = [UNPACKED[0][:-1], *UNPACKED[1:]]
    for number, (contents, message) in enumerate([
        (wrong_size, r"\(3, 32, 32\).*\(B, 28, 28\)"), (too_few_labels, r"\(29,\).*\(30,\)"),
        (letters, "run from 26 to 26"), (truncated, "truncated"),
    ]):
        with pytest.raises(CorruptError, match=message):
            fetch.mnist(path=folder_of(tmp_path / str(number), contents))
    (tmp_path / "no.npz").write_bytes(b"PK\x03\x04 not a zip")
    (tmp_path / "image").write_bytes(UNPACKED[0])
    np.save(tmp_path / "single.npy", ARRAYS[0])
    np.savez(tmp_path / "keys.npz", x_train=ARRAYS[0])
    np.savez(tmp_path / "words.npz", x_train=ARRAYS[0], y_train=np.array(["a"] * 30), x_test=ARRAYS[2],
             y_test=ARRAYS[3])
    for name in ("no.npz", "image", "single.npy", "keys.npz", "words.npz"):
        with pytest.raises(CorruptError, match="mnist"):
            fetch.mnist(path=tmp_path / name)
    (tmp_path / "latin.txt").write_bytes("né".encode("latin-1"))
    (tmp_path / "empty.txt").write_bytes(b"")
    for name, message in (("latin.txt", "not UTF-8 text .byte 1"), ("empty.txt", "empty")):
        with pytest.raises(CorruptError, match=message):
            fetch.tiny_shakespeare(path=tmp_path / name)


def test_a_pickle_in_a_local_npz_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    np.savez(tmp_path / "trap.npz", x_train=np.array([Trap()], dtype=object))
    with pytest.raises(CorruptError):
        fetch.mnist(path=tmp_path / "trap.npz")
    assert not (tmp_path / "sprung").exists()


def test_missing_local_data_are_named(tmp_path):
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        fetch.mnist(path=tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        fetch.mnist(path=tmp_path / "nowhere.npz")
    with pytest.raises(DataError, match="nowhere.txt"):
        fetch.tiny_shakespeare(path=tmp_path / "nowhere.txt")


def test_the_known_sources_are_complete():
    every = [*sources.MNIST.files, *sources.FASHION_MNIST.files, sources.TINY_SHAKESPEARE]
    for file in every:
        assert len(file.urls) >= 2 and all(url.startswith(("https://", "http://")) for url in file.urls)
        assert all(len(bytes.fromhex(value)) == 32 for value in (file.sha256, file.unpacked_sha256))
    assert len({file.sha256 for file in every}) == len(every)
    names = [file.name for file in sources.MNIST.files]
    assert names == [f"{name}.gz" for name in sources.IDX_NAMES]
