"""The official formats, written tiny into a folder; damaged, hostile and missing files."""

import functools
import gzip
import hashlib
import http.server
import io
import json
import lzma
import pickle
import struct
import tarfile
import threading
import wave

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import data
from edgewright.training.data import audio, images, official, series, sources, tokens, words


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty $EDGEWRIGHT_DATA and cache; no address answers."""
    monkeypatch.setenv("EDGEWRIGHT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(tmp_path / "cache"))
    for path in official.URLS:
        monkeypatch.setitem(official.URLS, path, f"http://127.0.0.1:9/{path}")
    return tmp_path / "data"


@pytest.fixture
def put(folder, monkeypatch):
    """Write a file into the data folder and make its digest the official one."""

    def write(path: str, content: bytes, official_content: bytes | None = None):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        digest = hashlib.sha256(content if official_content is None else official_content).hexdigest()
        monkeypatch.setitem(official.DIGESTS, path, f"sha256:{digest}")

    return write


def _idx(values: np.ndarray) -> bytes:
    header = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}i", *values.shape)
    return gzip.compress(header + values.astype(np.uint8).tobytes())


@pytest.fixture
def tiny_mnist(put):
    rng = np.random.default_rng(0)
    raw = {}
    for part, n in (("train", 48), ("t10k", 20)):
        raw[part] = rng.integers(0, 256, (n, 28, 28)), np.arange(n) % 10
        put(f"mnist/{part}-images-idx3-ubyte.gz", _idx(raw[part][0]))
        put(f"mnist/{part}-labels-idx1-ubyte.gz", _idx(raw[part][1]))
    return raw


def test_idx_files_are_read_in_order_and_scaled(tiny_mnist):
    mnist = data.load("mnist")
    x, y = tiny_mnist["t10k"]
    assert data.available("mnist")
    assert np.array_equal(mnist.test.x[..., 0], x.astype(np.float32) / 255)
    assert np.array_equal(mnist.test.y, y)
    assert (len(mnist.train), len(mnist.validation)) == (38, 10)
    assert mnist.source[0].startswith("mnist/train-images-idx3-ubyte.gz sha256:")


def test_idx_of_another_type_is_refused():
    with pytest.raises(BadInput, match="00000d"):
        images.read_idx(b"\0\0\x0d\x01" + struct.pack(">i", 0))


def test_a_flipped_byte_is_refused_and_nothing_is_cached(tiny_mnist, folder, tmp_path):
    path = folder / "mnist/t10k-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"t10k-images-idx3-ubyte.gz is not the official file: sha256 .* fetch it again"):
        data.load("mnist")
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_a_missing_set_names_folder_and_remedy(folder, capsys):
    with pytest.raises(BadInput) as refusal:
        data.load("mnist")
    assert str(folder) in str(refusal.value)
    assert "EDGEWRIGHT_DATA" in str(refusal.value)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    (tmp_path / "web").mkdir()
    handler = functools.partial(_Quiet, directory=str(tmp_path / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path / "web", f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()


@pytest.mark.parametrize("damage", [False, True], ids=["whole", "truncated"])
def test_downloads_are_cached_only_with_the_official_digest(folder, served, monkeypatch, tmp_path, damage):
    web, address = served
    content = b"official content"
    (web / "file").write_bytes(content[:-1] if damage else content)
    monkeypatch.setitem(official.URLS, "toy/file", address + "file")
    monkeypatch.setitem(official.DIGESTS, "toy/file", "sha256:" + hashlib.sha256(content).hexdigest())
    cached = tmp_path / "cache/data/toy/file"
    if damage:
        with pytest.raises(BadInput, match="fetching"):
            sources.read("toy/file")
        assert not cached.exists()
    else:
        assert sources.read("toy/file") == content
        assert cached.read_bytes() == content


# ---------------------------------------------------------------- CIFAR-10


def _batch(n: int, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, 3072)).astype(np.uint8)
    content = pickle.dumps({b"data": pixels, b"labels": [k % 10 for k in range(n)]}, protocol=3)
    return content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")  # as Python 2 wrote it


def test_cifar_batches_are_read_packed_or_not(put, capsys):
    put("cifar10/cifar-10-batches-py/data_batch_1.xz", lzma.compress(_batch(40, 1)))
    put("cifar10/cifar-10-batches-py/data_batch_2", _batch(40, 2))
    put("cifar10/cifar-10-batches-py/test_batch", _batch(20, 3))
    cifar = data.load("cifar10")
    raw, _ = images.read_cifar_batch(_batch(20, 3))
    assert "2 of 5 training batches" in capsys.readouterr().err
    assert len(cifar.train) + len(cifar.validation) == 80
    assert np.array_equal(cifar.test.x, raw.astype(np.float32) / 255)


def test_the_cifar_archive_is_read_without_unpacking(put, tmp_path):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]:
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            batch = _batch(20, len(name))
            member.size = len(batch)
            archive.addfile(member, io.BytesIO(batch))
    put("cifar10/cifar-10-python.tar.gz", content.getvalue())
    cifar = data.load("cifar10")
    assert len(cifar.train) + len(cifar.validation) == 100
    assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()] == ["cifar-10-python.tar.gz"]


def test_planes_of_a_cifar_row_become_channels():
    row = np.concatenate([np.full(1024, value, np.uint8) for value in (10, 20, 30)])
    row[1] = 99  # red plane, first row, second column
    x, y = images.read_cifar_batch(pickle.dumps({b"data": row[None], b"labels": [7]}, 3).replace(b"_core", b"core"))
    assert x[0, 5, 5].tolist() == [10, 20, 30]
    assert x[0, 0, 1].tolist() == [99, 20, 30]
    assert y.tolist() == [7]


class _Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_hostile_pickle_runs_nothing_even_with_the_right_digest(put, tmp_path):
    victim = tmp_path / "written"
    hostile = pickle.dumps({b"data": _Hostile(str(victim)), b"labels": []}, protocol=3)
    put("cifar10/cifar-10-batches-py/data_batch_1", hostile)
    put("cifar10/cifar-10-batches-py/test_batch", _batch(10, 0))
    with pytest.raises(BadInput, match="only plain NumPy arrays"):
        data.load("cifar10")
    assert not victim.exists()


@pytest.mark.parametrize("name", ["numpy load", "numpy.core.multiarray scalar", "builtins eval", "os system"])
def test_no_other_global_is_resolved(name):
    module, function = name.split()
    content = b"\x80\x02c" + f"{module}\n{function}\n".encode() + b"."
    with pytest.raises(BadInput, match=function):
        images.read_cifar_batch(content)


# ---------------------------------------------------------------- audio, text, series


def _recording(seconds: float, tone: float) -> bytes:
    samples = 8000 * np.sin(2 * np.pi * tone * np.arange(int(8000 * seconds)) / 8000)
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype("<i2").tobytes())
    return content.getvalue()


@pytest.fixture
def tiny_fsdd(folder, monkeypatch):
    recordings = {f"{d}_ann_{k}.wav": _recording(0.3, 200 * (d + 1) + k) for d in range(2) for k in range(14)}
    (folder / "fsdd").mkdir(parents=True)
    with tarfile.open(folder / "fsdd/free-spoken-digit-dataset.tar.xz", "w:xz") as archive:
        for name, content in recordings.items():
            member = tarfile.TarInfo(f"repository/recordings/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256(audio.listing(recordings)).hexdigest()
    monkeypatch.setitem(official.DIGESTS, audio.TREE, f"sha256:{digest}")
    return folder / "fsdd/free-spoken-digit-dataset.tar.xz"


@pytest.mark.parametrize("shape", [(49, 10, 1), (24, 16)])
def test_takes_decide_the_split_and_training_the_statistics(tiny_fsdd, shape):
    fsdd = data.load("fsdd", input_shape=shape)
    assert [len(split) for split in fsdd.splits.values()] == [8, 10, 10]
    assert fsdd.input_shape == shape
    x = fsdd.train.x.reshape(8, *shape[:2])
    assert np.allclose(x.mean((0, 1)), 0, atol=1e-4)
    assert np.allclose(x.std((0, 1)), 1, atol=1e-4)
    assert not np.allclose(fsdd.test.x.std((0, 1)), 1, atol=1e-4)


def test_features_are_computed_once_and_again_when_the_cache_is_damaged(tiny_fsdd, tmp_path, monkeypatch, capsys):
    first = data.load("fsdd")
    with monkeypatch.context() as patch:
        patch.setattr(audio, "cepstra", lambda *_: pytest.fail("computed twice"))
        assert np.array_equal(data.load("fsdd").train.x, first.train.x)
    (kept,) = (tmp_path / "cache").rglob("*.npz")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    assert np.array_equal(data.load("fsdd").train.x, first.train.x)
    assert "damaged" in capsys.readouterr().err


def test_one_changed_sample_of_a_recording_is_refused(tiny_fsdd, monkeypatch, tmp_path):
    monkeypatch.setitem(official.DIGESTS, audio.TREE, "sha256:" + "0" * 64)
    with pytest.raises(BadInput, match=r"fsdd/recordings.* is not the official"):
        data.load("fsdd")
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_a_truncated_archive_is_refused(tiny_fsdd):
    tiny_fsdd.write_bytes(tiny_fsdd.read_bytes()[:-200])
    with pytest.raises(BadInput, match="cannot be read"):
        data.load("fsdd")


def test_a_tone_lights_its_mel_band():
    bank = audio.mel_bank(512)
    peak = bank[64].argmax()  # bin 64 of 512 at 8 kHz is 1 kHz
    mel = 1127 * np.log1p(1000 / 700)
    low, high = 1127 * np.log1p(20 / 700), 1127 * np.log1p(4000 / 700)
    assert abs(low + (peak + 1) * (high - low) / 41 - mel) < (high - low) / 41
    assert bank.max() <= 1


def test_a_long_recording_keeps_its_last_second_and_a_short_one_its_end():
    long = audio.read_wave(_recording(1.5, 100))
    short = audio.read_wave(_recording(0.25, 100))
    assert long.shape == short.shape == (8000,)
    assert np.all(short[:6000] == 0)
    assert np.abs(short[6000:]).max() == pytest.approx(8000 / 32768, rel=1e-3)


def test_words_are_numbered_by_training_frequency():
    ids = tokens.vocabulary([["b", "a", "a"], ["c", "b", "a"]], 4)
    assert ids == {"a": 2, "b": 3}
    assert tokens.encode([["c", "a"], ["b", "b", "b", "b"]], ids, 3).tolist() == [[1, 2, 0], [3, 3, 3]]


def test_sentences_keep_their_lines_whatever_bytes_are_in_them(put):
    put("rt_polarity/rt-polarity.neg", b"".join(b"dull film %d \x85 caf\xe9 \n" % k for k in range(20)))
    put("rt_polarity/rt-polarity.pos", b"".join(b"great film %d \n" % k for k in range(20)))
    polarity = data.load("rt_polarity", input_shape=(8,), vocabulary=6)
    assert sum(len(split) for split in polarity.splits.values()) == 40
    assert polarity.train.x.max() < 6
    assert all(set(split.y) == {0, 1} for split in polarity.splits.values())
    with pytest.raises(BadInput, match="cannot be shown as float32"):
        data.load("rt_polarity", input_shape=(8,), dtype="float32")


TREEBANK = {
    "train": " the cat <unk> \n the dog saw the cat \n",
    "valid": " a cat purrs \n",
    "test": " the N \n the end \n",
}


@pytest.fixture
def tiny_treebank(put):
    for part, sentences in TREEBANK.items():
        put(f"ptb/ptb.{part}.txt", sentences.encode())


def test_words_are_windows_with_the_word_behind_each(tiny_treebank):
    ptb = data.load("ptb", input_shape=(3,))
    assert ptb.labels == ("<pad>", "<unk>", "the", "<eos>", "cat", "dog", "saw")
    assert ptb.train.x.tolist() == [[2, 4, 1], [3, 2, 5], [6, 2, 4]]
    assert ptb.train.y.tolist() == [[4, 1, 3], [2, 5, 6], [2, 4, 3]]
    assert (ptb.validation.x.tolist(), ptb.validation.y.tolist()) == ([[1, 4, 1]], [[4, 1, 3]])


def test_the_word_behind_each_window_of_words(tiny_treebank):
    ptb = data.load("ptb", input_shape=(2,), task="next_token", vocabulary=4)
    assert ptb.labels == ("<pad>", "<unk>", "the", "<eos>")  # cut to what the model knows
    assert ptb.test.x.tolist() == [[2, 1], [1, 3], [3, 2], [2, 1]]  # the N <eos> the end <eos>
    assert ptb.test.y.tolist() == [3, 2, 1, 3]
    with pytest.raises(BadInput, match="validation has no 5 words; ask for shorter windows"):
        data.load("ptb", input_shape=(4,), task="next_token")


def test_plain_text_takes_the_form_of_the_treebank():
    text = "**Data Set**\n\n\n569 instances, it's 30.5 each. Next\n"
    assert " ".join(words.plain_words(text)) == "data set <eos> N instances it's N each <eos> next"


@pytest.fixture
def tiny_nab(put, monkeypatch):
    """One series of 1,000 steps, anomalous around step 800; its first 400 steps alternate 1 and 3."""
    values = np.tile([1.0, 3.0], 500)
    values[600:] += 100
    times = [f"2020-01-{1 + k // 288:02} {k % 288 // 12:02}:{k % 12 * 5:02}:00" for k in range(1000)]
    rows = "timestamp,value\n" + "".join(f"{t},{v}\n" for t, v in zip(times, values, strict=True))
    put("nab/data/realKnownCause/nyc_taxi.csv", rows.encode())
    put(series.LABELS, json.dumps({"realKnownCause/nyc_taxi.csv": [[times[780] + ".000000", times[820]]]}).encode())
    monkeypatch.setattr(series, "SERIES", ["nab/data/realKnownCause/nyc_taxi.csv"])


def test_windows_are_cut_in_time_order_and_normalised_by_training_values(tiny_nab):
    nab = data.load("nab", input_shape=(40,))
    assert set(np.unique(nab.train.x)) == {-1.0, 1.0}  # (1 - 2) / 1 and (3 - 2) / 1, whatever comes later
    assert nab.test.x.max() == series.LIMIT
    assert len(nab.train) == 400 - 40 + 1
    truth = nab.test.y[:, -1]
    assert truth.sum() == 40  # windows of 40 steps that hold step 800
    # 461 windows from 500 on, less those that touch 780..820 (starts 741..820) without holding step 800
    assert len(truth) == 461 - 80 + 40


def test_a_window_longer_than_a_part_is_refused(tiny_nab):
    with pytest.raises(BadInput, match="no window of 200 steps fits the validation part"):
        data.load("nab", input_shape=(200,))
